/** Sticky events over sliding sync. MSC4480 (unstable). */
import { beforeAll, describe, expect, test } from 'vitest'

import { login, registerUser, type User } from '../client.ts'
import { createRoom, invite, join, ok, say, setState } from '../rooms/rooms.ts'
import { newest, slide, type SlidQuery, trySlide } from '../sliding-sync/sliding.ts'
import { aMoment, long, sync, type SyncEvent } from '../sync/syncing.ts'
import { bodiesOf, later, minute, stick } from './sticky.ts'

const extension = 'org.matrix.msc4354.sticky_events'
interface Sticky {
  readonly next_batch: string
  readonly rooms: Readonly<Record<string, { readonly events: readonly SyncEvent[] }>>
}
interface Asked extends SlidQuery {
  readonly since?: string | undefined
  readonly limit?: number
  readonly body?: object
}

/** All rooms are in the list, and none of them in its window. */
const unseen = { lists: { rooms: { ranges: [[500, 500]], required_state: [], timeline_limit: 0 } } }

let alice: User
let people = 0
beforeAll(async () => {
  alice = await registerUser('slidingsticky-alice')
})

/** Somebody new, in rooms of alice's. */
async function somebody(count: number): Promise<{ user: User; rooms: string[] }> {
  const user = await registerUser(`slidingsticky${++people}`)
  const rooms: string[] = []
  for (let index = 0; index < count; index++) {
    const roomId = await createRoom(alice, { preset: 'public_chat', name: `Room ${index}` })
    await join(user, roomId)
    rooms.push(roomId)
  }
  return { user, rooms }
}

const bodyOf = ({ since, limit, body = unseen }: Asked) => {
  const wanted = { enabled: true, ...(since === undefined ? {} : { since }), ...(limit === undefined ? {} : { limit }) }
  return { ...body, extensions: { [extension]: wanted } }
}

async function asked(user: User, asks: Asked = {}) {
  const { pos, timeout } = asks
  const query = { ...(pos === undefined ? {} : { pos }), timeout: timeout ?? 0 }
  const answer = await slide(user, bodyOf(asks), query)
  const sticky: Sticky | undefined = Reflect.get(answer.extensions, extension)
  const texts = Object.fromEntries(
    Object.entries(sticky?.rooms ?? {}).map(([roomId, { events }]) => [roomId, bodiesOf(events)]),
  )
  return { pos: answer.pos, rooms: answer.rooms, since: sticky?.next_batch ?? asks.since, texts, sticky }
}

describe('sticky events', () => {
  test('come of all rooms that a list matches, though no window shows them; each once', async () => {
    const { user, rooms } = await somebody(3)
    const [one = '', two = ''] = rooms
    await stick(alice, one, 'first')
    await stick(alice, two, 'second')
    const first = await asked(user)
    expect(first.texts).toEqual({ [one]: ['first'], [two]: ['second'] })
    expect(first.rooms).toEqual({})
    expect(first.sticky?.rooms[one]?.events[0]).toMatchObject({
      msc4354_sticky: { duration_ms: 5 * minute },
      unsigned: { msc4354_sticky_duration_ttl_ms: expect.any(Number) },
    })
    const second = await asked(user, first)
    expect(second.sticky).toBeUndefined()
    await stick(alice, one, 'third')
    expect((await asked(user, first)).texts).toEqual({ [one]: ['third'] })
    // Without a token all comes again.
    expect((await asked(user)).texts).toEqual({ [one]: ['first', 'third'], [two]: ['second'] })
  })

  test('do not come of rooms that the client does not ask for, nor without the extension', async () => {
    const { user, rooms } = await somebody(2)
    const [one = '', two = ''] = rooms
    for (const roomId of rooms) await stick(alice, roomId, 'here')
    const subscribed = { room_subscriptions: { [one]: { required_state: [], timeline_limit: 0 } } }
    expect((await asked(user, { body: subscribed })).texts).toEqual({ [one]: ['here'] })
    const named = { lists: { rooms: { ...unseen.lists.rooms, filters: { room_name_like: 'Room 1' } } } }
    expect((await asked(user, { body: named })).texts).toEqual({ [two]: ['here'] })
    expect((await asked(user, { body: {} })).texts).toEqual({})
    expect((await slide(user, unseen)).extensions).not.toHaveProperty(extension)
  })

  test('wake a client that waits', async () => {
    const { user, rooms } = await somebody(1)
    const [room = ''] = rooms
    const start = await asked(user)
    const waiting = asked(user, { ...start, timeout: long })
    await aMoment()
    await say(alice, room, 'talk')
    await stick(alice, room, 'here')
    expect((await waiting).texts).toEqual({ [room]: ['here'] })
  })

  test('that are in the timeline do not come beside it, nor after it', async () => {
    const { user, rooms } = await somebody(1)
    const [room = ''] = rooms
    await stick(alice, room, 'first')
    await stick(alice, room, 'second')
    await say(alice, room, 'talk')
    const body = newest(10, { timeline_limit: 2 })
    const first = await asked(user, { body })
    expect(bodiesOf(first.rooms[room]?.timeline)).toEqual(['second', 'talk'])
    expect(first.texts).toEqual({ [room]: ['first'] })
    await stick(alice, room, 'third')
    const second = await asked(user, { ...first, body })
    expect(bodiesOf(second.rooms[room]?.timeline)).toEqual(['third'])
    expect(second.sticky).toMatchObject({ next_batch: expect.any(String), rooms: {} })
    expect((await asked(user, { ...second, body })).sticky).toBeUndefined()
  })

  test('that have expired do not come', async () => {
    const { user, rooms } = await somebody(1)
    const [room = ''] = rooms
    await stick(alice, room, 'short', { ms: minute })
    await stick(alice, room, 'long', { ms: 10 * minute })
    await later(room, 2 * minute)
    expect((await asked(user)).texts).toEqual({ [room]: ['long'] })
  })

  test('of somebody who is ignored do not come, and keep nobody from waiting', async () => {
    const { user, rooms } = await somebody(1)
    const [room = ''] = rooms
    const path = `/user/${encodeURIComponent(user.userId)}/account_data/m.ignored_user_list`
    await ok(user.put(path, { ignored_users: { [alice.userId]: {} } }))
    const start = await asked(user)
    await stick(alice, room, 'ignored')
    expect((await asked(user, start)).sticky).toBeUndefined()
    const waiting = asked(user, { ...start, timeout: long })
    await aMoment()
    const other = await registerUser(`slidingsticky${++people}`)
    await join(other, room)
    await stick(other, room, 'heard')
    expect((await waiting).texts).toEqual({ [room]: ['heard'] })
  })

  test('come to a device though another one has read the room over /sync', async () => {
    const { user, rooms } = await somebody(1)
    const [room = ''] = rooms
    const laptop = await login(user)
    let { next_batch: since } = await sync(laptop)
    let phone = await asked(user)
    for (const text of ['first', 'second', 'third']) {
      await stick(alice, room, text)
      since = (await sync(laptop, { since })).next_batch
      phone = await asked(user, phone)
      expect(phone.texts).toEqual({ [room]: [text] })
    }
  })
})

