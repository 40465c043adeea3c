/**
 * A server's published keys: read from its answer, believed only with its own signature, and asked whether they count.
 *
 * Spec: server-server-api/#publishing-keys, #validating-hashes-and-signatures-on-received-events; rooms/v5 for validity.
 */
import { isObject, own, type JsonObject } from '#protocol/json/json.ts'
import { decodeBase64, encodeBase64Unpadded } from './base64.ts'
import type { Crypto } from './crypto.ts'
import { isEd25519KeyId } from './keys.ts'
import { signatureKeyIds, verifySignedJson } from './sign-json.ts'

export interface ServerKey {
  readonly keyId: string
  readonly publicKey: Uint8Array
  /** Milliseconds since 1970: the key counts for events up to then. */
  readonly validUntilTs: number
  /** True for `old_verify_keys`: it signs nothing new, neither events nor requests. */
  readonly expired: boolean
}

/** Keys whose private half is in print: the examples of the specification. Whoever signs with them proves nothing. */
const leakedKeys = new Set(['XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI'])
/** A key can be spelt in several ways (the other alphabet, padding, unused bits): its bytes count. */
const isLeaked = (publicKey: Uint8Array): boolean => leakedKeys.has(encodeBase64Unpadded(publicKey))

const maxKeys = 100
const week = 7 * 24 * 3_600_000

/**
 * The keys in an answer of `GET /_matrix/key/v2/server` or in one entry of a notary's. Undefined unless the answer is for
 * this server and signed by at least one key it lists, and no signature of it by a listed key is wrong.
 */
export function readServerKeys(answer: JsonObject, serverName: string, crypto: Crypto): ServerKey[] | undefined {
  if (own(answer, 'server_name') !== serverName) return undefined
  const validUntilTs = own(answer, 'valid_until_ts')
  if (typeof validUntilTs !== 'number' || !Number.isSafeInteger(validUntilTs)) return undefined
  const current = keysIn(own(answer, 'verify_keys'), () => validUntilTs, false)
  const signing = signatureKeyIds(answer, serverName).flatMap(
    (keyId) => current.find((key) => key.keyId === keyId) ?? [],
  )
  const allHold = signing.every(({ keyId, publicKey }) =>
    verifySignedJson(answer, serverName, keyId, publicKey, crypto),
  )
  if (signing.length === 0 || !allHold) return undefined
  const old = keysIn(own(answer, 'old_verify_keys'), (entry) => Number(own(entry, 'expired_ts')), true)
  return [...current, ...old.filter((key) => current.every(({ keyId }) => keyId !== key.keyId))]
}

/** Whether a key may vouch for an event of this time. Room versions before 5 do not ask for validity. */
export function countsForEvent(key: ServerKey, originServerTs: number, enforced: boolean, now: number): boolean {
  if (!enforced) return true
  // "Servers MUST use the lesser of this field and 7 days into the future when determining if a key is valid."
  return originServerTs <= (key.expired ? key.validUntilTs : Math.min(key.validUntilTs, now + week))
}

/** Whether a key may vouch for a request made now. */
export function countsForRequest(key: ServerKey, now: number): boolean {
  return !key.expired && key.validUntilTs >= now
}

function keysIn(keys: unknown, validUntil: (entry: JsonObject) => number, expired: boolean): ServerKey[] {
  if (!isObject(keys)) return []
  return Object.entries(keys)
    .slice(0, maxKeys)
    .flatMap(([keyId, entry]) => {
      const text = isObject(entry) ? own(entry, 'key') : undefined
      if (!isObject(entry) || typeof text !== 'string' || !isEd25519KeyId(keyId)) return []
      const publicKey = decodeBase64(text)
      const validUntilTs = validUntil(entry)
      if (publicKey?.byteLength !== 32 || !Number.isSafeInteger(validUntilTs) || isLeaked(publicKey)) return []
      return [{ keyId, publicKey, validUntilTs, expired }]
    })
}
