/**
 * The text of a page by its charset: a byte order mark, then Content-Type, then what the page says of itself, then UTF-8.
 *
 * https://html.spec.whatwg.org/#determining-the-character-encoding. Pure.
 */

/** Where a page may name its charset. */
const declaredWithin = 1024

/** The page as text. Bytes that mean nothing become U+FFFD. */
export function pageText(bytes: Uint8Array, contentType: string | null): string {
  const labels = [byMark(bytes), labelIn(contentType ?? ''), declared(bytes)]
  for (const label of labels) {
    const decoder = label === undefined ? undefined : decoderFor(label)
    if (decoder) return decoder.decode(bytes)
  }
  return new TextDecoder().decode(bytes)
}

function byMark([first, second, third]: Uint8Array): string | undefined {
  if (first === 0xef && second === 0xbb && third === 0xbf) return 'utf-8'
  if (first === 0xfe && second === 0xff) return 'utf-16be'
  return first === 0xff && second === 0xfe ? 'utf-16le' : undefined
}

function labelIn(text: string): string | undefined {
  return /charset\s*=\s*["']?([\w:.-]{1,40})/i.exec(text)?.[1]
}

/** Who reads this as ASCII is not reading UTF-16, whatever stands there. */
function declared(bytes: Uint8Array): string | undefined {
  const start = new TextDecoder('latin1').decode(bytes.subarray(0, declaredWithin))
  const tag = /<meta\s[^>]*charset[^>]*>/i.exec(start)?.[0]
  const label = labelIn(tag ?? '') ?? /^<\?xml[^>]*encoding\s*=\s*["']([\w:.-]{1,40})/i.exec(start)?.[1]
  return label && /^utf-?16/i.test(label) ? 'utf-8' : label
}

function decoderFor(label: string): TextDecoder | undefined {
  try {
    return new TextDecoder(label)
  } catch {
    return undefined
  }
}
