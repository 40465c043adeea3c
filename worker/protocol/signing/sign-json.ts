/**
 * Signatures on JSON objects: keys, requests, devices, third-party invites. Events are redacted first, see
 * `event-signatures.ts`.
 *
 * Spec: appendices/#signing-json, #checking-for-a-signature. Numbers are written loosely: the spec forbids floats here as
 * well, but other servers sign request bodies that hold them.
 */
import { CanonicalJsonError, canonicalJsonBytes } from '#protocol/json/canonical-json.ts'
import { isObject, own } from '#protocol/json/json.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { decodeBase64, encodeBase64Unpadded } from './base64.ts'
import type { Crypto, SigningKey } from './crypto.ts'
import { isEd25519KeyId } from './keys.ts'

/** The object with `signatures[serverName][key.keyId]` added. `unsigned` and other signatures stay as they are. */
export function signJson(object: JsonObject, serverName: string, key: SigningKey, crypto: Crypto): JsonObject {
  return addSignature(object, serverName, key.keyId, crypto.sign(jsonSignedBytes(object), key.seed))
}

/** True when `entity` has signed the object with this key. Never throws, whatever the object holds. */
export function verifySignedJson(
  object: JsonObject,
  entity: string,
  keyId: string,
  publicKey: Uint8Array,
  crypto: Crypto,
): boolean {
  const signature = signatureOf(object, entity, keyId)
  if (signature === undefined) return false
  try {
    return crypto.verify(jsonSignedBytes(object), signature, publicKey)
  } catch (error) {
    if (error instanceof CanonicalJsonError) return false
    throw error
  }
}

/** What a signature on an object covers: all of it but `signatures` and `unsigned`. Throws CanonicalJsonError. */
export function jsonSignedBytes(object: JsonObject): Uint8Array {
  return canonicalJsonBytes({ ...object, signatures: undefined, unsigned: undefined }, true)
}

/** The key IDs, of algorithms we know, by which `entity` claims to have signed. */
export function signatureKeyIds(object: JsonObject, entity: string): string[] {
  const signatures = own(object, 'signatures')
  const ofEntity = isObject(signatures) ? own(signatures, entity) : undefined
  return isObject(ofEntity) ? Object.keys(ofEntity).filter(isEd25519KeyId) : []
}

/** The signature of `entity` by one key: 64 bytes, or undefined where there is none or it is malformed. */
export function signatureOf(object: JsonObject, entity: string, keyId: string): Uint8Array | undefined {
  if (!isEd25519KeyId(keyId)) return undefined
  const signatures = own(object, 'signatures')
  const ofEntity = isObject(signatures) ? own(signatures, entity) : undefined
  const text = isObject(ofEntity) ? own(ofEntity, keyId) : undefined
  const bytes = typeof text === 'string' ? decodeBase64(text) : undefined
  return bytes?.length === 64 ? bytes : undefined
}

/** The object with one more signature. */
export function addSignature(object: JsonObject, entity: string, keyId: string, signature: Uint8Array): JsonObject {
  const signatures = own(object, 'signatures')
  const others = isObject(signatures) ? signatures : {}
  const ofEntity = own(others, entity)
  const entry = { ...(isObject(ofEntity) ? ofEntity : {}), [keyId]: encodeBase64Unpadded(signature) }
  return { ...object, signatures: { ...others, [entity]: entry } }
}
