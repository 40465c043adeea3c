/** Unread counts in `/sync`: what counts, what reads it, and who is not told. */
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { registerUser, type User } from '../client.ts'
import {
  createRoom,
  invite,
  join,
  leave,
  say,
  setState,
  sync,
  type SyncedRoom,
  type SyncQuery,
  type UnreadCounts,
} from '../sync/syncing.ts'

let alice: User
let bob: User
let carol: User
let room: string
beforeAll(async () => {
  alice = await registerUser('unread-alice')
  bob = await registerUser('unread-bob')
  carol = await registerUser('unread-carol')
})
beforeEach(async () => {
  room = await createRoom(alice, { preset: 'public_chat' })
  await join(bob, room)
})

type Unread = Pick<SyncedRoom, 'unread_notifications' | 'unread_thread_notifications'>

const byThread = { room: { timeline: { unread_thread_notifications: true } } }
async function unread(user: User, query: SyncQuery = {}): Promise<Unread> {
  const { rooms } = await sync(user, query)
  const { unread_notifications: all, unread_thread_notifications: threads }: Unread = rooms?.join?.[room] ?? {}
  return { ...(all ? { unread_notifications: all } : {}), ...(threads ? { unread_thread_notifications: threads } : {}) }
}
const counts = (notification_count: number, highlight_count = 0): UnreadCounts => ({
  highlight_count,
  notification_count,
})
/** Bob's counts of the whole room: notifying, highlighted. */
async function of(user: User): Promise<readonly [number, number]> {
  const { unread_notifications: all } = await unread(user)
  return [all?.notification_count ?? -1, all?.highlight_count ?? -1]
}

let transactions = 0
async function send(user: User, content: object, type = 'm.room.message'): Promise<string> {
  const path = `/rooms/${encodeURIComponent(room)}/send/${type}/u${(transactions += 1)}`
  const { status, body } = await user.put<{ event_id: string }>(path, content)
  expect(status).toBe(200)
  return body.event_id
}
const text = (body: string, relates?: object) => ({
  msgtype: 'm.text',
  body,
  ...(relates ? { 'm.relates_to': relates } : {}),
})
const inThread = (root: string) => ({ rel_type: 'm.thread', event_id: root })
const mention = (...user_ids: string[]) => ({ ...text('hey'), 'm.mentions': { user_ids } })

async function read(user: User, eventId: string, body: object = {}, type = 'm.read'): Promise<void> {
  const path = `/rooms/${encodeURIComponent(room)}/receipt/${type}/${encodeURIComponent(eventId)}`
  expect((await user.post(path, body)).status).toBe(200)
}
async function redact(user: User, eventId: string): Promise<void> {
  const path = `/rooms/${encodeURIComponent(room)}/redact/${encodeURIComponent(eventId)}/r${(transactions += 1)}`
  expect((await user.put(path, {})).status).toBe(200)
}

