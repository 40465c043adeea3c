/** Room aliases over HTTP. Spec: client-server-api/#room-aliases. */
import { beforeAll, describe, expect, test } from 'vitest'

import { anonymous, registerUser, type User } from '../client.ts'
import { at, createRoom, join, nowhere, ok, refused, setState, stateOf } from './rooms.ts'

let alice: User
let bob: User
let carol: User

beforeAll(async () => {
  alice = await registerUser('namer')
  bob = await registerUser('helper')
  carol = await registerUser('stranger')
})

const path = (alias: string) => `/directory/room/${encodeURIComponent(alias)}`
let count = 0
const freshAlias = () => `#alias-${++count}:test.local`
const give = (user: User, roomId: string, alias: string) => user.put(path(alias), { room_id: roomId })
const publicRoom = async () => {
  const roomId = await createRoom(alice, { preset: 'public_chat' })
  await join(bob, roomId)
  return roomId
}

describe('an alias', () => {
  test('leads to its room, for everybody', async () => {
    const [roomId, alias] = [await createRoom(alice), freshAlias()]
    await ok(give(alice, roomId, alias))
    expect(await ok(anonymous.get(path(alias)))).toEqual({ room_id: roomId, servers: ['test.local'] })
    expect(await ok(anonymous.get(`/_matrix/client/r0${path(alias)}`))).toMatchObject({ room_id: roomId })
  })

  test.each(['#老虎Â£я🤨👉ඞ:test.local', '#a/b c%2F?d#e&f:test.local', '#__proto__:test.local', '##x:test.local'])(
    'may be %s',
    async (alias) => {
      const roomId = await createRoom(alice)
      await ok(give(alice, roomId, alias))
      expect(await ok(anonymous.get(path(alias)))).toMatchObject({ room_id: roomId })
    },
  )

  test('belongs to one room', async () => {
    const [first, second, alias] = [await createRoom(alice), await createRoom(alice), freshAlias()]
    await ok(give(alice, first, alias))
    expect(await give(alice, second, alias)).toMatchObject(refused(409, 'M_UNKNOWN'))
    expect(await give(alice, first, alias)).toMatchObject(refused(409, 'M_UNKNOWN'))
    expect(await ok(anonymous.get(path(alias)))).toMatchObject({ room_id: first })
  })

  test('is for members of the room to give', async () => {
    const roomId = await publicRoom()
    await ok(give(bob, roomId, freshAlias()))
    expect(await give(carol, roomId, freshAlias())).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect(await give(carol, '!unknown:test.local', freshAlias())).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect(await anonymous.put(path(freshAlias()), { room_id: roomId })).toMatchObject(refused(401, 'M_MISSING_TOKEN'))
  })

  test.each([
    ['no alias', 'nothing', {}],
    ['a user', '@alice:test.local', {}],
    ['one without a name', '#:test.local', {}],
    ['one of a server that cannot be', '#x:a$b', {}],
    ['one of another server', '#x:elsewhere.example', {}],
    ['one that is too long', `#${'x'.repeat(250)}:test.local`, {}],
    ['a room that is none', '#bad-room:test.local', { room_id: 'room' }],
  ])('cannot be given as %s', async (_, alias, body) => {
    const roomId = await createRoom(alice)
    expect(await alice.put(path(alias), { room_id: roomId, ...body })).toMatchObject(refused(400, 'M_INVALID_PARAM'))
  })

  test('takes a room', async () => {
    expect(await alice.put(path(freshAlias()), {})).toMatchObject(refused(400, 'M_MISSING_PARAM'))
    expect(await alice.put(path(freshAlias()), { room_id: 7 })).toMatchObject(refused(400, 'M_BAD_JSON'))
    expect(await anonymous.get(path(freshAlias()))).toMatchObject(refused(404, 'M_NOT_FOUND'))
    expect(await anonymous.get(path(`#x:${nowhere}`))).toMatchObject(refused(404, 'M_NOT_FOUND'))
    expect(await anonymous.get(path('nothing'))).toMatchObject(refused(400, 'M_INVALID_PARAM'))
  })
})

