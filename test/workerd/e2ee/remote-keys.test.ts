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
import { newDevice, type Queried, query, withKeys } from './devices.ts'

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

/** Bob's server says that his devices changed. */
let transactions = 0
async function tellOfBob(edu_type = 'm.device_list_update'): Promise<void> {
  const content = { user_id: bob.userId, device_id: 'TABLET', stream_id: ++transactions, prev_id: [] }
  const body = { origin: far, origin_server_ts: 1, pdus: [], edus: [{ edu_type, content }] }
  await ok(other.ask('PUT', `/send/rk${transactions}`, body))
}

/** What is known of Bob when his server cannot be asked. */
async function offline(alice: Parameters<typeof query>[0]) {
  vi.restoreAllMocks()
  serversAnswer({})
  const { device_keys, failures } = await query(alice, bob)
  return {
    devices: Object.keys(device_keys[bob.userId] ?? {}),
    known: Object.hasOwn(device_keys, bob.userId),
    failures,
  }
}

test.each(['m.device_list_update', 'm.signing_key_update'])(
  'what was remembered before %s is not taken for the newest, until it is told anew',
  async (edu) => {
    const alice = await registerUser(`rs_alice_${edu.slice(2, 8)}`)
    const room = await createRoom(alice, { preset: 'public_chat', room_version: '11' })
    await joinOver(other, bob.userId, room)
    const { deviceKeys } = newDevice(bob)
    const remembered = { devices: [bob.deviceId], known: true, failures: {} }
    const unknown = { devices: [], known: false, failures: { [far]: expect.anything() } }
    await vi.waitFor(async () => {
      answers(deviceKeys)
      await query(alice, bob)
      expect(await offline(alice)).toEqual(remembered)
    })
    await tellOfBob(edu)
    // A client that was given the old list would think that it has the newest, and not ask again.
    expect(await offline(alice)).toEqual(unknown)
    vi.restoreAllMocks()
    await tellOfBob(edu)
    answers(deviceKeys)
    expect((await query(alice, bob)).failures).toEqual({})
    await vi.waitFor(async () => expect(await offline(alice)).toEqual(remembered))

    // An answer that was on its way when the change was told may be from before it.
    await tellOfBob(edu)
    vi.restoreAllMocks()
    let release = () => {}
    const released = new Promise<void>((resolve) => (release = resolve))
    const body = { device_keys: { [bob.userId]: { [bob.deviceId]: deviceKeys } } }
    const asked = serversAnswer({ [far]: () => released.then(() => body) })
    const slow = query(alice, bob)
    await vi.waitFor(() => expect(asked).not.toEqual([]))
    await tellOfBob(edu)
    release()
    expect((await slow).device_keys[bob.userId]).toHaveProperty([bob.deviceId])
    expect(await offline(alice)).toEqual(unknown)
  },
)

test('a server that cannot be reached is not asked again at once, but when it is heard of', async () => {
  const alice = await registerUser('rq_alice')
  const dave = { userId: `@dave:${far}` }
  vi.restoreAllMocks()
  await tellOfBob()
  const silent = serversAnswer({})
  for (const _ of [1, 2, 3]) expect((await query(alice, dave)).failures).toHaveProperty([far])
  expect(silent.filter((asked) => asked.endsWith('/user/keys/query'))).toHaveLength(1)
  vi.restoreAllMocks()
  await tellOfBob()
  answers(newDevice(bob).deviceKeys)
  expect((await query(alice, dave)).failures).toEqual({})
})

test('a server that never answers keeps nobody else waiting longer than the client does', async () => {
  const alice = await registerUser('rn_alice')
  await withKeys(alice)
  vi.restoreAllMocks()
  await tellOfBob()
  serversAnswer({ [far]: () => new Promise(() => {}) })
  const wanted = { device_keys: { [alice.userId]: [], [bob.userId]: [] }, timeout: 300 }
  const answer = await ok(alice.post<Queried>('/keys/query', wanted))
  expect(answer.device_keys[alice.userId]).toHaveProperty([alice.deviceId])
  expect(answer.failures).toHaveProperty([far])
  // The client was in a hurry: that says nothing about the server.
  vi.restoreAllMocks()
  answers(newDevice(bob).deviceKeys)
  expect((await query(alice, bob)).failures).toEqual({})
})
