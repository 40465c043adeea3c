/** Upgrading rooms over HTTP. Spec: client-server-api/#room-upgrades. */
import type { JsonObject } from '#protocol/json/json.ts'
import { roomVersions } from '#protocol/room-versions/rules.ts'
import { beforeAll, describe, expect, test } from 'vitest'

import { anonymous, registerUser, type User } from '../client.ts'
import { at, createRoom, invite, join, ok, refused, say, setState, stateOf } from './rooms.ts'

let alice: User
let bob: User
let carol: User

beforeAll(async () => {
  alice = await registerUser('old-host')
  bob = await registerUser('new-host')
  carol = await registerUser('banned')
})

const upgrade = (user: User, roomId: string, new_version: string, more: JsonObject = {}) =>
  user.post<{ replacement_room: string }>(at(roomId, '/upgrade'), { new_version, ...more })
const upgraded = async (user: User, roomId: string, version: string, more: JsonObject = {}) =>
  (await ok(upgrade(user, roomId, version, more))).replacement_room

describe.each(roomVersions)('a room upgraded from version %s', (from) => {
  test.each(['11', '12'])('to %s is where the old one was', async (to) => {
    const alias = `#up-${from}-${to}:test.local`
    const oldId = await createRoom(alice, {
      room_version: from,
      preset: 'public_chat',
      visibility: 'public',
      name: 'Pub',
      topic: 'Beer',
      room_alias_name: `up-${from}-${to}`,
      creation_content: { type: 'm.space' },
      initial_state: [
        { type: 'm.room.encryption', content: { algorithm: 'm.megolm.v1.aes-sha2' } },
        { type: 'org.example.own', content: {} },
      ],
    })
    await ok(alice.post(at(oldId, '/ban'), { user_id: carol.userId, reason: 'no' }))
    const last = await say(alice, oldId, 'the last word')
    const newId = await upgraded(alice, oldId, to)

    expect(await stateOf(alice, newId, 'm.room.create')).toEqual({
      room_version: to,
      type: 'm.space',
      predecessor: to === '12' ? { room_id: oldId } : { room_id: oldId, event_id: last },
    })
    expect(await stateOf(alice, newId, 'm.room.name')).toEqual({ name: 'Pub' })
    expect(await stateOf(alice, newId, 'm.room.topic')).toMatchObject({ topic: 'Beer' })
    expect(await stateOf(alice, newId, 'm.room.join_rules')).toEqual({ join_rule: 'public' })
    expect(await stateOf(alice, newId, 'm.room.encryption')).toEqual({ algorithm: 'm.megolm.v1.aes-sha2' })
    expect(await stateOf(alice, newId, 'm.room.canonical_alias')).toEqual({ alias })
    expect(await stateOf(alice, newId, 'm.room.member', carol.userId)).toMatchObject({
      membership: 'ban',
      reason: 'no',
    })
    expect((await alice.get(at(newId, '/state/org.example.own'))).status).toBe(404)

    expect(await stateOf(alice, oldId, 'm.room.tombstone')).toMatchObject({ replacement_room: newId })
    expect(await stateOf(alice, oldId, 'm.room.canonical_alias')).toEqual({})
    expect(await stateOf(alice, oldId, 'm.room.power_levels')).toMatchObject({ events_default: 50, invite: 50 })
    expect(await ok(anonymous.get(`/directory/room/${encodeURIComponent(alias)}`))).toMatchObject({ room_id: newId })
    const shown = async (roomId: string) => ok(anonymous.get(`/directory/list/room/${encodeURIComponent(roomId)}`))
    expect(await shown(oldId)).toEqual({ visibility: 'private' })
    expect(await shown(newId)).toEqual({ visibility: 'public' })
    await ok(alice.put(`/directory/list/room/${encodeURIComponent(newId)}`, { visibility: 'private' }))
  })
})

