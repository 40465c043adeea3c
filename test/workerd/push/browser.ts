/** What a browser and its push service do with web push, written by the RFCs and not by the code under test. */
import { decodeBase64, encodeBase64UrlUnpadded } from '#protocol/signing/base64.ts'
import type { JsonObject } from '#protocol/json/json.ts'

export interface Browser {
  readonly subscription: { readonly publicKey: Uint8Array<ArrayBuffer>; readonly auth: Uint8Array<ArrayBuffer> }
  /** As they stand in a pusher. */
  readonly pushkey: string
  readonly auth: string
  /** The text of a message; rejects for one that is not for this browser. */
  decrypt(body: Uint8Array): Promise<string>
}

const text = new TextEncoder()

/** RFC 8291: makes a key pair and a secret, and decrypts with them. */
export async function newBrowser(): Promise<Browser> {
  const keys = await crypto.subtle.generateKey({ name: 'ECDH', namedCurve: 'P-256' }, true, ['deriveBits'])
  if (!('publicKey' in keys)) throw new TypeError('no pair')
  const raw = await crypto.subtle.exportKey('raw', keys.publicKey)
  if (!(raw instanceof ArrayBuffer)) throw new TypeError('no bytes')
  const publicKey = new Uint8Array(raw)
  const auth = crypto.getRandomValues(new Uint8Array(16))
  return {
    subscription: { publicKey, auth },
    pushkey: encodeBase64UrlUnpadded(publicKey),
    auth: encodeBase64UrlUnpadded(auth),
    async decrypt(body) {
      // RFC 8188, section 2.1: salt, record size, length of the key ID, key ID.
      const [salt, size, length] = [body.slice(0, 16), new DataView(body.buffer, 16, 4).getUint32(0), body[20] ?? 0]
      if (body.length > size || size > 4096) throw new RangeError('more than one record')
      const sender = body.slice(21, 21 + length)
      const theirs = await crypto.subtle.importKey('raw', sender, { name: 'ECDH', namedCurve: 'P-256' }, true, [])
      const agreement = { name: 'ECDH', public: theirs }
      const shared = new Uint8Array(await crypto.subtle.deriveBits(agreement, keys.privateKey, 256))
      const keyInfo = Uint8Array.from([...text.encode('WebPush: info\0'), ...publicKey, ...sender])
      const ikm = await expand(await extract(auth, shared), keyInfo, 32)
      const prk = await extract(salt, ikm)
      const key = await expand(prk, text.encode('Content-Encoding: aes128gcm\0'), 16)
      const iv = await expand(prk, text.encode('Content-Encoding: nonce\0'), 12)
      const aes = await crypto.subtle.importKey('raw', key, 'AES-GCM', false, ['decrypt'])
      const plain = new Uint8Array(await crypto.subtle.decrypt({ name: 'AES-GCM', iv }, aes, body.slice(21 + length)))
      const end = plain.lastIndexOf(2)
      if (end < 0 || plain.slice(end + 1).some((byte) => byte !== 0)) throw new RangeError('no last record')
      return new TextDecoder().decode(plain.slice(0, end))
    },
  }
}

/** HKDF by its two steps, RFC 5869. */
async function extract(salt: Uint8Array, secret: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  return hmac(salt, secret)
}
async function expand(prk: Uint8Array, info: Uint8Array, length: number): Promise<Uint8Array<ArrayBuffer>> {
  return (await hmac(prk, Uint8Array.from([...info, 1]))).slice(0, length)
}
async function hmac(key: Uint8Array, data: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const imported = await crypto.subtle.importKey('raw', key, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
  return new Uint8Array(await crypto.subtle.sign('HMAC', imported, data))
}

/** The claims of an `Authorization` header as a push service checks it: RFC 8292, section 4.2. */
export async function verifiedClaims(header: string, subscribedWith: string): Promise<JsonObject> {
  const [, head = '', claims = '', signature = '', key = ''] =
    /^vapid t=([\w-]+)\.([\w-]+)\.([\w-]+), k=([\w-]+)$/.exec(header) ?? []
  if (key !== subscribedWith) throw new Error(`not the key of the subscription: ${header}`)
  const bytes = (part: string) => Uint8Array.from(decodeBase64(part) ?? [])
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' }
  const imported = await crypto.subtle.importKey('raw', bytes(key), algorithm, true, ['verify'])
  const isSigned = await crypto.subtle.verify(
    { name: 'ECDSA', hash: 'SHA-256' },
    imported,
    bytes(signature),
    text.encode(`${head}.${claims}`),
  )
  const told = new TextDecoder().decode(bytes(head))
  if (!isSigned || told !== '{"typ":"JWT","alg":"ES256"}') throw new Error(`not signed: ${told}`)
  return JSON.parse(new TextDecoder().decode(bytes(claims)))
}
