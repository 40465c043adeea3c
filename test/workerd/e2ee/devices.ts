/** Devices that have keys: what a client with encryption uploads, signed as it should be. */
import type { JsonObject } from '#protocol/json/json.ts'
import { encodeBase64Unpadded } from '#protocol/signing/base64.ts'
import type { SigningKey } from '#protocol/signing/crypto.ts'
import { signingKeyOf } from '#protocol/signing/keys.ts'
import { signJson } from '#protocol/signing/sign-json.ts'
import { expect } from 'vitest'

import { nodeCrypto } from '../../../worker/node-crypto.ts'
import type { User } from '../client.ts'

const bytes = () => crypto.getRandomValues(new Uint8Array(32))
export const curveKey = () => encodeBase64Unpadded(bytes())

export interface Device {
  readonly signing: SigningKey
  readonly deviceKeys: JsonObject
}

/** Keys for the device of a user, signed by itself. */
export function newDevice({ userId, deviceId }: Pick<User, 'userId' | 'deviceId'>): Device {
  const signing = signingKeyOf(`ed25519:${deviceId}`, bytes())
  const unsigned = {
    user_id: userId,
    device_id: deviceId,
    algorithms: ['m.olm.v1.curve25519-aes-sha2', 'm.megolm.v1.aes-sha2'],
    keys: {
      [`ed25519:${deviceId}`]: encodeBase64Unpadded(signing.publicKey),
      [`curve25519:${deviceId}`]: curveKey(),
    },
  }
  return { signing, deviceKeys: signJson(unsigned, userId, signing, nodeCrypto) }
}

/** One-time keys `signed_curve25519:<name>`, signed by their device. */
export function oneTimeKeys(user: User, device: Device, names: readonly string[], more: JsonObject = {}): JsonObject {
  return Object.fromEntries(
    names.map((name) => [
      `signed_curve25519:${name}`,
      signJson({ key: curveKey(), ...more }, user.userId, device.signing, nodeCrypto),
    ]),
  )
}

/** Gives a user's device keys. */
export async function withKeys(user: User): Promise<Device> {
  const device = newDevice(user)
  const { status, text } = await user.post('/keys/upload', { device_keys: device.deviceKeys })
  expect(status, text).toBe(200)
  return device
}

export interface Queried {
  readonly device_keys: Record<string, Record<string, JsonObject>>
  readonly master_keys: Record<string, JsonObject>
  readonly self_signing_keys: Record<string, JsonObject>
  readonly user_signing_keys: Record<string, JsonObject>
  readonly failures: Record<string, JsonObject>
}

export async function query(user: User, ...whom: readonly { readonly userId: string }[]): Promise<Queried> {
  const wanted = Object.fromEntries(whom.map(({ userId }) => [userId, []]))
  const { status, body, text } = await user.post<Queried>('/keys/query', { device_keys: wanted })
  expect(status, text).toBe(200)
  return body
}

export interface Claimed {
  readonly one_time_keys: Record<string, Record<string, JsonObject>>
  readonly failures: JsonObject
}

/** Claims one key of a device. Returns it by its name; undefined when there is none. */
export async function claim(user: User, whom: Pick<User, 'userId' | 'deviceId'>): Promise<JsonObject | undefined> {
  const wanted = { [whom.userId]: { [whom.deviceId]: 'signed_curve25519' } }
  const { status, body, text } = await user.post<Claimed>('/keys/claim', { one_time_keys: wanted })
  expect(status, text).toBe(200)
  return body.one_time_keys[whom.userId]?.[whom.deviceId]
}
