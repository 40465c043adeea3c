/** What a client with encryption puts on its server: the keys of a device, signed as they have to be. */
import { hash } from 'node:crypto'

import { nodeCrypto } from '../../worker/node-crypto.ts'
import { encodeBase64Unpadded } from '../../worker/protocol/signing/base64.ts'
import { signingKeyOf } from '../../worker/protocol/signing/keys.ts'
import { signJson } from '../../worker/protocol/signing/sign-json.ts'
import type { Client } from './client.ts'

const keyOf = ({ userId, deviceId }: Client) =>
  signingKeyOf(`ed25519:${deviceId}`, hash('sha256', `${userId} ${deviceId}`, 'buffer'))

export async function uploadDeviceKeys(client: Client): Promise<void> {
  const { userId, deviceId } = client
  const key = keyOf(client)
  const publicKey = encodeBase64Unpadded(key.publicKey)
  const identity = {
    user_id: userId,
    device_id: deviceId,
    algorithms: ['m.olm.v1.curve25519-aes-sha2', 'm.megolm.v1.aes-sha2'],
    keys: { [`ed25519:${deviceId}`]: publicKey, [`curve25519:${deviceId}`]: publicKey },
  }
  await client.call('POST', '/keys/upload', { device_keys: signJson(identity, userId, key, nodeCrypto) })
}

/** `batch` tells these keys from earlier ones. */
export async function uploadOneTimeKeys(client: Client, batch: number, count: number): Promise<void> {
  const key = keyOf(client)
  const keys = Array.from({ length: count }, (_, i) => {
    const value = { key: encodeBase64Unpadded(hash('sha256', `${client.deviceId} ${batch} ${i}`, 'buffer')) }
    return [`signed_curve25519:K${batch}x${i}`, signJson(value, client.userId, key, nodeCrypto)]
  })
  await client.call('POST', '/keys/upload', { one_time_keys: Object.fromEntries(keys) })
}
