/** Keys and messages between our users and those of another server, which may be hostile. */
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'

import { login, registerUser } from '../client.ts'
import { joinOver, otherServer, type OtherServer, serversAnswer } from '../federation/other-server.ts'
import { createRoom, ok } from '../rooms/rooms.ts'
import { sync } from '../sync/syncing.ts'
import { type Claimed, newDevice, query, withKeys } from './devices.ts'

const far = 'others.test:8448'
const bob = { userId: `@bob:${far}`, deviceId: 'PHONE' }
const content = (length: number): JsonObject => ({ x: 'y'.repeat(length - '{"x":""}'.length) })
let other: OtherServer

beforeAll(async () => {
  other = await otherServer(far)
})
afterEach(() => {
  vi.restoreAllMocks()
})

/** What the other server is sent from now on, but for what it is told of devices. */
function listen(): { edus: JsonObject[] } {
  const heard: { edus: JsonObject[] } = { edus: [] }
  serversAnswer({
    [far]: ({ path, body }) => {
      if (!path.includes('/send/')) return undefined
      const edus = body && own(body, 'edus')
      if (Array.isArray(edus)) heard.edus.push(...edus.filter(isObject))
      return { pdus: {} }
    },
  })
  return heard
}

let transactions = 0
const sends = (...edus: unknown[]) =>
  ok(
    other.ask('PUT', `/send/os${++transactions}`, {
      origin: far,
      origin_server_ts: 1,
      pdus: [],
      edus: JSON.parse(JSON.stringify(edus)),
    }),
  )
const message = (to: string, byDevice: unknown, more: JsonObject = {}) => ({
  edu_type: 'm.direct_to_device',
  content: {
    sender: bob.userId,
    type: 'm.test',
    message_id: `${++transactions}`,
    messages: { [to]: byDevice },
    ...more,
  },
})

