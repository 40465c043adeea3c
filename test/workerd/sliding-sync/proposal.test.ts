/** Line by line through MSC4186 where other tests do not go: names, heroes, what changes in the middle of a connection. */
import { beforeAll, describe, expect, test } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { aMoment, createRoom, invite, join, leave, long, say, setState } from '../sync/syncing.ts'
import { idsIn, messages, newest, places, slide, slider } from './sliding.ts'

let alice: User
let bob: User
let people = 0

beforeAll(async () => {
  ;[alice, bob] = [await registerUser('msc-alice'), await registerUser('msc-bob')]
})
const newcomer = () => registerUser(`msc-${++people}`)
const publicRoom = (user: User, more: object = {}) => createRoom(user, { preset: 'public_chat', ...more })
const inRoom = (room: string, rest: string) => `/rooms/${encodeURIComponent(room)}/${rest}`

describe('a name', () => {
  test('that is taken away is null, and heroes stand in for it', async () => {
    const user = await newcomer()
    const room = await publicRoom(user, { name: 'A name' })
    await join(alice, room)
    await setState(user, room, 'm.room.avatar', { url: 'mxc://test.local/a' })
    const client = slider(user, newest(5))
    const first = (await client.next()).rooms[room]
    expect(first).toMatchObject({ name: 'A name', avatar: 'mxc://test.local/a' })
    expect(first).not.toHaveProperty('heroes')
    await setState(user, room, 'm.room.name', { name: '' })
    await setState(user, room, 'm.room.avatar', {})
    const next = (await client.next()).rooms[room]
    expect(next).toMatchObject({ name: null, avatar: null, heroes: [{ user_id: alice.userId }] })
    await setState(user, room, 'm.room.name', { name: 'Another' })
    const last = (await client.next()).rooms[room]
    expect(last).toMatchObject({ name: 'Another' })
    expect(last).not.toHaveProperty('heroes')
    expect(last).not.toHaveProperty('avatar')
  })

  test('is sent again only when it changed, and heroes when members did', async () => {
    const user = await newcomer()
    const room = await publicRoom(user)
    await join(alice, room)
    const client = slider(user, newest(5))
    expect((await client.next()).rooms[room]?.heroes?.map(({ user_id: id }) => id)).toEqual([alice.userId])
    await say(alice, room, 'no change')
    const quiet = (await client.next()).rooms[room]
    for (const field of ['heroes', 'name', 'avatar', 'joined_count', 'invited_count', 'initial']) {
      expect(quiet).not.toHaveProperty(field)
    }
    await join(bob, room)
    const changed = (await client.next()).rooms[room]
    expect(changed?.heroes?.map(({ user_id: id }) => id)).toEqual([alice.userId, bob.userId])
    expect(changed).toMatchObject({ joined_count: 3 })
  })

  test('has five heroes at most, without oneself, with what they are called; those who left where nobody else is', async () => {
    const user = await newcomer()
    const room = await publicRoom(user)
    const others = await Promise.all(Array.from({ length: 7 }, newcomer))
    for (const other of others) await join(other, room)
    const all = (await slide(user, newest(1))).rooms[room]
    expect(all?.heroes).toHaveLength(5)
    expect(all?.heroes?.map(({ user_id: id }) => id)).not.toContain(user.userId)
    expect(all?.heroes?.every(({ displayname }) => displayname !== undefined)).toBe(true)
    for (const other of others) await leave(other, room)
    const gone = (await slide(user, newest(1))).rooms[room]
    expect(gone).toMatchObject({ joined_count: 1 })
    expect(gone?.heroes).toHaveLength(5)
  })
})

