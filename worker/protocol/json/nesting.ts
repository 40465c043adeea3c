/**
 * How deep JSON text nests, told before anything walks it: JSON.parse takes any depth, but cloning, comparing and printing
 * what it made recurse, and one request must not exhaust the stack (CWE-674).
 */

const [quote, backslash, openArray, closeArray, openObject, closeObject] = [0x22, 0x5c, 0x5b, 0x5d, 0x7b, 0x7d]

/** Whether arrays and objects nest deeper than `limit`. Of text that is no JSON the answer means nothing. */
export function nestsDeeperThan(text: string, limit: number): boolean {
  // Every level takes a character: short texts, which nearly all are, need no look.
  if (text.length <= limit) return false
  let depth = 0
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (unit === quote) index = endOfString(text, index)
    else if (unit === openArray || unit === openObject) {
      if (++depth > limit) return true
    } else if (unit === closeArray || unit === closeObject) depth--
  }
  return false
}

/** Where a string ends that begins here: at its closing quote, or with the text. */
function endOfString(text: string, start: number): number {
  for (let index = start + 1; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (unit === quote) return index
    if (unit === backslash) index++
  }
  return text.length
}
