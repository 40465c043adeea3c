/**
 * Base64 as Matrix uses it: standard or URL-safe alphabet, never padded when written.
 *
 * Spec: appendices/#unpadded-base64. Written by hand, since a pure core has neither Buffer nor atob.
 */

const standard = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const urlSafe = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

const notInAlphabet = 64
const valueOf = new Uint8Array(128).fill(notInAlphabet)
for (const alphabet of [standard, urlSafe]) {
  for (let value = 0; value < 64; value++) valueOf[alphabet.charCodeAt(value)] = value
}

export function encodeBase64Unpadded(bytes: Uint8Array): string {
  return encode(bytes, standard)
}

export function encodeBase64UrlUnpadded(bytes: Uint8Array): string {
  return encode(bytes, urlSafe)
}

function encode(bytes: Uint8Array, alphabet: string): string {
  let text = ''
  for (let index = 0; index < bytes.length; index += 3) {
    const left = bytes.length - index
    const group = ((bytes[index] ?? 0) << 16) | ((bytes[index + 1] ?? 0) << 8) | (bytes[index + 2] ?? 0)
    text += alphabet.charAt(group >> 18) + alphabet.charAt((group >> 12) & 63)
    if (left > 1) text += alphabet.charAt((group >> 6) & 63)
    if (left > 2) text += alphabet.charAt(group & 63)
  }
  return text
}

/**
 * Reads either alphabet, with or without padding. Undefined for anything else: white space, stray characters, a length
 * no bytes have. Trailing bits that are not zero are ignored, as other servers ignore them.
 */
export function decodeBase64(text: string): Uint8Array | undefined {
  let length = text.length
  if (length % 4 === 0 && length > 0 && text.charCodeAt(length - 1) === 61) {
    length -= text.charCodeAt(length - 2) === 61 ? 2 : 1
  }
  if (length % 4 === 1) return undefined
  const bytes = new Uint8Array(Math.floor((length * 3) / 4))
  let group = 0
  let bits = 0
  let at = 0
  for (let index = 0; index < length; index++) {
    const value = valueOf[text.charCodeAt(index)] ?? notInAlphabet
    if (value === notInAlphabet) return undefined
    group = ((group << 6) | value) & 0xffff
    bits += 6
    if (bits >= 8) {
      bits -= 8
      bytes[at++] = (group >> bits) & 0xff
    }
  }
  return bytes
}
