/** What sliding sync tells of rooms: first screens, news, gaps, longer timelines, invites and leaving. */
import { beforeAll, describe, expect, test } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { aMoment, createRoom, invite, join, leave, long, say, setState } from '../sync/syncing.ts'
import { idsIn, messages, newest, places, slide, slider } from './sliding.ts'

let alice: User
let bob: User

beforeAll(async () => {
  alice = await registerUser('slide-alice')
  bob = await registerUser('slide-bob')
})

const room = (user: User, more: object = {}) => createRoom(user, { preset: 'public_chat', ...more })
let people = 0
const newcomer = () => registerUser(`slide-newcomer-${++people}`)

describe('a first request', () => {
  test('shows the rooms of the window, newest activity first, and no others', async () => {
    const user = await newcomer()
    const rooms: string[] = []
    for (let n = 0; n < 4; n++) rooms.push(await room(user, { name: `room ${n}` }))
    await say(user, rooms[0] ?? '', 'hello')
    const answer = await slide(user, newest(2))
    expect(idsIn(answer)).toEqual([rooms[0], rooms[3]])
    expect(answer.lists?.['rooms']?.count).toBe(4)
    expect(new Set(Object.keys(answer.rooms))).toEqual(new Set([rooms[0], rooms[3]]))
    const shown = answer.rooms[rooms[0] ?? '']
    expect(shown).toMatchObject({ initial: true, name: 'room 0', limited: true, joined_count: 1, invited_count: 0 })
    expect(messages(shown)).toEqual(['hello'])
    expect(shown?.num_live).toBe(0)
    expect(shown?.bump_stamp).toBeGreaterThan(answer.rooms[rooms[3] ?? '']?.bump_stamp ?? Infinity)
  })

  test('gives the state that was asked for, and of members only those who matter', async () => {
    const user = await newcomer()
    const its = await room(user, { name: 'state', topic: 'about' })
    await join(alice, its)
    await join(bob, its)
    await say(alice, its, 'hi')
    const ask = (required_state: string[][]) => slide(user, newest(5, { required_state, timeline_limit: 1 }))
    const state = async (wanted: string[][]) => places((await ask(wanted)).rooms[its]?.required_state).toSorted()
    expect(await state([])).toEqual([])
    expect(
      await state([
        ['m.room.name', ''],
        ['m.room.avatar', ''],
      ]),
    ).toEqual(['m.room.name|'])
    expect(await state([['m.room.member', '$ME']])).toEqual([`m.room.member|${user.userId}`])
    expect(
      await state([
        ['m.room.member', '$LAZY'],
        ['m.room.topic', ''],
      ]),
    ).toEqual([`m.room.member|${alice.userId}`, 'm.room.topic|'].toSorted())
    expect(await state([['m.room.member', '*']])).toHaveLength(3)
    const all = await state([
      ['*', '*'],
      ['m.room.member', '$LAZY'],
    ])
    expect(all).toContain('m.room.power_levels|')
    expect(all).toContain(`m.room.member|${alice.userId}`)
    expect(all).not.toContain(`m.room.member|${bob.userId}`)
  })
})