describe('unread counts', () => {
  test('are 0 for one who just came, whatever was said before', async () => {
    await say(alice, room, 'before')
    await join(carol, room)
    expect(await of(carol)).toEqual([0, 0])
    expect(await of(alice)).toEqual([0, 0])
  })

  test('grow with what others say and come with the event itself', async () => {
    const { next_batch: since } = await sync(bob)
    await say(alice, room, 'one')
    expect(await unread(bob, { since })).toEqual({ unread_notifications: counts(1) })
    await send(alice, mention(bob.userId))
    await send(alice, mention(alice.userId))
    await send(alice, { ...text('all'), 'm.mentions': { room: true } })
    expect(await unread(bob, { since })).toEqual({ unread_notifications: counts(4, 2) })
    expect(await of(alice)).toEqual([0, 0])
  })

  test('leave out what is silent: notices, edits, reactions, joins, names', async () => {
    const said = await say(alice, room, 'one')
    await send(alice, { msgtype: 'm.notice', body: 'beep' })
    await send(alice, { ...text('* uno'), 'm.relates_to': { rel_type: 'm.replace', event_id: said } })
    await send(alice, { 'm.relates_to': { rel_type: 'm.annotation', event_id: said, key: 'x' } }, 'm.reaction')
    await setState(alice, room, 'm.room.name', { name: 'A room' })
    await join(carol, room)
    expect(await of(bob)).toEqual([1, 0])
  })

  test('do not count whom one ignores, nor highlight a @room of one who may not say it', async () => {
    await join(carol, room)
    await send(carol, { ...text('all'), 'm.mentions': { room: true } })
    expect(await of(bob)).toEqual([1, 0])
    const ignored = { ignored_users: { [carol.userId]: {} } }
    const path = `/user/${encodeURIComponent(bob.userId)}/account_data/m.ignored_user_list`
    await bob.put(path, ignored)
    expect(await of(bob)).toEqual([0, 0])
    await bob.put(path, { ignored_users: {} })
    expect(await of(bob)).toEqual([1, 0])
  })

  test('go by the rules of their user: a muted room has none, a keyword highlights', async () => {
    await send(alice, text('there is cake'))
    await say(alice, room, 'and tea')
    expect(await of(bob)).toEqual([2, 0])
    const rule = (kind: string, id: string) => `/pushrules/global/${kind}/${encodeURIComponent(id)}`
    await bob.put(rule('content', 'cake'), { pattern: 'cake', actions: ['notify', { set_tweak: 'highlight' }] })
    expect(await of(bob)).toEqual([2, 1])
    await bob.put(rule('override', 'mute'), {
      actions: [],
      conditions: [{ kind: 'event_match', key: 'room_id', pattern: room }],
    })
    expect(await of(bob)).toEqual([0, 0])
    await bob.delete(rule('override', 'mute'))
    await bob.delete(rule('content', 'cake'))
    expect(await of(bob)).toEqual([2, 0])
  })

  test.each(['m.read', 'm.read.private'])('end where a receipt of type %s stands', async (type) => {
    const one = await say(alice, room, 'one')
    const two = await send(alice, mention(bob.userId))
    await say(alice, room, 'three')
    await read(bob, one, {}, type)
    expect(await of(bob)).toEqual([2, 1])
    await read(bob, two, {}, type)
    expect(await of(bob)).toEqual([1, 0])
    // The one further ahead counts.
    await read(bob, one, {}, type === 'm.read' ? 'm.read.private' : 'm.read')
    expect(await of(bob)).toEqual([1, 0])
  })

  test('are told to another device when a receipt ends them', async () => {
    const one = await say(alice, room, 'one')
    const { next_batch: since } = await sync(bob)
    await read(bob, one)
    expect(await unread(bob, { since })).toEqual({ unread_notifications: counts(0) })
  })

  test('end with what the user says themselves, not with a new display name', async () => {
    await say(alice, room, 'one')
    await setState(bob, room, 'm.room.member', { membership: 'join', displayname: 'Bobby' }, bob.userId)
    expect(await of(bob)).toEqual([1, 0])
    await say(bob, room, 'two')
    expect(await of(bob)).toEqual([0, 0])
    await say(alice, room, 'three')
    expect(await of(bob)).toEqual([1, 0])
  })

  test('forget what was redacted', async () => {
    await say(alice, room, 'one')
    const two = await send(alice, mention(bob.userId))
    expect(await of(bob)).toEqual([2, 1])
    await redact(alice, two)
    expect(await of(bob)).toEqual([1, 0])
  })

  test('begin anew for one who left and came back', async () => {
    await say(alice, room, 'one')
    await leave(bob, room)
    await say(alice, room, 'two')
    await join(bob, room)
    expect(await of(bob)).toEqual([0, 0])
    await say(alice, room, 'three')
    expect(await of(bob)).toEqual([1, 0])
  })

  test('are none of an invited user’s business', async () => {
    await invite(alice, room, carol)
    const { rooms } = await sync(carol)
    expect(Object.keys(rooms?.invite?.[room] ?? {})).toEqual(['invite_state'])
  })
})

describe('threads', () => {
  test('are counted with the room, or apart for a client that asks', async () => {
    const root = await say(alice, room, 'root')
    await send(alice, text('in', inThread(root)))
    await send(alice, { ...mention(bob.userId), 'm.relates_to': inThread(root) })
    await send(alice, text('of the root', { rel_type: 'm.reference', event_id: root }))
    expect(await unread(bob)).toEqual({ unread_notifications: counts(4, 1) })
    expect(await unread(bob, { filter: byThread })).toEqual({
      unread_notifications: counts(2),
      unread_thread_notifications: { [root]: counts(2, 1) },
    })
  })

  test('are read apart from the rest, and by a receipt of the whole room', async () => {
    const root = await say(alice, room, 'root')
    const first = await send(alice, text('first', inThread(root)))
    const main = await say(alice, room, 'main')
    const second = await send(alice, text('second', inThread(root)))
    await send(alice, text('to the second', { rel_type: 'm.reference', event_id: second }))
    const both = async () => {
      const { unread_notifications: all, unread_thread_notifications: threads } = await unread(bob, {
        filter: byThread,
      })
      return [all?.notification_count, threads?.[root]?.notification_count]
    }
    expect(await both()).toEqual([2, 3])
    await read(bob, main, { thread_id: 'main' })
    expect(await both()).toEqual([0, 3])
    await read(bob, first, { thread_id: root })
    expect(await both()).toEqual([0, 2])
    await read(bob, second)
    expect(await both()).toEqual([0, 1])
    await send(bob, text('mine', inThread(root)))
    expect(await both()).toEqual([0, undefined])
  })

  test('stay unread when the user says something elsewhere', async () => {
    const root = await say(alice, room, 'root')
    await send(alice, text('first', inThread(root)))
    await say(bob, room, 'main')
    expect(await unread(bob, { filter: byThread })).toEqual({
      unread_notifications: counts(0),
      unread_thread_notifications: { [root]: counts(1) },
    })
  })
})
