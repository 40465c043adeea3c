/** The published room directory over HTTP. Spec: client-server-api/#published-room-directory. */
import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, test } from 'vitest'

import { anonymous, registerUser, type User } from '../client.ts'
import { createRoom, join, ok, refused, setState } from './rooms.ts'

interface Entry {
  readonly room_id: string
  readonly num_joined_members: number
  readonly name?: string
}
interface List {
  readonly chunk: Entry[]
  readonly next_batch?: string
  readonly prev_batch?: string
  readonly total_room_count_estimate: number
}

let alice: User
let bob: User
let carol: User

beforeAll(async () => {
  alice = await registerUser('publisher')
  bob = await registerUser('browser')
  carol = await registerUser('passer-by')
})

const visibility = (roomId: string) => `/directory/list/room/${encodeURIComponent(roomId)}`
const list = (query = '') => ok(anonymous.get<List>(`/publicRooms${query}`))
const search = (body: object) => ok(alice.post<List>('/publicRooms', body))
const find = async (roomId: string) => (await list()).chunk.find((entry) => entry.room_id === roomId)
const withdraw = (roomId: string) => ok(alice.put(visibility(roomId), { visibility: 'private' }))
/** Makes every entry look as if it had not been asked for in a long time. */
const letTimePass = () => env.DB.prepare('UPDATE public_rooms SET checked_at = 0').run()

describe('a published room', () => {
  test.each([
    [{}, {}],
    [{ name: 'un nom français' }, { name: 'un nom français' }],
    [{ topic: 'un topic à la française' }, { topic: 'un topic à la française' }],
    [{ preset: 'private_chat' }, { join_rule: 'invite', guest_can_join: true }],
    [{ creation_content: { type: 'm.space' } }, { room_type: 'm.space' }],
    [
      { initial_state: [{ type: 'm.room.history_visibility', content: { history_visibility: 'world_readable' } }] },
      { world_readable: true },
    ],
    [
      { initial_state: [{ type: 'm.room.avatar', content: { url: 'mxc://test.local/a' } }] },
      { avatar_url: 'mxc://test.local/a' },
    ],
    [{ name: '', topic: '' }, {}],
  ])('made with %j is listed with %j', async (wishes, expected) => {
    const name = `entry-${Math.random()}`
    const roomId = await createRoom(alice, { visibility: 'public', room_alias_name: name, ...wishes })
    expect(await find(roomId)).toEqual({
      room_id: roomId,
      canonical_alias: `#${name}:test.local`,
      num_joined_members: 1,
      join_rule: 'public',
      world_readable: false,
      guest_can_join: false,
      ...expected,
    })
    await withdraw(roomId)
    expect(await find(roomId)).toBeUndefined()
  })

  test('says of itself that it is public', async () => {
    const roomId = await createRoom(alice)
    expect(await ok(anonymous.get(visibility(roomId)))).toEqual({ visibility: 'private' })
    await ok(alice.put(visibility(roomId), {}))
    expect(await ok(anonymous.get(visibility(roomId)))).toEqual({ visibility: 'public' })
    await ok(alice.put(visibility(roomId), { visibility: 'public' }))
    await withdraw(roomId)
    await withdraw(roomId)
    expect(await ok(anonymous.get(visibility(roomId)))).toEqual({ visibility: 'private' })
  })

  test('is looked at again after a while, and only then', async () => {
    const roomId = await createRoom(alice, { visibility: 'public', preset: 'public_chat', name: 'Before' })
    expect(await find(roomId)).toMatchObject({ name: 'Before', num_joined_members: 1 })
    await ok(setState(alice, roomId, 'm.room.name', { name: 'After' }))
    await join(bob, roomId)
    expect(await find(roomId)).toMatchObject({ name: 'Before', num_joined_members: 1 })
    await letTimePass()
    expect(await find(roomId)).toMatchObject({ name: 'After', num_joined_members: 2 })
    await withdraw(roomId)
  })

  test('that everyone has left is not listed', async () => {
    const roomId = await createRoom(carol, { visibility: 'public' })
    expect(await find(roomId)).toBeDefined()
    await ok(carol.post(`/rooms/${encodeURIComponent(roomId)}/leave`))
    await letTimePass()
    expect(await find(roomId)).toBeUndefined()
  })

  test('with names of another form has none', async () => {
    const strange = ['name', 'topic', 'canonical_alias', 'avatar'].map((what) => ({
      type: `m.room.${what}`,
      content: { name: 7, topic: ['x'], url: {} },
    }))
    const roomId = await createRoom(alice, { visibility: 'public', initial_state: strange })
    const entry = await find(roomId)
    for (const key of ['name', 'topic', 'canonical_alias', 'avatar_url']) expect(entry).not.toHaveProperty(key)
    await withdraw(roomId)
  })
})

