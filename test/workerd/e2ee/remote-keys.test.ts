/** Keys of users of other servers: told by their servers, signed by our users, and remembered for when nobody answers. */
import type { JsonObject } from '#protocol/json/json.ts'
import { encodeBase64Unpadded } from '#protocol/signing/base64.ts'
import { publicKeyOf } from '#protocol/signing/keys.ts'
import { signJson } from '#protocol/signing/sign-json.ts'
import { env } from 'cloudflare:workers'
import { afterEach, beforeAll, expect, test, vi } from 'vitest'

import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { registerUser } from '../client.ts'
import { joinOver, otherServer, type OtherServer, serversAnswer } from '../federation/other-server.ts'
import { createRoom, ok } from '../rooms/rooms.ts'
import { newDevice, query } from './devices.ts'

const far = 'keys.test:8448'
const bob = { userId: `@bob:${far}`, deviceId: 'PHONE' }
let other: OtherServer

beforeAll(async () => {
  other = await otherServer(far)
})
afterEach(() => {
  vi.restoreAllMocks()
})

function newKey() {
  const seed = crypto.getRandomValues(new Uint8Array(32))
  const publicKey = publicKeyOf(seed)
  return { keyId: `ed25519:${encodeBase64Unpadded(publicKey)}`, seed, publicKey }
}
const keyObject = (userId: string, usage: string, key: ReturnType<typeof newKey>): JsonObject => ({
  user_id: userId,
  usage: [usage],
  keys: { [key.keyId]: encodeBase64Unpadded(key.publicKey) },
})

/** Bob's server answers key queries with this. */
function answers(deviceKeys: JsonObject, master?: JsonObject): void {
  const body = {
    device_keys: { [bob.userId]: { [bob.deviceId]: deviceKeys } },
    ...(master ? { master_keys: { [bob.userId]: master } } : {}),
  }
  serversAnswer({ [far]: ({ path }) => (path.endsWith('/user/keys/query') ? body : undefined) })
}

const stored = () => env.DB.prepare('SELECT json FROM remote_keys WHERE user_id = ?').bind(bob.userId).all()

test('whom one has verified on another server one sees as verified, and nobody else does', async () => {
  const alice = await registerUser('rk_alice')
  const carol = await registerUser('rk_carol')
  const [master, userSigning, bobs] = [newKey(), newKey(), newKey()]
  const signed = signJson(keyObject(alice.userId, 'user_signing', userSigning), alice.userId, master, nodeCrypto)
  const upload = { master_key: keyObject(alice.userId, 'master', master), user_signing_key: signed }
  await ok(alice.post('/keys/device_signing/upload', upload))
  const theirs = keyObject(bob.userId, 'master', bobs)
  answers(newDevice(bob).deviceKeys, theirs)
  const verified = signJson(theirs, alice.userId, userSigning, nodeCrypto)
  const uploads = { [bob.userId]: { [encodeBase64Unpadded(bobs.publicKey)]: verified } }
  expect(await ok(alice.post('/keys/signatures/upload', uploads))).toEqual({ failures: {} })
  expect((await query(alice, bob)).master_keys[bob.userId]).toEqual(verified)
  expect((await query(carol, bob)).master_keys[bob.userId]).toEqual(theirs)
  // A signature on a key that was replaced says nothing about the new one.
  const replaced = keyObject(bob.userId, 'master', newKey())
  answers(newDevice(bob).deviceKeys, replaced)
  expect((await query(alice, bob)).master_keys[bob.userId]).toEqual(replaced)
})

test('of users one shares a room with, keys are remembered for when their server cannot be asked', async () => {
  const alice = await registerUser('rr_alice')
  const { deviceKeys } = newDevice(bob)
  answers(deviceKeys)
  await query(alice, bob)
  // A stranger's keys are not kept.
  expect((await stored()).results).toEqual([])
  const room = await createRoom(alice, { preset: 'public_chat', room_version: '11' })
  await joinOver(other, bob.userId, room)
  await vi.waitFor(async () => {
    await query(alice, bob)
    expect((await stored()).results).toHaveLength(1)
  })
  vi.restoreAllMocks()
  serversAnswer({})
  const offline = await query(alice, bob)
  expect(offline.device_keys[bob.userId]).toEqual({ [bob.deviceId]: deviceKeys })
  expect(offline.failures).toEqual({})
  // Of somebody else there nothing is known: the server did fail.
  const both = await query(alice, bob, { userId: `@dave:${far}` })
  expect(both.device_keys).toHaveProperty([bob.userId])
  expect(both.failures).toHaveProperty([far])
})
