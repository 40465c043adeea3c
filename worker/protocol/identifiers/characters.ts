/**
 * What every identifier shares: how its length is measured and which characters no identifier may hold.
 *
 * Spec: appendices/#identifier-grammar.
 */

/** The limit on user IDs, room IDs, event IDs and aliases, sigil and server name included, in bytes of UTF-8. */
export const maxIdentifierBytes = 255

/** With the `u` flag a surrogate matches only where it is alone. */
const loneSurrogate = /[\ud800-\udfff]/u

/** True when a string is Unicode: UTF-8 has no way to write a surrogate that stands alone. */
export function isWellFormed(text: string): boolean {
  return !loneSurrogate.test(text)
}

/** True for what identifiers may hold: legal Unicode without NUL. */
export function hasOnlyScalars(text: string): boolean {
  return !text.includes('\0') && isWellFormed(text)
}

/** How many bytes a string takes in UTF-8. A lone surrogate counts 3, as its replacement character would. */
export function utf8Length(text: string): number {
  let bytes = text.length
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (unit < 0x80) continue
    // A surrogate pair is two units and four bytes: each half adds one.
    bytes += unit < 0x800 || (unit >= 0xd800 && unit <= 0xdfff && isPaired(text, index)) ? 1 : 2
  }
  return bytes
}

function isPaired(text: string, index: number): boolean {
  const unit = text.charCodeAt(index)
  const other = text.charCodeAt(unit < 0xdc00 ? index + 1 : index - 1)
  return unit < 0xdc00 ? other >= 0xdc00 && other <= 0xdfff : other >= 0xd800 && other < 0xdc00
}

/** True for a string of at most 255 bytes. */
export function fitsIdentifier(text: string): boolean {
  // A UTF-16 unit takes at most three bytes, so short strings need no counting.
  return text.length <= 85 || (text.length <= maxIdentifierBytes && utf8Length(text) <= maxIdentifierBytes)
}

/** Whether a text has at most 255 characters (code points). */
export function fitsCharacters(text: string): boolean {
  if (text.length <= maxIdentifierBytes) return true
  return text.length <= 2 * maxIdentifierBytes && codePoints(text) <= maxIdentifierBytes
}

/** Unicode code points: a pair of surrogates is one. */
export function codePoints(text: string): number {
  let count = 0
  for (const _ of text) count++
  return count
}