describe('publishing', () => {
  test('takes the power to name the room', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' })
    await join(bob, roomId)
    for (const user of [bob, carol]) {
      for (const wanted of ['public', 'private']) {
        expect(await user.put(visibility(roomId), { visibility: wanted })).toMatchObject(refused(403, 'M_FORBIDDEN'))
      }
    }
    await ok(setState(alice, roomId, 'm.room.power_levels', { users: { [bob.userId]: 50 } }))
    await ok(bob.put(visibility(roomId), { visibility: 'public' }))
    await withdraw(roomId)
  })

  test('takes a room and a word for it', async () => {
    const roomId = await createRoom(alice)
    expect(await alice.put(visibility(roomId), { visibility: 'shown' })).toMatchObject(refused(400, 'M_BAD_JSON'))
    for (const client of [alice, anonymous]) {
      expect(await client.get(visibility('!unknown:test.local'))).toMatchObject(refused(404, 'M_NOT_FOUND'))
      expect(await client.get(visibility('room'))).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    }
    expect(await alice.put(visibility('!unknown:test.local'), {})).toMatchObject(refused(404, 'M_NOT_FOUND'))
    expect(await anonymous.put(visibility(roomId), {})).toMatchObject(refused(401, 'M_MISSING_TOKEN'))
  })
})