describe('news', () => {
  test('wake who waits, once', async () => {
    const user = await newcomer()
    const its = await room(user)
    await join(bob, its)
    const client = slider(user, newest(5))
    await client.next()
    const waiting = client.next(long)
    await aMoment()
    await say(bob, its, 'psst')
    const answer = await waiting
    expect(messages(answer.rooms[its])).toEqual(['psst'])
    expect(answer.rooms[its]).toMatchObject({ limited: false, num_live: 1, notification_count: 1 })
    expect(answer.rooms[its]).not.toHaveProperty('initial')
    expect((await client.next(20)).rooms).toEqual({})
    expect(client.pos).toBe(answer.pos)
  })

  test('come again when the answer was lost, and not when it was not', async () => {
    const user = await newcomer()
    const its = await room(user)
    const client = slider(user, newest(5))
    await client.next()
    await say(user, its, 'one')
    const lost = await client.again()
    expect(messages(lost.rooms[its])).toEqual(['one'])
    await say(user, its, 'two')
    expect(messages((await client.next()).rooms[its])).toEqual(['one', 'two'])
    expect((await client.next()).rooms).toEqual({})
  })

  test('beyond the limit leave a gap that /messages fills exactly', async () => {
    const user = await newcomer()
    const its = await room(user)
    const client = slider(user, newest(5, { timeline_limit: 3 }))
    await client.next()
    for (let n = 0; n < 8; n++) await say(user, its, `m${n}`)
    const shown = (await client.next()).rooms[its]
    expect(shown).toMatchObject({ limited: true, num_live: 3 })
    expect(messages(shown)).toEqual(['m5', 'm6', 'm7'])
    const query = new URLSearchParams({ dir: 'b', from: shown?.prev_batch ?? '', limit: '5' })
    const before = await user.get<{ chunk: { content: { body: string } }[] }>(
      `/rooms/${encodeURIComponent(its)}/messages?${query.toString()}`,
    )
    expect(before.body.chunk.map(({ content }) => content.body)).toEqual(['m4', 'm3', 'm2', 'm1', 'm0'])
  })

  test('bring state that changed, as far as it was asked for', async () => {
    const user = await newcomer()
    const its = await room(user, { name: 'before' })
    const client = slider(user, newest(5, { required_state: [['m.room.name', '']], timeline_limit: 0 }))
    await client.next()
    await setState(user, its, 'm.room.topic', { topic: 'not asked for' })
    expect((await client.next()).rooms).toEqual({})
    await setState(user, its, 'm.room.name', { name: 'after' })
    const shown = (await client.next()).rooms[its]
    expect(shown).toMatchObject({ name: 'after' })
    expect(places(shown?.required_state)).toEqual(['m.room.name|'])
  })

  test('move a room into the window, where it comes whole, and live', async () => {
    const user = await newcomer()
    const [first, second] = [await room(user), await room(user)]
    const client = slider(user, newest(1))
    expect(idsIn(await client.next())).toEqual([second])
    const waiting = client.next(long)
    await aMoment()
    await say(user, first, 'up')
    const answer = await waiting
    expect(idsIn(answer)).toEqual([first])
    expect(answer.rooms[first]).toMatchObject({ initial: true, num_live: 1 })
    expect(answer.rooms).not.toHaveProperty(second)
  })

  test('of a room that was out of the window meanwhile are not lost', async () => {
    const user = await newcomer()
    const [first, second] = [await room(user), await room(user)]
    const client = slider(user, newest(1))
    await client.next()
    await say(user, first, 'first on top')
    await client.next()
    await setState(user, second, 'm.room.topic', { topic: 'silent' })
    await client.next()
    await say(user, second, 'second on top')
    const answer = await client.next()
    expect(places(answer.rooms[second]?.timeline)).toEqual(['m.room.topic|', 'm.room.message|'])
    expect(answer.rooms[second]).not.toHaveProperty('initial')
  })
})

describe('a client that wants more of a room', () => {
  test('gets the newest events again, as many as it asks for', async () => {
    const user = await newcomer()
    const its = await room(user)
    for (let n = 0; n < 6; n++) await say(user, its, `m${n}`)
    const client = slider(user, newest(5, { timeline_limit: 1 }))
    expect(messages((await client.next()).rooms[its])).toEqual(['m5'])
    const longer = newest(5, { timeline_limit: 4 })
    const shown = (await client.next(0, longer)).rooms[its]
    expect(shown).toMatchObject({ expanded_timeline: true, limited: true, num_live: 0 })
    expect(messages(shown)).toEqual(['m2', 'm3', 'm4', 'm5'])
    expect((await client.next(0, longer)).rooms).toEqual({})
    // Less and then as much again is no more than it has.
    await client.next(0, newest(5, { timeline_limit: 2 }))
    expect((await client.next(0, longer)).rooms).toEqual({})
  })

  test('gets what it asks for in addition, by a subscription too', async () => {
    const user = await newcomer()
    const its = await room(user, { name: 'n', topic: 't' })
    const list = newest(5, { required_state: [['m.room.name', '']] })
    const client = slider(user, list)
    await client.next()
    const subscribed = {
      ...list,
      room_subscriptions: { [its]: { required_state: [['m.room.topic', '']], timeline_limit: 5 } },
    }
    const answer = await client.next(0, subscribed)
    expect(places(answer.rooms[its]?.required_state)).toEqual(['m.room.topic|'])
    expect((await client.next(0, subscribed)).rooms).toEqual({})
  })

  test('may subscribe to a room beside all lists, not to one that is not theirs', async () => {
    const user = await newcomer()
    const mine = await room(user)
    const others = await room(alice)
    const config = { required_state: [], timeline_limit: 10 }
    const answer = await slide(user, { room_subscriptions: { [mine]: config, [others]: config } })
    expect(Object.keys(answer.rooms)).toEqual([mine])
    expect(answer).not.toHaveProperty('lists')
  })
})