describe('power', () => {
  test.each([
    ['11', () => ({ [bob.userId]: 100 }), [], () => ({})],
    ['11', () => ({ [bob.userId]: 100, [carol.userId]: 100 }), [], () => ({ [carol.userId]: 100 })],
    ['12', () => ({ [bob.userId]: 150, [carol.userId]: 50 }), ['carol'], () => ({})],
    ['12', () => ({ [bob.userId]: 150, [carol.userId]: 50 }), [], () => ({ [carol.userId]: 50 })],
  ] as const)(
    'of a room of version %s goes over to one of version 12 (%#)',
    async (version, users, additional, left) => {
      const oldId = await createRoom(alice, { room_version: version, preset: 'public_chat' })
      await join(bob, oldId)
      await ok(setState(alice, oldId, 'm.room.power_levels', { users: users() }))
      const additional_creators = additional.map(() => carol.userId)
      const newId = await upgraded(bob, oldId, '12', { additional_creators })
      const create = await stateOf(bob, newId, 'm.room.create')
      expect(create['additional_creators']).toEqual(additional.length === 0 ? undefined : additional_creators)
      expect((await stateOf(bob, newId, 'm.room.power_levels'))['users']).toEqual(left())
    },
  )

  test('of a moderator is enough where the tombstone is a moderator’s', async () => {
    const oldId = await createRoom(alice, { room_version: '10', preset: 'public_chat', name: 'Pub' })
    await join(bob, oldId)
    const levels = {
      users: { [alice.userId]: 100, [bob.userId]: 50 },
      events: { 'm.room.tombstone': 50, 'm.room.power_levels': 100 },
    }
    await ok(setState(alice, oldId, 'm.room.power_levels', levels))
    const newId = await upgraded(bob, oldId, '11')
    expect(await stateOf(bob, newId, 'm.room.power_levels')).toMatchObject({ users: levels.users })
    // The old room could not be quietened: that takes power Bob never had.
    expect(await stateOf(alice, oldId, 'm.room.power_levels')).toEqual(levels)
  })

  test('of creators becomes a level where there are none', async () => {
    const oldId = await createRoom(alice, { room_version: '12' })
    const newId = await upgraded(alice, oldId, '11')
    expect(await stateOf(alice, newId, 'm.room.power_levels')).toMatchObject({ users: { [alice.userId]: 150 } })
    await ok(setState(alice, newId, 'm.room.name', { name: 'Still mine' }))
  })

  test('is asked for', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' })
    await join(bob, roomId)
    expect(await upgrade(bob, roomId, '12')).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect(await upgrade(carol, roomId, '12')).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect((await alice.get(at(roomId, '/state/m.room.tombstone'))).status).toBe(404)
  })
})

test.each(['the server', 'a client'])('what users attached to a room follows them to the one by %s', async (by) => {
  const [dave, erin] = [await registerUser(`dave-${by.length}`), await registerUser(`erin-${by.length}`)]
  const oldId = await createRoom(dave, { preset: 'public_chat' })
  await join(erin, oldId)
  const data = (user: User, type: string) => `/user/${encodeURIComponent(user.userId)}/account_data/${type}`
  const tag = (user: User, roomId: string) => `/user/${encodeURIComponent(user.userId)}${at(roomId, '/tags')}`
  for (const user of [dave, erin]) {
    await ok(user.put(data(user, 'm.direct'), { '@x:y': [oldId] }))
    await ok(user.put(`${tag(user, oldId)}/m.favourite`, { order: 0.5 }))
  }
  const newId =
    by === 'the server'
      ? await upgraded(dave, oldId, '12')
      : await createRoom(dave, { preset: 'public_chat', creation_content: { predecessor: { room_id: oldId } } })
  await join(erin, newId)
  for (const user of [dave, erin]) {
    await expect.poll(async () => (await user.get(data(user, 'm.direct'))).body).toEqual({ '@x:y': [oldId, newId] })
    await expect
      .poll(async () => (await user.get(tag(user, newId))).body)
      .toEqual({ tags: { 'm.favourite': { order: 0.5 } } })
  }
})

describe('an upgrade', () => {
  test('of state that the new version does not admit changes nothing', async () => {
    const oldId = await createRoom(alice, { room_version: '5' })
    await ok(alice.put(at(oldId, '/state/m.room.topic'), '{"topic":"half","n":0.5}'))
    expect(await upgrade(alice, oldId, '12')).toMatchObject(refused(400, 'M_BAD_JSON'))
    expect((await alice.get(at(oldId, '/state/m.room.tombstone'))).status).toBe(404)
  })

  test.each([
    [{ new_version: 12 }, 400, 'M_BAD_JSON'],
    [{ new_version: 'mine' }, 400, 'M_UNSUPPORTED_ROOM_VERSION'],
    [{}, 400, 'M_MISSING_PARAM'],
    [{ new_version: '12', additional_creators: 'bob' }, 400, 'M_BAD_JSON'],
    [{ new_version: '12', additional_creators: ['bob'] }, 400, 'M_INVALID_PARAM'],
  ])('to %j is refused', async (body, status, errcode) => {
    const roomId = await createRoom(alice)
    expect(await alice.post(at(roomId, '/upgrade'), body)).toMatchObject(refused(status, errcode))
  })

  test('of a room one was only invited to is refused', async () => {
    const roomId = await createRoom(alice)
    await invite(alice, roomId, bob)
    expect(await upgrade(bob, roomId, '12')).toMatchObject(refused(403, 'M_FORBIDDEN'))
  })
})