describe('who comes into a room', () => {
  test('gets all that is sticky there, though history is not for newcomers and they were asked before', async () => {
    const { user } = await somebody(0)
    const room = await createRoom(alice, { preset: 'private_chat' })
    await ok(setState(alice, room, 'm.room.history_visibility', { history_visibility: 'joined' }))
    await stick(alice, room, 'before the invite')
    await invite(alice, room, user)
    const invited = await asked(user)
    expect(invited.texts).toEqual({})
    await stick(alice, room, 'after it')
    await say(alice, room, 'secret')
    const still = await asked(user, invited)
    expect(still.texts).toEqual({})
    await join(user, room)
    const body = newest(10)
    const joined = await asked(user, { ...still, body })
    expect(joined.texts).toEqual({ [room]: ['before the invite', 'after it'] })
    expect(bodiesOf(joined.rooms[room]?.timeline)).not.toContain('secret')
    expect((await asked(user, { ...joined, body })).sticky).toBeUndefined()
  })
})

describe('more than fits into one answer', () => {
  test('comes with the next ones, the oldest first, nothing twice, across rooms', async () => {
    const { user, rooms } = await somebody(3)
    const expected = new Map<string, string[]>()
    for (const [place, roomId] of rooms.entries()) {
      const texts = Array.from({ length: 5 }, (_, index) => `${place}.${index}`)
      for (const text of texts) await stick(alice, roomId, text)
      expected.set(roomId, texts)
    }
    const got = new Map<string, unknown[]>()
    let last = await asked(user, { limit: 2 })
    let answers = 0
    for (; last.sticky; answers++) {
      const texts = Object.entries(last.texts)
      expect(texts.reduce((sum, [, each]) => sum + each.length, 0)).toBeLessThanOrEqual(2)
      for (const [roomId, each] of texts) got.set(roomId, [...(got.get(roomId) ?? []), ...each])
      if (answers === 1) {
        await stick(alice, rooms[2] ?? '', 'late')
        expected.get(rooms[2] ?? '')?.push('late')
      }
      last = await asked(user, { pos: last.pos, since: last.since, limit: 2 })
    }
    expect(answers).toBe(9)
    expect(got).toEqual(expected)
  })

  test('is at most what the server gives', async () => {
    const { user, rooms } = await somebody(1)
    for (let index = 0; index < 101; index++) await stick(alice, rooms[0] ?? '', String(index))
    const first = await asked(user, { limit: 100_000 })
    expect(first.texts[rooms[0] ?? '']).toHaveLength(100)
    expect((await asked(user, { ...first, limit: 0 })).texts).toEqual({ [rooms[0] ?? '']: ['100'] })
  })
})

describe('a token', () => {
  test('of another server, or of somebody else, begins anew', async () => {
    const { user, rooms } = await somebody(1)
    await stick(alice, rooms[0] ?? '', 'here')
    for (const since of ['sticky_12', '5_elsewhere', `5_7_3_elsewhere_${rooms[0]}`]) {
      expect((await asked(user, { since })).texts).toEqual({ [rooms[0] ?? '']: ['here'] })
    }
  })

  test.each(['', 'x', '5', '-1_a', '5_7_3_a_@b:c', 'x'.repeat(5000)])('is none: %j', async (since) => {
    const answer = await trySlide(alice, bodyOf({ since }), {})
    expect(answer).toMatchObject({ status: 400, body: { errcode: 'M_INVALID_PARAM' } })
  })

  test.each([1, {}, [], true])('is a string, not %j', async (since) => {
    const body = { ...unseen, extensions: { [extension]: { enabled: true, since } } }
    expect((await trySlide(alice, body, {})).status).toBe(400)
  })
})
