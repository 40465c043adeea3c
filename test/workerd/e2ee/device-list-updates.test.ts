/**
 * What other servers are told of our users' devices. Spec: server-server-api/#device-management: each update names the one
 * before it, so that who missed one asks for the whole list.
 */
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'
import { encodeBase64Unpadded } from '#protocol/signing/base64.ts'
import { publicKeyOf } from '#protocol/signing/keys.ts'
import { afterEach, expect, test, vi } from 'vitest'

import { login, passwordAuth, registerUser, type User } from '../client.ts'
import { joinOver, otherServer, type OtherServer, serversAnswer } from '../federation/other-server.ts'
import { createRoom, ok } from '../rooms/rooms.ts'
import { newDevice, withKeys } from './devices.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

interface Heard {
  readonly server: OtherServer
  readonly edus: { type: string; content: JsonObject }[]
  isDown: boolean
}

let servers = 0
/** Servers that hear what they are told, and nothing of people they do not know. */
async function listeners(count: number): Promise<Heard[]> {
  const all: Heard[] = []
  for (let n = 0; n < count; n++) {
    all.push({ server: await otherServer(`list${++servers}.test:8448`), edus: [], isDown: false })
  }
  const answer = (heard: Heard) => (asked: { path: string; body: JsonObject | undefined }) => {
    if (!asked.path.includes('/send/')) return undefined
    if (heard.isDown) return Response.json({ errcode: 'M_UNKNOWN' }, { status: 502 })
    const edus = own(asked.body ?? {}, 'edus')
    for (const edu of Array.isArray(edus) ? edus.filter(isObject) : []) {
      const [type, content] = [own(edu, 'edu_type'), own(edu, 'content')]
      if (typeof type === 'string' && isObject(content)) heard.edus.push({ type, content })
    }
    return { pdus: {} }
  }
  serversAnswer(Object.fromEntries(all.map((heard) => [heard.server.name, answer(heard)])))
  return all
}

/** What was told of somebody's devices, or of anybody's. */
const updates = ({ edus }: Heard, user?: User) =>
  edus.filter(
    ({ type, content }) =>
      type === 'm.device_list_update' && (user === undefined || content['user_id'] === user.userId),
  )
const versionOf = (content: JsonObject | undefined) => Number(content?.['stream_id'])

/** The next update that comes; those before it have been looked at. */
async function next(heard: Heard, count: number, user?: User): Promise<JsonObject> {
  await vi.waitFor(() => expect(updates(heard, user).length).toBeGreaterThanOrEqual(count), { timeout: 20_000 })
  return updates(heard, user)[count - 1]?.content ?? {}
}

async function roomWith(user: User, ...all: Heard[]): Promise<string> {
  const room = await createRoom(user, { preset: 'public_chat', room_version: '11' })
  for (const { server } of all) await joinOver(server, `@guest:${server.name}`, room)
  return room
}

const listOf = ({ server }: Heard, { userId }: User) =>
  ok(server.ask<{ stream_id: number; devices: JsonObject[] }>('GET', `/user/devices/${encodeURIComponent(userId)}`))

test('every change is told, each with the one before it, and the whole list bears the number of the last', async () => {
  const [there] = await listeners(1)
  if (!there) throw new TypeError('nobody')
  const alice = await registerUser('ul_alice', { initial_device_display_name: 'Phone' })
  await roomWith(alice, there)
  const { deviceKeys } = await withKeys(alice)
  const first = await next(there, 1)
  const named = { user_id: alice.userId, device_id: alice.deviceId, device_display_name: 'Phone', keys: deviceKeys }
  expect(first).toEqual({ ...named, stream_id: expect.any(Number), prev_id: [] })
  await ok(alice.put(`/devices/${alice.deviceId}`, { display_name: 'Telephone' }))
  const second = await next(there, 2)
  expect(second).toMatchObject({ device_display_name: 'Telephone', prev_id: [versionOf(first)] })
  const tablet = await login(alice, { device_id: 'TABLET' })
  await withKeys(tablet)
  const third = await next(there, 3)
  expect(third).toMatchObject({ device_id: 'TABLET', prev_id: [versionOf(second)] })
  await ok(alice.delete('/devices/TABLET', { auth: passwordAuth(alice) }))
  const fourth = await next(there, 4)
  expect(fourth).toEqual({
    user_id: alice.userId,
    device_id: 'TABLET',
    deleted: true,
    stream_id: expect.any(Number),
    prev_id: [versionOf(third)],
  })
  const versions = [first, second, third, fourth].map(versionOf)
  expect(versions).toEqual(versions.toSorted((a, b) => a - b))
  const list = await listOf(there, alice)
  expect(list).toMatchObject({ stream_id: versionOf(fourth), devices: [{ device_id: alice.deviceId }] })
  // A device that nobody could encrypt for is nobody's news.
  await ok((await login(alice)).post('/logout'))
  await withKeys(await login(alice, { device_id: 'LAST' }))
  expect(await next(there, 5)).toMatchObject({ device_id: 'LAST', prev_id: [versionOf(fourth)] })
})