describe('messages to devices', () => {
  test('go to the other server in EDUs of limited size, and under the same IDs when they are sent again', async () => {
    const alice = await registerUser('os_alice')
    const heard = listen()
    const devices = Object.fromEntries(['A', 'B', 'C', 'D'].map((id) => [id, content(30_000)]))
    const send = () => ok(alice.put('/sendToDevice/m.test/large', { messages: { [bob.userId]: devices } }))
    const parts = () =>
      heard.edus.filter((edu) => edu['edu_type'] === 'm.direct_to_device').map((edu) => edu['content'])
    await send()
    await vi.waitFor(() => expect(parts()).toHaveLength(2))
    await send()
    await vi.waitFor(() => expect(parts()).toHaveLength(4))
    const [first, second, third, fourth] = parts()
    expect([third, fourth]).toEqual([first, second])
    const field = (part: unknown, name: string) => (isObject(part) ? own(part, name) : undefined)
    const ids = [first, second].map((part) => field(part, 'message_id'))
    expect(new Set(ids).size).toBe(2)
    for (const id of ids) expect(id).toMatch(/^[\w.-]{1,32}$/)
    expect([first, second].map((part) => field(part, 'messages'))).toEqual([
      { [bob.userId]: { A: content(30_000), B: content(30_000) } },
      { [bob.userId]: { C: content(30_000), D: content(30_000) } },
    ])
  })

  test('of another server that are too large or of no form are dropped alone', async () => {
    const alice = await registerUser('om_alice')
    const second = await login(alice)
    await sends(
      message(alice.userId, { [alice.deviceId]: content(65_537), [second.deviceId]: { n: 1 } }),
      message(alice.userId, { '*': content(70_000) }),
      message(alice.userId, { '*': {} }, { type: 'm'.repeat(300) }),
      message(alice.userId, { '*': {} }, { message_id: 'x'.repeat(300) }),
      message(alice.userId, { '*': 'text', [alice.deviceId]: 7, ['D'.repeat(10_000)]: {} }),
      message('@nobody:test.local', { '*': {} }),
      message('@someone:third.test', { '*': {} }),
      message(alice.userId, { '*': {} }, { sender: ['@bob'] }),
      'rubbish',
      null,
      message(alice.userId, { '*': { n: 2 } }),
    )
    const got = async (user: typeof alice) => (await sync(user)).to_device?.events.map((event) => event.content)
    expect(await got(alice)).toEqual([{ n: 2 }])
    expect(await got(second)).toEqual([{ n: 1 }, { n: 2 }])
  })

  test('of another server come in its order, and once though the transaction is another', async () => {
    const alice = await registerUser('oo_alice')
    const edus = [1, 2, 3].map((n) => message(alice.userId, { '*': { n } }))
    await sends(...edus)
    await sends(...edus)
    expect((await sync(alice)).to_device?.events.map((event) => event.content)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
  })
})

describe('a hostile server', () => {
  test('speaks for none but those it was asked about', async () => {
    const alice = await registerUser('oh_alice')
    await withKeys(alice)
    const [real, foreign] = [
      newDevice(bob).deviceKeys,
      newDevice({ userId: alice.userId, deviceId: 'EVIL' }).deviceKeys,
    ]
    const key = (userId: string) => ({ user_id: userId, usage: ['master'], keys: {} })
    serversAnswer({
      [far]: ({ path }) =>
        path.endsWith('/user/keys/query')
          ? {
              device_keys: {
                [bob.userId]: { [bob.deviceId]: real, OTHER: real, NONE: 7, EVIL: foreign },
                [alice.userId]: { EVIL: foreign },
                [`@dave:${far}`]: { X: real },
              },
              master_keys: { [bob.userId]: key(alice.userId), [alice.userId]: key(alice.userId) },
              self_signing_keys: [],
              user_signing_keys: { [bob.userId]: key(bob.userId), [alice.userId]: key(alice.userId) },
            }
          : path.endsWith('/user/keys/claim')
            ? {
                one_time_keys: {
                  [bob.userId]: {
                    [bob.deviceId]: { 'signed_curve25519:A': { key: 'x' }, 'other:B': 'y' },
                    OTHER: { 'signed_curve25519:A': { key: 'x' } },
                  },
                  [alice.userId]: { [alice.deviceId]: { 'signed_curve25519:A': { key: 'evil' } } },
                },
              }
            : undefined,
    })
    const found = await query(alice, bob, alice)
    expect(found.device_keys[bob.userId]).toEqual({ [bob.deviceId]: real })
    expect(Object.keys(found.device_keys[alice.userId] ?? {})).toEqual([alice.deviceId])
    expect(Object.keys(found.device_keys).toSorted()).toEqual([alice.userId, bob.userId].toSorted())
    expect([found.master_keys, found.self_signing_keys, found.user_signing_keys]).toEqual([{}, {}, {}])
    const wanted = { one_time_keys: { [bob.userId]: { [bob.deviceId]: 'signed_curve25519' } } }
    expect(await ok(alice.post<Claimed>('/keys/claim', wanted))).toEqual({
      one_time_keys: { [bob.userId]: { [bob.deviceId]: { 'signed_curve25519:A': { key: 'x' } } } },
      failures: {},
    })
  })

  test.each<readonly [what: string, answer: unknown]>([
    ['no object', []],
    ['nothing', {}],
    ['wrong fields', { device_keys: [], master_keys: 'x', one_time_keys: 7 }],
    ['wrong devices', { device_keys: { [bob.userId]: [] }, one_time_keys: { [bob.userId]: { [bob.deviceId]: [] } } }],
  ])('that answers %s harms nobody', async (what, answer) => {
    const alice = await registerUser(`ow_${what.replaceAll(' ', '_')}`)
    await withKeys(alice)
    serversAnswer({ [far]: () => Response.json(answer) })
    expect((await query(alice, bob, alice)).device_keys[alice.userId]).toHaveProperty([alice.deviceId])
    const wanted = { one_time_keys: { [bob.userId]: { [bob.deviceId]: 'signed_curve25519' } } }
    const { one_time_keys: given } = await ok(alice.post<Claimed>('/keys/claim', wanted))
    expect(Object.values(given).flatMap((devices) => Object.keys(devices))).toEqual([])
  })

  test('that tells of devices in no form, or without end, is heard once and harms nobody', async () => {
    const alice = await registerUser('ol_alice')
    const room = await createRoom(alice, { preset: 'public_chat', room_version: '11' })
    await joinOver(other, bob.userId, room)
    const { next_batch: since } = await sync(alice)
    const update = (more: object) => ({ edu_type: 'm.device_list_update', content: { user_id: bob.userId, ...more } })
    await sends(
      { edu_type: 'm.device_list_update', content: { user_id: 7 } },
      { edu_type: 'm.device_list_update', content: [] },
      { edu_type: 'm.device_list_update', content: { user_id: '@someone:third.test', device_id: 'D', stream_id: 1 } },
      { edu_type: 'm.device_list_update', content: { user_id: alice.userId, device_id: 'D', stream_id: 1 } },
      { edu_type: 'm.signing_key_update', content: { user_id: alice.userId } },
    )
    expect(await sync(alice, { since })).not.toHaveProperty('device_lists')
    // Whatever it says of the device and of what came before: our users ask anew.
    await sends(
      update({ device_id: 'D'.repeat(10_000), stream_id: -1, prev_id: [9_007_199_254_740_991] }),
      update({ device_id: ['D'], stream_id: 'x', prev_id: 'y', keys: 7, deleted: 'maybe' }),
      ...Array.from({ length: 50 }, (_, n) => update({ device_id: `D${n}`, stream_id: n, prev_id: [n + 7] })),
    )
    expect(await sync(alice, { since })).toMatchObject({ device_lists: { changed: [bob.userId], left: [] } })
  })
})
