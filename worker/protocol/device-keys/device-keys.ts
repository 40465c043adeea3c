/**
 * Identity keys of a device, as a client uploads them and as other servers send them.
 *
 * Spec: client-server-api/#device-keys, #post_matrixclientv3keysupload. What a client checks by itself in the end is its
 * own business; here nothing gets in that no client could use, or that claims to be somebody else's.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'
import { decodeBase64 } from '#protocol/signing/base64.ts'
import type { Crypto } from '#protocol/signing/crypto.ts'
import { signatureOf, verifySignedJson } from '#protocol/signing/sign-json.ts'

import { isSignatures, jsonSize } from './shapes.ts'

export interface DeviceOwner {
  readonly userId: string
  readonly deviceId: string
}

/** Bytes of one device's keys with their signatures. */
const maxSize = 64 * 1024

/**
 * The keys to keep: what was uploaded without `unsigned`, which is the server's. A signature by the device's own key has
 * to be right. None at all is let through: clients give such a device nothing, and the spec asks for no more than the field.
 */
export function parseDeviceKeys(json: unknown, owner: DeviceOwner, crypto: Crypto): Outcome<{ keys: JsonObject }> {
  if (!isObject(json)) return fail('bad_json', 'device_keys: Expected an object')
  const algorithms = own(json, 'algorithms')
  const keys = own(json, 'keys')
  if (own(json, 'user_id') !== owner.userId) return fail('invalid_param', 'device_keys.user_id is not your user ID')
  if (own(json, 'device_id') !== owner.deviceId) {
    return fail('invalid_param', 'device_keys.device_id is not your device')
  }
  if (!Array.isArray(algorithms) || !algorithms.every((name) => typeof name === 'string')) {
    return fail('bad_json', 'device_keys.algorithms: Expected an array of strings')
  }
  if (!isObject(keys)) return fail('bad_json', 'device_keys.keys: Expected an object')
  if (!isSignatures(own(json, 'signatures'))) {
    return fail('bad_json', 'device_keys.signatures: Expected an object of objects of strings')
  }
  for (const [name, key] of Object.entries(keys)) {
    if (typeof key !== 'string') return fail('bad_json', 'device_keys.keys: Expected strings')
    const [algorithm, ...rest] = name.split(':')
    if (rest.join(':') !== owner.deviceId) return fail('invalid_param', 'device_keys.keys has a key of another device')
    if (/^(ed|curve)25519$/.test(algorithm ?? '') && decodeBase64(key)?.length !== 32) {
      return fail('invalid_param', `device_keys.keys: ${algorithm} keys have 32 bytes`)
    }
  }
  const { unsigned: _unsigned, ...kept } = json
  const size = jsonSize(kept)
  if (size === undefined) return fail('bad_json', 'device_keys is not canonical JSON')
  if (size > maxSize) return fail('too_large', 'device_keys is too large')
  return isWronglySigned(kept, owner, crypto)
    ? fail('invalid_signature', 'The signature of the device on its keys is wrong')
    : { ok: true, keys: kept }
}

function isWronglySigned(keys: JsonObject, { userId, deviceId }: DeviceOwner, crypto: Crypto): boolean {
  const keyId = `ed25519:${deviceId}`
  const signatures = own(keys, 'signatures')
  const ofUser = isObject(signatures) ? own(signatures, userId) : undefined
  if (!isObject(ofUser) || own(ofUser, keyId) === undefined) return false
  const publicKey = deviceSigningKey(keys, deviceId)
  if (!publicKey || !signatureOf(keys, userId, keyId)) return true
  return !verifySignedJson(keys, userId, keyId, publicKey, crypto)
}

/** The key by which a device signs: 32 bytes. */
export function deviceSigningKey(keys: JsonObject, deviceId: string): Uint8Array | undefined {
  const all = own(keys, 'keys')
  const key = isObject(all) ? own(all, `ed25519:${deviceId}`) : undefined
  const bytes = typeof key === 'string' ? decodeBase64(key) : undefined
  return bytes?.length === 32 ? bytes : undefined
}