describe('invites and ends', () => {
  test('an invite comes with its stripped state, once, and becomes a room', async () => {
    const user = await newcomer()
    const client = slider(user, newest(5, { required_state: [['m.room.create', '']] }))
    await client.next()
    const its = await createRoom(alice, { preset: 'private_chat', name: 'come in' })
    await invite(alice, its, user)
    const invited = (await client.next()).rooms[its]
    expect(invited).toMatchObject({ initial: true, name: 'come in' })
    expect(places(invited?.invite_state)).toContain(`m.room.member|${user.userId}`)
    expect(invited).not.toHaveProperty('timeline')
    expect((await client.next()).rooms).toEqual({})
    await join(user, its)
    const joined = (await client.next()).rooms[its]
    expect(joined).toMatchObject({ initial: true, joined_count: 2 })
    expect(places(joined?.required_state)).toEqual(['m.room.create|'])
  })

  test('of a room that was left comes the end, once, and nothing of what happens there later', async () => {
    const user = await newcomer()
    const its = await room(alice, { name: 'old name' })
    await join(user, its)
    const client = slider(user, newest(5, { required_state: [['m.room.name', '']] }))
    await client.next()
    await say(alice, its, 'last words')
    await leave(user, its)
    await setState(alice, its, 'm.room.name', { name: 'secret' })
    await say(alice, its, 'gone at last')
    const answer = await client.next()
    expect(messages(answer.rooms[its])).toEqual(['last words'])
    expect(JSON.stringify(answer)).not.toMatch(/secret|gone at last/)
    expect(places(answer.rooms[its]?.required_state)).toEqual([`m.room.member|${user.userId}`])
    const after = await client.next()
    expect(after.rooms).toEqual({})
    expect(after.lists?.['rooms']?.count).toBe(0)
    await say(alice, its, 'still here')
    expect((await client.next(20)).rooms).toEqual({})
  })

  test('a kick and a ban are told like a leave; coming back begins the room anew', async () => {
    const user = await newcomer()
    const its = await room(alice)
    await join(user, its)
    const client = slider(user, newest(5))
    await client.next()
    await alice.post(`/rooms/${encodeURIComponent(its)}/ban`, { user_id: user.userId, reason: 'test' })
    const banned = (await client.next()).rooms[its]
    expect(banned?.timeline?.at(-1)?.content).toMatchObject({ membership: 'ban' })
    expect((await client.next()).rooms).toEqual({})
    await alice.post(`/rooms/${encodeURIComponent(its)}/unban`, { user_id: user.userId })
    expect((await client.next()).rooms).toEqual({})
    await join(user, its)
    expect((await client.next()).rooms[its]).toMatchObject({ initial: true })
  })

  test('an invite by somebody who is ignored is in no list', async () => {
    const user = await newcomer()
    await user.put(`/user/${encodeURIComponent(user.userId)}/account_data/m.ignored_user_list`, {
      ignored_users: { [bob.userId]: {} },
    })
    const its = await createRoom(bob, { preset: 'private_chat' })
    await invite(bob, its, user)
    const answer = await slide(user, newest(5))
    expect(answer.lists?.['rooms']?.count).toBe(0)
    expect(answer.rooms).toEqual({})
  })
})