describe('the directory', () => {
  test('is searched in names, topics and aliases, whatever the case', async () => {
    const rooms = [
      await createRoom(alice, { visibility: 'public', name: 'The WOMBLES' }),
      await createRoom(alice, { visibility: 'public', topic: 'wombles & co: 100%_ÄÖ' }),
      await createRoom(alice, { visibility: 'public', room_alias_name: 'wombles-club' }),
      await createRoom(alice, { visibility: 'public', name: 'None of them' }),
    ]
    const found = async (generic_search_term: string) =>
      (await search({ filter: { generic_search_term } })).chunk
        .map((entry) => `${rooms.indexOf(entry.room_id)}`)
        .toSorted()
    expect(await found('Wombles')).toEqual(['0', '1', '2'])
    expect(await found('100%_äö')).toEqual(['1'])
    expect(await found('%')).toEqual(['1'])
    expect(await found(`'; DROP TABLE public_rooms; --`)).toEqual([])
    expect(await search({ filter: { generic_search_term: 'wombles' } })).toMatchObject({ total_room_count_estimate: 3 })
    for (const room of rooms) await withdraw(room)
  })

  test('is filtered by type', async () => {
    const space = await createRoom(alice, { visibility: 'public', creation_content: { type: 'm.space' } })
    const plain = await createRoom(alice, { visibility: 'public' })
    const found = async (room_types: unknown) =>
      (await search({ filter: { room_types } })).chunk
        .map((entry) => entry.room_id)
        .filter((roomId) => roomId === space || roomId === plain)
    expect(await found(['m.space'])).toEqual([space])
    expect(await found([null])).toEqual([plain])
    expect((await found(['m.space', null])).length).toBe(2)
    expect(await found([])).toEqual([])
    await withdraw(space)
    await withdraw(plain)
  })

  test('is paged through, largest rooms first, there and back', async () => {
    const rooms: string[] = []
    for (let i = 0; i < 5; i++) rooms.push(await createRoom(alice, { visibility: 'public', preset: 'public_chat' }))
    await join(bob, rooms[3] ?? '')
    await join(carol, rooms[3] ?? '')
    await join(bob, rooms[1] ?? '')
    await letTimePass()
    const whole = await list()
    expect(whole).not.toHaveProperty('next_batch')
    expect(whole).not.toHaveProperty('prev_batch')
    expect(whole.total_room_count_estimate).toBe(5)
    expect(whole.chunk.map(({ num_joined_members: size }) => size)).toEqual([3, 2, 1, 1, 1])
    const pages = [await list('?limit=2')]
    for (let next = pages[0]?.next_batch; next !== undefined; next = pages.at(-1)?.next_batch) {
      pages.push(await list(`?limit=2&since=${encodeURIComponent(next)}`))
    }
    expect(pages.map(({ chunk }) => chunk.length)).toEqual([2, 2, 1])
    expect(pages.flatMap(({ chunk }) => chunk)).toEqual(whole.chunk)
    expect(pages[0]).not.toHaveProperty('prev_batch')
    const back = await list(`?limit=2&since=${encodeURIComponent(pages[2]?.prev_batch ?? '')}`)
    expect(back.chunk).toEqual(pages[1]?.chunk)
    const first = await list(`?limit=2&since=${encodeURIComponent(back.prev_batch ?? '')}`)
    expect(first.chunk).toEqual(pages[0]?.chunk)
    expect(first).not.toHaveProperty('prev_batch')
    expect(first).toHaveProperty('next_batch')
    for (const room of rooms) await withdraw(room)
  })

  test('of other networks is empty', async () => {
    expect(await search({ third_party_instance_id: 'irc' })).toEqual({ chunk: [], total_room_count_estimate: 0 })
    await search({ include_all_networks: true, limit: 0 })
  })

  test.each([
    ['?limit=-1', {}, 400, 'M_INVALID_PARAM'],
    ['?since=nonsense', {}, 400, 'M_INVALID_PARAM'],
    ['?since=f1room', {}, 400, 'M_INVALID_PARAM'],
    ['?server=a%20b', {}, 400, 'M_INVALID_PARAM'],
    ['?server=elsewhere.example', {}, 401, 'M_MISSING_TOKEN'],
  ])('cannot be asked %s', async (query, _, status, errcode) => {
    expect(await anonymous.get(`/publicRooms${query}`)).toMatchObject(refused(status, errcode))
  })

  test.each([
    [{ limit: 'many' }, 400, 'M_BAD_JSON'],
    [{ limit: 1.5 }, 400, 'M_BAD_JSON'],
    [{ limit: -1 }, 400, 'M_BAD_JSON'],
    [{ since: 7 }, 400, 'M_BAD_JSON'],
    [{ since: 'nonsense' }, 400, 'M_INVALID_PARAM'],
    [{ filter: 'x' }, 400, 'M_BAD_JSON'],
    [{ filter: { generic_search_term: 7 } }, 400, 'M_BAD_JSON'],
    [{ filter: { room_types: 'm.space' } }, 400, 'M_BAD_JSON'],
    [{ filter: { room_types: [7] } }, 400, 'M_BAD_JSON'],
    [{ filter: { room_types: Array.from({ length: 51 }, () => 'x') } }, 400, 'M_BAD_JSON'],
  ])('cannot be asked %j', async (body, status, errcode) => {
    expect(await alice.post('/publicRooms', body)).toMatchObject(refused(status, errcode))
  })

  test('is searched by users only', async () => {
    expect(await anonymous.post('/publicRooms', {})).toMatchObject(refused(401, 'M_MISSING_TOKEN'))
    await ok(alice.post('/publicRooms', ''))
  })
})
