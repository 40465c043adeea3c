/** What another server gets of our users' keys, and may bring to their devices. Spec: server-server-api/#end-to-end-encryption. */
import type { JsonObject } from '#protocol/json/json.ts'
import { parseServerName } from '#protocol/identifiers/server-name.ts'
import { canonicalJsonLoose } from '#protocol/json/canonical-json.ts'
import { encodeBase64Unpadded } from '#protocol/signing/base64.ts'
import { signEvent } from '#protocol/signing/event-signatures.ts'
import { eventIdOf } from '#protocol/signing/reference-hash.ts'
import { rulesOf } from '#protocol/room-versions/rules.ts'
import { signingKeyOf } from '#protocol/signing/keys.ts'
import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, test, vi } from 'vitest'

import { authorization } from '../../../worker/federation-client/signed-fetch.ts'
import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { ask as askServer } from '../accounts/servers.ts'
import { anonymous, registerUser, send, type User } from '../client.ts'
import { ok, refused } from '../rooms/rooms.ts'
import { createRoom, sync, type SyncBody } from '../sync/syncing.ts'
import { type Claimed, oneTimeKeys, type Queried, query, withKeys } from './devices.ts'

function nameOf(text: string) {
  const name = parseServerName(text)
  if (!name) throw new TypeError(text)
  return name
}
const [other, here] = [nameOf('other.test'), nameOf(env.SERVER_NAME)]
const key = signingKeyOf('ed25519:k', new Uint8Array(32).fill(7))

beforeAll(async () => {
  // The tables are made by the first request.
  await anonymous.get('/_matrix/client/versions')
  const values = [other, key.keyId, encodeBase64Unpadded(key.publicKey), Date.now() + 3_600_000, 0, Date.now()]
  await env.DB.prepare(
    'INSERT OR REPLACE INTO remote_server_keys(server_name, key_id, public_key, valid_until_ts, expired, fetched_at) VALUES (?, ?, ?, ?, ?, ?)',
  )
    .bind(...values)
    .run()
})

/** A request of the other server; with `settings`, to one of ours whose owner has set these. */
async function ask<Body = JsonObject>(
  method: 'GET' | 'PUT' | 'POST',
  path: string,
  body?: JsonObject,
  settings?: Readonly<Record<string, string>>,
) {
  const request = {
    destination: here,
    method,
    path: path.startsWith('/_') ? path : `/_matrix/federation/v1${path}`,
    ...(body ? { body } : {}),
  }
  const header = authorization(request, { serverName: other, key, crypto: nodeCrypto })
  if (settings) {
    const answer = await askServer<Body>(settings, method, request.path, body, { Authorization: header })
    return { ...answer, text: '' }
  }
  return send<Body>(method, request.path, body && canonicalJsonLoose(body), { Authorization: header })
}

let transactions = 0
const sendEdus = (...edus: JsonObject[]) =>
  ok(ask('PUT', `/send/t${++transactions}`, { origin: other, origin_server_ts: 1, pdus: [], edus }))

const message = (to: User, more: JsonObject = {}) => ({
  edu_type: 'm.direct_to_device',
  content: {
    sender: '@remote:other.test',
    type: 'm.test',
    message_id: 'one',
    messages: { [to.userId]: { '*': { hello: 1 } } },
    ...more,
  },
})