test('a device without keys is told of when it is renamed, and then that it is gone', async () => {
  const [there] = await listeners(1)
  if (!there) throw new TypeError('nobody')
  const alice = await registerUser('ur_alice')
  const bob = await registerUser('ur_bob')
  await ok(bob.post(`/join/${encodeURIComponent(await roomWith(alice, there))}`))
  await login(alice, { device_id: 'KEYLESS' })
  const { next_batch: since } = await ok(bob.get<{ next_batch: string }>('/sync'))
  await ok(alice.put('/devices/KEYLESS', { display_name: 'Kitchen' }))
  const first = await next(there, 1, alice)
  const update = { user_id: alice.userId, device_id: 'KEYLESS', stream_id: expect.any(Number) }
  expect(first).toEqual({ ...update, prev_id: [], device_display_name: 'Kitchen' })
  await ok(alice.delete('/devices/KEYLESS', { auth: passwordAuth(alice) }))
  expect(await next(there, 2, alice)).toEqual({ ...update, deleted: true, prev_id: [versionOf(first)] })
  // Here nobody sees names without keys.
  const heard = await ok(bob.get<{ device_lists?: unknown }>(`/sync?since=${since}`))
  expect(heard).not.toHaveProperty('device_lists')
})

test('cross-signing keys are told under both names, and no user-signing key', async () => {
  const [there] = await listeners(1)
  if (!there) throw new TypeError('nobody')
  const alice = await registerUser('us_alice')
  await roomWith(alice, there)
  const key = encodeBase64Unpadded(publicKeyOf(crypto.getRandomValues(new Uint8Array(32))))
  const master_key = { user_id: alice.userId, usage: ['master'], keys: { [`ed25519:${key}`]: key } }
  await ok(alice.post('/keys/device_signing/upload', { master_key }))
  const signing = () => there.edus.filter(({ type }) => type.endsWith('signing_key_update'))
  await vi.waitFor(() => expect(signing()).toHaveLength(2), { timeout: 20_000 })
  const content = { user_id: alice.userId, master_key }
  expect(signing()).toEqual([
    { type: 'm.signing_key_update', content },
    { type: 'org.matrix.signing_key_update', content },
  ])
})

test('a server that comes into a room is told once, and who is there already is not', async () => {
  const [old, fresh] = await listeners(2)
  if (!old || !fresh) throw new TypeError('nobody')
  const alice = await registerUser('un_alice')
  await roomWith(alice, old)
  await withKeys(alice)
  const first = await next(old, 1, alice)
  const others = await registerUser('un_owner')
  const room = await roomWith(others, old, fresh)
  await ok(alice.post(`/join/${encodeURIComponent(room)}`))
  // It cannot know what came before, and so asks for the whole list.
  expect(await next(fresh, 1, alice)).toMatchObject({ user_id: alice.userId, prev_id: [versionOf(first)] })
  expect(updates(old, alice)).toHaveLength(1)
  await withKeys(await login(alice, { device_id: 'SECOND' }))
  const [there, here] = [await next(old, 2, alice), await next(fresh, 2, alice)]
  expect(there).toEqual(here)
  expect(there).toMatchObject({ device_id: 'SECOND', prev_id: [versionOf(updates(fresh, alice)[0]?.content)] })
})

test('a server that comes into a room is told of somebody whose devices have no keys', async () => {
  const [there] = await listeners(1)
  if (!there) throw new TypeError('nobody')
  const room = await roomWith(await registerUser('uk_owner'), there)
  const alice = await registerUser('uk_alice', { initial_device_display_name: 'Phone' })
  await ok(alice.post(`/join/${encodeURIComponent(room)}`))
  const first = await next(there, 1, alice)
  expect(first).toMatchObject({ user_id: alice.userId, device_id: alice.deviceId, prev_id: [] })
  expect(first).not.toHaveProperty('keys')
  await ok(alice.post('/logout'))
  expect(await next(there, 2, alice)).toMatchObject({ device_id: alice.deviceId, deleted: true })
})

test('a server that was down is told what it missed when it is heard of, in order', async () => {
  const [there] = await listeners(1)
  if (!there) throw new TypeError('nobody')
  const alice = await registerUser('ud_alice')
  await roomWith(alice, there)
  await withKeys(alice)
  const first = await next(there, 1)
  there.isDown = true
  for (const display_name of ['one', 'two']) {
    await ok(alice.put(`/devices/${alice.deviceId}`, { display_name }))
  }
  const changed = newDevice(alice)
  await ok(alice.post('/keys/upload', { device_keys: changed.deviceKeys }))
  await vi.waitFor(async () => expect((await listOf(there, alice)).stream_id).toBeGreaterThan(versionOf(first)))
  there.isDown = false
  await vi.waitFor(
    async () => {
      // Any signed request says that it is alive.
      await listOf(there, alice)
      expect(updates(there).at(-1)?.content['keys']).toEqual(changed.deviceKeys)
    },
    { timeout: 20_000 },
  )
  const told = updates(there).map(({ content }) => content)
  const chain = told.map((content) => content['prev_id'])
  // What was told twice, since nobody knew whether it had arrived, is the same.
  const unique = new Map(told.map((content) => [versionOf(content), content]))
  expect(chain.slice(1)).toEqual(told.slice(0, -1).map((content) => [versionOf(content)]))
  expect(unique.size).toBe(told.length)
})