describe('deleting an alias', () => {
  test('is for who made it, power or not, and takes it out of the room', async () => {
    const [roomId, alias] = [await publicRoom(), freshAlias()]
    await ok(give(bob, roomId, alias))
    await ok(setState(alice, roomId, 'm.room.canonical_alias', { alias }))
    await ok(bob.delete(path(alias)))
    expect(await anonymous.get(path(alias))).toMatchObject(refused(404, 'M_NOT_FOUND'))
    // Bob has no power over the room's state, which is no reason to keep the alias.
    expect(await stateOf(alice, roomId, 'm.room.canonical_alias')).toEqual({ alias })
  })

  test('updates the room where its user may', async () => {
    const [roomId, alias, other] = [await createRoom(alice), freshAlias(), freshAlias()]
    await ok(give(alice, roomId, alias))
    await ok(give(alice, roomId, other))
    await ok(setState(alice, roomId, 'm.room.canonical_alias', { alias, alt_aliases: [alias, other] }))
    await ok(alice.delete(path(alias)))
    expect(await stateOf(alice, roomId, 'm.room.canonical_alias')).toEqual({ alt_aliases: [other] })
    await ok(alice.delete(path(other)))
    expect(await stateOf(alice, roomId, 'm.room.canonical_alias')).toEqual({})
  })

  test('takes it out of the list of published rooms at once', async () => {
    const alias = freshAlias()
    await createRoom(alice, { visibility: 'public', room_alias_name: alias.slice(1, alias.indexOf(':')) })
    const filter = { generic_search_term: alias }
    const found = async () => (await ok(alice.post<{ chunk: object[] }>('/publicRooms', { filter }))).chunk
    expect(await found()).toMatchObject([{ canonical_alias: alias }])
    await ok(alice.delete(path(alias)))
    expect(await found()).toEqual([])
  })

  test('takes power over the alias of another', async () => {
    const [roomId, alias] = [await publicRoom(), freshAlias()]
    await ok(give(alice, roomId, alias))
    for (const user of [bob, carol]) {
      expect(await user.delete(path(alias))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    }
    await ok(setState(alice, roomId, 'm.room.power_levels', { users: { [bob.userId]: 50, [carol.userId]: 50 } }))
    expect(await carol.delete(path(alias))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    await ok(bob.delete(path(alias)))
  })

  test('of nothing is not found', async () => {
    expect(await bob.delete(path('#scatman_portal:test.local'))).toMatchObject(refused(404, 'M_NOT_FOUND'))
    expect(await bob.delete(path('nothing'))).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    expect(await bob.delete(path('#x:elsewhere.example'))).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    expect(await anonymous.delete(path('#x:test.local'))).toMatchObject(refused(401, 'M_MISSING_TOKEN'))
  })
})

describe('the aliases of a room', () => {
  const list = (user: User, roomId: string) => user.get(at(roomId, '/aliases'))

  test('are listed for its members', async () => {
    const roomId = await publicRoom()
    expect(await ok(list(alice, roomId))).toEqual({ aliases: [] })
    const aliases = [freshAlias(), freshAlias()]
    for (const alias of aliases) await ok(give(alice, roomId, alias))
    expect(await ok(list(bob, roomId))).toEqual({ aliases })
    expect(await list(carol, roomId)).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect(await list(carol, '!unknown:test.local')).toMatchObject(refused(403, 'M_FORBIDDEN'))
    await ok(bob.post(at(roomId, '/leave')))
    expect(await list(bob, roomId)).toMatchObject(refused(403, 'M_FORBIDDEN'))
  })

  test('are listed for everybody where the world may read', async () => {
    const open = { type: 'm.room.history_visibility', content: { history_visibility: 'world_readable' } }
    const roomId = await createRoom(alice, { initial_state: [open] })
    expect(await ok(list(carol, roomId))).toEqual({ aliases: [] })
  })
})