describe('another server', () => {
  test('gets keys and devices of our users, and is not told of anybody else', async () => {
    const alice = await registerUser('fq_alice', { initial_device_display_name: 'Phone' })
    const { deviceKeys } = await withKeys(alice)
    const foreign = '@someone:third.test'
    const wanted = { [alice.userId]: [], [foreign]: [], '@nobody:test.local': [] }
    const answer = await ok(ask<Queried>('POST', '/user/keys/query', { device_keys: wanted }))
    const unsigned = { device_display_name: 'Phone' }
    expect(answer.device_keys[alice.userId]).toEqual({ [alice.deviceId]: { ...deviceKeys, unsigned } })
    expect(answer.device_keys).not.toHaveProperty([foreign])
    expect(answer).not.toHaveProperty('user_signing_keys')
    const devices = await ok(ask('GET', `/user/devices/${encodeURIComponent(alice.userId)}`))
    const device = { device_id: alice.deviceId, keys: deviceKeys, device_display_name: 'Phone' }
    expect(devices).toEqual({ user_id: alice.userId, stream_id: expect.any(Number), devices: [device] })
    // What devices are called is told only where the owner wants it.
    const silent = { DEVICE_NAMES_OVER_FEDERATION: 'off' }
    const keys = await ok(ask<Queried>('POST', '/user/keys/query', { device_keys: { [alice.userId]: [] } }, silent))
    expect(keys.device_keys[alice.userId]).toEqual({ [alice.deviceId]: { ...deviceKeys, unsigned: {} } })
    const list = await ok(ask('GET', `/user/devices/${encodeURIComponent(alice.userId)}`, undefined, silent))
    expect(list['devices']).toEqual([{ device_id: alice.deviceId, keys: deviceKeys }])
    for (const userId of [foreign, '@nobody:test.local']) {
      const path = `/user/devices/${encodeURIComponent(userId)}`
      expect(await ask('GET', path)).toMatchObject(refused(404, 'M_NOT_FOUND'))
    }
  })

  test('claims keys of our users once, and of nobody else over us', async () => {
    const alice = await registerUser('fc_alice')
    const device = await withKeys(alice)
    const keys = oneTimeKeys(alice, device, ['A'])
    await ok(alice.post('/keys/upload', { one_time_keys: keys }))
    const wanted = {
      [alice.userId]: { [alice.deviceId]: 'signed_curve25519' },
      '@someone:third.test': { D: 'signed_curve25519' },
    }
    const claim = () => ok(ask<Claimed>('POST', '/user/keys/claim', { one_time_keys: wanted }))
    expect(await claim()).toEqual({ one_time_keys: { [alice.userId]: { [alice.deviceId]: keys } } })
    expect(await claim()).toEqual({ one_time_keys: {} })
  })

  test('asks in vain without a signature', async () => {
    const path = '/_matrix/federation/v1/user/keys/claim'
    expect(await anonymous.post(path, { one_time_keys: {} })).toMatchObject(refused(401, 'M_UNAUTHORIZED'))
  })

  test('brings messages for devices once, by its own users only', async () => {
    const alice = await registerUser('fm_alice')
    await sendEdus(message(alice), message(alice, { sender: alice.userId, message_id: 'forged' }))
    await sendEdus(message(alice), message(alice, { sender: '@x:third.test', message_id: 'foreign' }))
    await sendEdus(message(alice, { message_id: 7 }), message(alice, { messages: [] }), {
      edu_type: 'm.direct_to_device',
    })
    const event = { type: 'm.test', sender: '@remote:other.test', content: { hello: 1 } }
    expect((await sync(alice)).to_device?.events).toEqual([event])
  })

  test('says nothing about devices of users of others, nor to those who share no room', async () => {
    const alice = await registerUser('fd_alice')
    const { next_batch: since } = await sync(alice)
    const update = (userId: string) => ({
      edu_type: 'm.device_list_update',
      content: { user_id: userId, device_id: 'D', stream_id: 1, prev_id: [] },
    })
    await sendEdus(update(alice.userId), update('@remote:other.test'), update('rubbish'))
    expect(await sync(alice, { since })).not.toHaveProperty('device_lists')
  })
})

/** @remote:other.test comes into a room over us, or leaves it. */
async function remoteMembership(room: string, membership: 'join' | 'leave'): Promise<void> {
  const [roomId, user] = [room, '@remote:other.test'].map(encodeURIComponent)
  const rules = rulesOf('11')
  if (!rules) throw new TypeError('no such version')
  const template = await ok(ask<{ event: JsonObject }>('GET', `/make_${membership}/${roomId}/${user}?ver=11`))
  const event = signEvent(rules, { ...template.event, origin_server_ts: Date.now() }, other, key, nodeCrypto)
  const eventId = encodeURIComponent(eventIdOf(rules, event, nodeCrypto))
  await ok(ask('PUT', `/_matrix/federation/v2/send_${membership}/${roomId}/${eventId}`, event))
}

test('a user of another server is followed while a room is shared', async () => {
  const alice = await registerUser('fj_alice')
  const room = await createRoom(alice, { preset: 'public_chat', room_version: '11' })
  const remote = '@remote:other.test'
  let since = (await sync(alice)).next_batch
  const lists = async (timeout = 0) => {
    const body: SyncBody & { device_lists?: object } = await sync(alice, { since, timeout })
    since = body.next_batch
    return body.device_lists
  }
  const update = (type = 'm.device_list_update') =>
    sendEdus({ edu_type: type, content: { user_id: remote, device_id: 'D', stream_id: 1 } })
  await remoteMembership(room, 'join')
  await vi.waitFor(async () => expect(await lists()).toEqual({ changed: [remote], left: [] }))
  const listed = () =>
    env.DB.prepare('SELECT room_id FROM remote_members WHERE user_id = ?').bind(remote).all<{ room_id: string }>()
  await vi.waitFor(async () => expect((await listed()).results).toContainEqual({ room_id: room }))
  await update()
  expect(await lists()).toEqual({ changed: [remote], left: [] })
  await update('m.signing_key_update')
  expect(await lists()).toEqual({ changed: [remote], left: [] })
  await remoteMembership(room, 'leave')
  await vi.waitFor(async () => expect(await lists()).toEqual({ changed: [], left: [remote] }))
  await update()
  expect(await lists()).toBeUndefined()
  await vi.waitFor(async () => expect((await listed()).results).not.toContainEqual({ room_id: room }))
})

test('a server that cannot be asked is named, and keeps nobody else from an answer', async () => {
  const alice = await registerUser('fu_alice')
  await withKeys(alice)
  const answer = await query(alice, alice, { userId: '@remote:127.0.0.1:1' })
  expect(answer.failures).toHaveProperty(['127.0.0.1:1'])
  expect(answer.device_keys[alice.userId]).toHaveProperty([alice.deviceId])
  const wanted = { '@remote:127.0.0.1:1': { D: 'signed_curve25519' } }
  const claimed = await ok(alice.post<Claimed>('/keys/claim', { one_time_keys: wanted }))
  expect(claimed).toMatchObject({ one_time_keys: {}, failures: { '127.0.0.1:1': {} } })
})