describe('in the middle of a connection', () => {
  test('a longer range brings the further rooms at once, and those only', async () => {
    const user = await newcomer()
    const rooms: string[] = []
    for (let n = 0; n < 4; n++) rooms.unshift(await publicRoom(user))
    const client = slider(user, newest(2))
    expect(Object.keys((await client.next()).rooms).toSorted()).toEqual(rooms.slice(0, 2).toSorted())
    const more = await client.next(long, newest(4))
    expect(Object.keys(more.rooms).toSorted()).toEqual(rooms.slice(2).toSorted())
    expect(idsIn(more)).toEqual(rooms)
    // Narrower again and what happens below: nothing.
    await client.next(0, newest(1))
    await say(user, rooms[0] ?? '', 'on top')
    expect(Object.keys((await client.next(0, newest(1))).rooms)).toEqual([rooms[0]])
  })

  test('another filter, and another list, show what they hold', async () => {
    const user = await newcomer()
    const [plain, space] = [
      await publicRoom(user, { name: 'plain' }),
      await publicRoom(user, { creation_content: { type: 'm.space' } }),
    ]
    const client = slider(user, newest(5, { filters: { room_types: ['m.space'] } }))
    expect(Object.keys((await client.next()).rooms)).toEqual([space])
    const other = newest(5, { filters: { not_room_types: ['m.space'] } })
    expect(Object.keys((await client.next(long, other)).rooms)).toEqual([plain])
    const both = { lists: { ...other.lists, all: { ranges: [[0, 9]], required_state: [], timeline_limit: 5 } } }
    const answer = await client.next(0, both)
    expect(answer.lists).toMatchObject({ rooms: { count: 1 }, all: { count: 2 } })
    expect(answer.rooms).toEqual({})
    await say(user, space, 'both are watched')
    expect(messages((await client.next(0, both)).rooms[space])).toEqual(['both are watched'])
  })

  test('more state comes at once, also to who would wait', async () => {
    const user = await newcomer()
    const room = await publicRoom(user, { name: 'n', topic: 't' })
    const client = slider(user, newest(5, { required_state: [['m.room.name', '']] }))
    await client.next()
    const more = (await client.next(long, newest(5, { required_state: [['m.room.topic', '']] }))).rooms[room]
    expect(places(more?.required_state)).toEqual(['m.room.topic|'])
    expect(more).not.toHaveProperty('initial')
    expect(more).not.toHaveProperty('timeline')
  })

  test('a wildcard after what it covers brings what is missing', async () => {
    const user = await newcomer()
    const room = await publicRoom(user, { name: 'n' })
    const client = slider(user, newest(5, { required_state: [['m.room.create', '']] }))
    await client.next()
    const all = (await client.next(0, newest(5, { required_state: [['*', '*']] }))).rooms[room]
    expect(places(all?.required_state)).toEqual(expect.arrayContaining(['m.room.name|', 'm.room.power_levels|']))
  })

  test('a room that is not asked for any more is silent, and goes on from there when it is again', async () => {
    const user = await newcomer()
    const room = await publicRoom(user)
    const subscribed = { room_subscriptions: { [room]: { required_state: [], timeline_limit: 3 } } }
    const client = slider(user, subscribed)
    await client.next()
    await say(user, room, 'heard')
    expect(messages((await client.next()).rooms[room])).toEqual(['heard'])
    await say(user, room, 'unheard')
    expect((await client.next(20, {})).rooms).toEqual({})
    await say(user, room, 'heard again')
    const back = (await client.next(0, subscribed)).rooms[room]
    expect(back).not.toHaveProperty('initial')
    expect(messages(back)).toEqual(['unheard', 'heard again'])
    for (let n = 0; n < 5; n++) await say(user, room, `m${n}`)
    expect((await client.next(0)).rooms[room]).toMatchObject({ limited: true })
  })

  test('nothing is sent twice by a list and a subscription; together they ask for the most of both', async () => {
    const user = await newcomer()
    const room = await publicRoom(user, { name: 'n', topic: 't' })
    for (let n = 0; n < 4; n++) await say(user, room, `m${n}`)
    const body = {
      ...newest(5, { required_state: [['m.room.name', '']], timeline_limit: 1 }),
      room_subscriptions: { [room]: { required_state: [['m.room.topic', '']], timeline_limit: 3 } },
    }
    const shown = (await slide(user, body)).rooms[room]
    expect(messages(shown)).toEqual(['m1', 'm2', 'm3'])
    expect(places(shown?.required_state)).toEqual(['m.room.name|', 'm.room.topic|'])
  })
})

describe('members who are wanted lazily', () => {
  const lazy = newest(5, { required_state: [['m.room.member', '$LAZY']], timeline_limit: 2 })

  test('come once for what they say, again when they change, and by name when they come', async () => {
    const user = await newcomer()
    const room = await publicRoom(user)
    await join(alice, room)
    await join(bob, room)
    const client = slider(user, lazy)
    await client.next()
    const membersNow = async () => places((await client.next()).rooms[room]?.required_state)
    await say(alice, room, 'one')
    await client.next()
    await say(alice, room, 'two')
    expect(await membersNow()).toEqual([])
    await setState(alice, room, 'm.room.member', { membership: 'join', displayname: 'Other' }, alice.userId)
    expect(await membersNow()).toEqual([`m.room.member|${alice.userId}`])
    const carol = await newcomer()
    await join(carol, room)
    expect(await membersNow()).toEqual([`m.room.member|${carol.userId}`])
    await alice.post(inRoom(room, 'leave'))
    expect(await membersNow()).toEqual([`m.room.member|${alice.userId}`])
  })

  test('of a gap are only those who speak after it', async () => {
    const user = await newcomer()
    const room = await publicRoom(user)
    const client = slider(user, lazy)
    await client.next()
    const [carol, dave] = [await newcomer(), await newcomer()]
    await join(carol, room)
    await join(dave, room)
    await say(dave, room, 'one')
    await say(dave, room, 'two')
    const shown = (await client.next()).rooms[room]
    expect(shown).toMatchObject({ limited: true })
    expect(places(shown?.required_state)).toEqual([`m.room.member|${dave.userId}`])
  })
})

