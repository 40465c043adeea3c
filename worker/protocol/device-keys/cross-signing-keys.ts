/**
 * Cross-signing keys as a client uploads them.
 *
 * Spec: client-server-api/#cross-signing, #post_matrixclientv3keysdevice_signingupload.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import { isObject, type JsonObject, type JsonValue, own } from '#protocol/json/json.ts'
import { decodeBase64 } from '#protocol/signing/base64.ts'
import type { Crypto } from '#protocol/signing/crypto.ts'
import { verifySignedJson } from '#protocol/signing/sign-json.ts'

import { isSignatures, jsonSize } from './shapes.ts'

export type Usage = 'master' | 'self_signing' | 'user_signing'
export const usages: readonly Usage[] = ['master', 'self_signing', 'user_signing']

/** A public key in an object: its ID (`ed25519:<unpadded base64>`), name (the part after the colon) and bytes. */
export interface PublicKey {
  readonly keyId: string
  readonly name: string
  readonly bytes: Uint8Array
}

const maxSize = 64 * 1024

/** The key to keep. "keys: … the object must have exactly one property", which names itself. */
export function parseCrossSigningKey(
  usage: Usage,
  userId: string,
  json: JsonValue | undefined,
): Outcome<{ key: JsonObject }> {
  const field = `${usage}_key`
  if (!isObject(json)) return fail('bad_json', `${field}: Expected an object`)
  if (own(json, 'user_id') !== userId) return fail('invalid_param', `${field}.user_id is not your user ID`)
  const named = own(json, 'usage')
  if (!Array.isArray(named) || !named.includes(usage)) return fail('invalid_param', `${field}.usage lacks ${usage}`)
  if (!crossSigningPublicKey(json)) {
    return fail('invalid_param', `${field}.keys: Expected exactly one Ed25519 key, named by itself`)
  }
  const signatures = own(json, 'signatures')
  if (signatures !== undefined && !isSignatures(signatures)) {
    return fail('bad_json', `${field}.signatures: Expected an object of objects of strings`)
  }
  const { unsigned: _unsigned, ...key } = json
  const size = jsonSize(key)
  if (size === undefined) return fail('bad_json', `${field} is not canonical JSON`)
  return size > maxSize ? fail('too_large', `${field} is too large`) : { ok: true, key }
}

/** The one public key in a cross-signing key object. */
export function crossSigningPublicKey(json: JsonObject): PublicKey | undefined {
  const keys = own(json, 'keys')
  const entries = isObject(keys) ? Object.entries(keys) : []
  const [entry] = entries
  if (!entry || entries.length !== 1) return undefined
  const [keyId, text] = entry
  if (typeof text !== 'string' || keyId !== `ed25519:${text}`) return undefined
  const bytes = decodeBase64(text)
  return bytes?.length === 32 ? { keyId, name: text, bytes } : undefined
}

/** Whether a key object carries the right signature of its user's master key. */
export function isSignedByMaster(key: JsonObject, userId: string, master: JsonObject, crypto: Crypto): boolean {
  const by = crossSigningPublicKey(master)
  return by !== undefined && verifySignedJson(key, userId, by.keyId, by.bytes, crypto)
}
