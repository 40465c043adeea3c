/**
 * Encrypts a message for one browser. RFC 8291 (keys), RFC 8188 (`aes128gcm`); nothing of their drafts.
 *
 *     salt (16) │ record size 4096 (4) │ 65 (1) │ our public key (65) │ AES-128-GCM of text ‖ 0x02
 *
 * A key of our own and a salt for every message: neither is ever used twice.
 */
export interface Subscription {
  /** The client's public key: an uncompressed point of P-256, 65 bytes. */
  readonly publicKey: Uint8Array<ArrayBuffer>
  /** 16 bytes. */
  readonly auth: Uint8Array<ArrayBuffer>
}

/** What is new for each message. */
export interface Ephemeral {
  readonly salt: Uint8Array<ArrayBuffer>
  readonly keys: { readonly publicKey: CryptoKey; readonly privateKey: CryptoKey }
}

const curve = { name: 'ECDH', namedCurve: 'P-256' } as const
const recordSize = 4096

/** The point as a key; undefined for what is no point of the curve. */
export async function importPublicKey(bytes: Uint8Array<ArrayBuffer>): Promise<CryptoKey | undefined> {
  if (bytes.length !== 65 || bytes[0] !== 4) return undefined
  try {
    return await crypto.subtle.importKey('raw', bytes, curve, true, [])
  } catch {
    return undefined
  }
}

export async function freshEphemeral(): Promise<Ephemeral> {
  const keys = await crypto.subtle.generateKey(curve, true, ['deriveBits'])
  if (!('publicKey' in keys)) throw new TypeError('a pair of keys was asked for')
  return { salt: crypto.getRandomValues(new Uint8Array(16)), keys }
}

/** The body of the request to the push service. Undefined for a key that is no point of the curve. */
export async function encryptPush(
  text: Uint8Array<ArrayBuffer>,
  { publicKey, auth }: Subscription,
  { salt, keys }: Ephemeral,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const theirs = await importPublicKey(publicKey)
  if (!theirs) return undefined
  const ours = new Uint8Array(await rawKey(keys.publicKey))
  // Cloudflare's types call it `$public`; the standard, and workerd, do not.
  const agreement = { name: 'ECDH', public: theirs }
  const shared = await crypto.subtle.deriveBits(agreement, keys.privateKey, 256)
  const keyInfo = concat(bytesOf('WebPush: info\0'), publicKey, ours)
  const ikm = await hkdf(shared, auth, keyInfo, 32)
  const key = await hkdf(ikm, salt, bytesOf('Content-Encoding: aes128gcm\0'), 16)
  const nonce = await hkdf(ikm, salt, bytesOf('Content-Encoding: nonce\0'), 12)
  const aes = await crypto.subtle.importKey('raw', key, 'AES-GCM', false, ['encrypt'])
  // 0x02: the last record, and the only one.
  const sealed = await crypto.subtle.encrypt({ name: 'AES-GCM', iv: nonce }, aes, concat(text, new Uint8Array([2])))
  const size = new Uint8Array(4)
  new DataView(size.buffer).setUint32(0, recordSize)
  return concat(salt, size, new Uint8Array([ours.length]), ours, new Uint8Array(sealed))
}

async function rawKey(key: CryptoKey): Promise<ArrayBuffer> {
  const raw = await crypto.subtle.exportKey('raw', key)
  if (!(raw instanceof ArrayBuffer)) throw new TypeError('bytes were asked for')
  return raw
}

async function hkdf(
  secret: ArrayBuffer,
  salt: Uint8Array<ArrayBuffer>,
  info: Uint8Array<ArrayBuffer>,
  length: number,
): Promise<ArrayBuffer> {
  const key = await crypto.subtle.importKey('raw', secret, 'HKDF', false, ['deriveBits'])
  return crypto.subtle.deriveBits({ name: 'HKDF', hash: 'SHA-256', salt, info }, key, length * 8)
}

export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(new TextEncoder().encode(text))
}

function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