test('a knock shows what may be seen from outside, and ends like an invite', async () => {
  const user = await newcomer()
  const client = slider(user, newest(5))
  await client.next()
  const rules = { type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }
  const room = await createRoom(alice, { name: 'Behind a door', initial_state: [rules] })
  expect((await user.post(`/knock/${encodeURIComponent(room)}`)).status).toBe(200)
  const knocked = (await client.next()).rooms[room]
  expect(knocked).toMatchObject({ initial: true, name: 'Behind a door' })
  expect(places(knocked?.invite_state)).toContain('m.room.join_rules|')
  expect(knocked).not.toHaveProperty('timeline')
  await invite(alice, room, user)
  expect(places((await client.next()).rooms[room]?.invite_state)).toContain(`m.room.member|${user.userId}`)
  await join(user, room)
  expect((await client.next()).rooms[room]).toMatchObject({ initial: true, joined_count: 2 })
})

test('a stamp moves with messages and not with what is said about the room', async () => {
  const user = await newcomer()
  const room = await publicRoom(user)
  await say(user, room, 'one')
  const client = slider(user, newest(5))
  const first = (await client.next()).rooms[room]?.bump_stamp ?? 0
  await setState(user, room, 'm.room.topic', { topic: 'x' })
  const quiet = (await client.next()).rooms[room]
  expect(quiet?.bump_stamp ?? first).toBe(first)
  await say(user, room, 'two')
  expect((await client.next()).rooms[room]?.bump_stamp).toBeGreaterThanOrEqual(first)
})

test('the request may have the names that the proposal has now', async () => {
  const user = await newcomer()
  const [first, second] = [await publicRoom(user), await publicRoom(user)]
  const room = await createRoom(alice, { name: 'come in' })
  await invite(alice, room, user)
  const list = { required_state: [], timeline_limit: 0 }
  const answer = await slide(user, {
    lists: {
      invites: { ...list, filters: { is_invited: true } },
      others: { ...list, range: [0, 0], filters: { is_invited: false } },
    },
  })
  expect([idsIn(answer, 'invites'), idsIn(answer, 'others')]).toEqual([[room], [second]])
  expect(answer.rooms).not.toHaveProperty(first)
})

test('extensions for rooms out of sight say nothing of them', async () => {
  const user = await newcomer()
  const [hidden, shown] = [await publicRoom(user), await publicRoom(user)]
  await join(bob, hidden)
  const extensions = { typing: { enabled: true }, receipts: { enabled: true }, account_data: { enabled: true } }
  const client = slider(user, { ...newest(1), extensions })
  expect(idsIn(await client.next())).toEqual([shown])
  await bob.put(inRoom(hidden, `typing/${encodeURIComponent(bob.userId)}`), { typing: true, timeout: 20_000 })
  await user.put(`/user/${encodeURIComponent(user.userId)}${inRoom(hidden, 'account_data/x')}`, { n: 1 })
  const waiting = client.next(long)
  await aMoment()
  await say(user, shown, 'to be seen')
  const answer = await waiting
  expect(JSON.stringify(answer)).not.toContain(hidden)
})

test('a position can be a place in a history', async () => {
  const user = await newcomer()
  const room = await publicRoom(user)
  await say(user, room, 'before')
  const client = slider(user, newest(5))
  const { pos } = await client.next()
  await say(user, room, 'after')
  await client.next()
  const page = async (from: string, dir: string) => {
    const query = new URLSearchParams({ from, dir, limit: '1' })
    const answer = await user.get<{ chunk: { content: unknown }[] }>(inRoom(room, `messages?${query.toString()}`))
    return { status: answer.status, found: answer.body.chunk?.map(({ content }) => content) }
  }
  expect(await page(pos, 'b')).toMatchObject({ status: 200, found: [{ body: 'before' }] })
  expect(await page(pos, 'f')).toMatchObject({ status: 200, found: [{ body: 'after' }] })
  expect(await page(pos.replace(/^\d+/, '99'), 'b')).toMatchObject({ status: 400 })
  // Two answers on, it is forgotten.
  for (const body of ['more', 'and more']) {
    await say(user, room, body)
    await client.next()
  }
  expect(await page(pos, 'b')).toMatchObject({ status: 400 })
})

test('a room that becomes a direct one, or is one no more, says so', async () => {
  const user = await newcomer()
  const [room, other] = [await publicRoom(user), await publicRoom(user)]
  const direct = (content: object) =>
    user.put(`/user/${encodeURIComponent(user.userId)}/account_data/m.direct`, content)
  const client = slider(user, newest(5))
  expect((await client.next()).rooms[room]).not.toHaveProperty('is_dm')
  const waiting = client.next(long)
  await aMoment()
  expect((await direct({ [alice.userId]: [room] })).status).toBe(200)
  expect((await waiting).rooms).toEqual({ [room]: { is_dm: true } })
  expect((await client.next(20)).rooms).toEqual({})
  await say(user, room, 'still')
  expect((await client.next()).rooms[room]).toMatchObject({ is_dm: true })
  await direct({ [alice.userId]: [other] })
  expect((await client.next()).rooms).toEqual({ [room]: { is_dm: false }, [other]: { is_dm: true } })
  await say(user, room, 'not any more')
  expect((await client.next()).rooms[room]).not.toHaveProperty('is_dm')
})
