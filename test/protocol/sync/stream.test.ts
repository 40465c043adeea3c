/** What a user's stream tells the holder of a token, as stories over its rows. */
import { parseRoomId, type RoomId } from '#protocol/identifiers/room-id.ts'
import { parseUserId } from '#protocol/identifiers/user-id.ts'
import { parseSinceToken } from '#protocol/sync/since-token.ts'
import { describe, expect, test } from 'vitest'

import { migrate } from '../../../durable-objects/shared/migrate.ts'
import { getTags, setAccountData, setTag } from '../../../durable-objects/user-sync/account-data.ts'
import { noteDeviceListChange } from '../../../durable-objects/user-sync/device-lists.ts'
import { addDevice, endDevice } from '../../../durable-objects/user-sync/devices.ts'
import { getFilter, storeFilter } from '../../../durable-objects/user-sync/filters.ts'
import { applyRoomChange, commitServed, type Membership } from '../../../durable-objects/user-sync/marks.ts'
import { migrations } from '../../../durable-objects/user-sync/migrations.ts'
import { notePresence } from '../../../durable-objects/user-sync/presence.ts'
import { beginDay, gapsBetween } from '../../../durable-objects/user-sync/prune.ts'
import { hasNews, type Read, readStream } from '../../../durable-objects/user-sync/read.ts'
import { loadStream } from '../../../durable-objects/user-sync/stream.ts'
import { queueToDevice } from '../../../durable-objects/user-sync/to-device.ts'
import { nodeStorage } from '../../dsl/node-sql.ts'

const [a, b, c] = ['!a:x', '!b:x', '!c:x'].map(roomId)
const bob = parseUserId('@bob:x')
const oneDay = 86_400_000

function roomId(text: string): RoomId {
  const parsed = parseRoomId(text)
  if (!parsed) throw new Error(text)
  return parsed
}

interface Asking {
  readonly deviceId?: string
  readonly fullState?: boolean
  readonly includeLeave?: boolean
  readonly now?: number
}

function newUser(epoch = 'alice') {
  const storage = nodeStorage()
  migrate(storage, migrations)
  const { sql } = storage
  const held = { stream: loadStream(sql, () => epoch) }
  const ask = (since?: string, { deviceId = 'D', fullState = false, includeLeave = false, now = 0 }: Asking = {}) =>
    readStream(sql, held.stream, { deviceId, since, fullState, includeLeave }, now)
  return {
    storage,
    sql,
    get stream() {
      return held.stream
    },
    restart() {
      held.stream = loadStream(sql, () => 'other')
    },
    tell: (room: RoomId | undefined, pos: number, membership: Membership = 'join', typing = 0) =>
      applyRoomChange(sql, held.stream, { roomId: room ?? roomId('!none:x'), pos, typing, membership }),
    ask,
    read(since?: string, asking?: Asking): Read {
      const read = ask(since, asking)
      if (!read.ok) throw new Error(read.reason)
      return read
    },
  }
}

const shown = (read: Read) => Object.fromEntries(read.rooms.map((room) => [room.roomId, room.from?.pos ?? null]))

describe('rooms', () => {
  test('come anew to a client without a token, and then only when they changed', () => {
    const user = newUser()
    user.tell(a, 5)
    user.tell(b, 7, 'invite')
    user.tell(c, 9, 'leave')
    const first = user.read()
    expect(shown(first)).toEqual({ '!a:x': null, '!b:x': null })
    expect(hasNews(user.read(first.nextBatch))).toBe(false)
    user.tell(a, 6)
    expect(shown(user.read(first.nextBatch))).toEqual({ '!a:x': 5 })
    expect(shown(user.read(user.read(first.nextBatch).nextBatch))).toEqual({})
  })

  test('that were left are shown to whoever asks for them, or has not heard of it', () => {
    const user = newUser()
    user.tell(a, 5)
    const before = user.read().nextBatch
    user.tell(a, 6, 'ban')
    expect(shown(user.read(before))).toEqual({ '!a:x': 5 })
    // A ban is told without being asked for.
    expect(shown(user.read())).toEqual({ '!a:x': null })
    user.tell(a, 7, 'leave')
    expect(shown(user.read())).toEqual({})
    expect(shown(user.read(undefined, { includeLeave: true }))).toEqual({ '!a:x': null })
    const after = user.read(before).nextBatch
    expect(shown(user.read(after, { includeLeave: true }))).toEqual({})
    expect(shown(user.read(after, { includeLeave: true, fullState: true }))).toEqual({ '!a:x': 7 })
    expect(shown(user.read(before, { fullState: true }))).toEqual({ '!a:x': 5 })
    expect(shown(user.read(after, { fullState: true }))).toEqual({})
  })

  test('all come with full_state, from where the token stands', () => {
    const user = newUser()
    user.tell(a, 5)
    user.tell(b, 3)
    const { nextBatch } = user.read()
    user.tell(a, 8)
    const full = user.read(nextBatch, { fullState: true })
    expect(shown(full)).toEqual({ '!a:x': 5, '!b:x': 3 })
    expect(full.everything).toBe(true)
  })

  test('ignore what they tell twice, or late', () => {
    const user = newUser()
    expect(user.tell(a, 5, 'join', 4)).toBe(true)
    expect(user.tell(a, 5, 'join', 4)).toBe(false)
    expect(user.tell(a, 4, 'leave', 3)).toBe(false)
    expect(user.read().rooms).toMatchObject([{ membership: 'join', known: { pos: 5, typing: 4 } }])
  })

  test('keep the newest list of who is typing, in whatever order they are told', () => {
    const user = newUser()
    user.tell(a, 5, 'join', 4)
    expect(user.tell(a, 5, 'join', 0)).toBe(false)
    expect(user.tell(a, 5, 'join', 3)).toBe(false)
    expect(user.tell(a, 5, 'join', 6)).toBe(true)
    expect(user.read().rooms).toMatchObject([{ known: { pos: 5, typing: 6 } }])
    // The room slept, and has no list any more.
    expect(user.tell(a, 6, 'join', 0)).toBe(true)
    expect(user.read().rooms).toMatchObject([{ known: { pos: 6, typing: 0 } }])
  })

  test('whose membership changed are news even where their position was known already', () => {
    const user = newUser()
    user.tell(a, 5, 'invite')
    const first = user.read()
    // The join was in a slice already, before the room told of it.
    commitServed(user.sql, user.stream, { read: first.token.read, served: [served(a, 6)], failed: [] })
    const second = user.read(first.nextBatch)
    user.tell(a, 6, 'join')
    expect(shown(user.read(second.nextBatch))).toEqual({ '!a:x': 6 })
  })

  test('say which version the holder of a token heard, also after a slice that went further', () => {
    const user = newUser()
    user.tell(a, 5)
    const { token, nextBatch } = user.read()
    const at = commitServed(user.sql, user.stream, { read: token.read, served: [served(a, 9)], failed: [] })
    user.tell(a, 10)
    expect(shown(user.read(nextBatch))).toEqual({ '!a:x': 5 })
    expect(shown(user.read(`s${token.read}_${at}_0_alice`))).toEqual({ '!a:x': 9 })
  })
})

const served = (room: RoomId | undefined, pos: number) => ({ roomId: room ?? roomId('!none:x'), pos, typing: 0 })

describe('a token', () => {
  test.each([
    '',
    's',
    '1_2_3',
    's1',
    's-1_0_0_alice',
    's1_0_0_ALICE',
    's01_0_0_alice',
    `s1${'x'.repeat(300)}`,
    's1_0_0_alice\n',
    'null',
  ])('%j is malformed or foreign, never a crash', (text) => {
    const user = newUser()
    user.tell(a, 5)
    const { kind } = parseSinceToken(text, user.stream)
    expect(kind).not.toBe('ours')
    if (kind === 'malformed') expect(user.ask(text)).toMatchObject({ ok: false, reason: 'invalid_param' })
    else expect(shown(user.read(text))).toEqual({ '!a:x': null })
  })

  test.each([
    ['another user', 's1_0_1_bob'],
    ['the future', 's99999_0_0_alice'],
    ['a commit in the future', 's1_99999_0_alice'],
    ['messages in the future', 's1_0_99999_alice'],
    ['Synapse', 's72594_4483_1934_7_12_1_1_9_0_1'],
    ['numbers beyond counting', 's9999999999999999_0_0_alice'],
  ])('of %s gets everything anew, left rooms too, at once', (_, since) => {
    const user = newUser()
    user.tell(a, 5)
    user.tell(b, 6, 'leave')
    setAccountData(user.sql, user.stream, { type: 'x' }, { y: 1 })
    const read = user.read(since)
    expect(shown(read)).toEqual({ '!a:x': null, '!b:x': null })
    expect(read.accountData).toEqual([{ type: 'x', content: { y: 1 } }])
    expect(read.everything && hasNews(read)).toBe(true)
    expect(hasNews(user.read(read.nextBatch))).toBe(false)
  })

  test('outlives the object, whose positions never come twice', () => {
    const user = newUser()
    user.tell(a, 5)
    const { nextBatch } = user.read()
    user.restart()
    expect(hasNews(user.read(nextBatch))).toBe(false)
    user.tell(a, 6)
    expect(shown(user.read(nextBatch))).toEqual({ '!a:x': 5 })
    expect(user.stream.epoch).toBe('alice')
  })

  test('costs one row per thousand positions', () => {
    const user = newUser()
    const before = user.sql.exec('SELECT total_changes() AS n').toArray()
    for (let n = 1; n <= 1000; n++) setAccountData(user.sql, user.stream, { type: 'x' }, { n })
    const after = user.sql.exec('SELECT total_changes() AS n').toArray()
    expect(Number(after[0]?.['n']) - Number(before[0]?.['n'])).toBe(1001)
  })
})

describe('account data', () => {
  test('comes once per change, and in full to whom everything is new', () => {
    const user = newUser()
    setAccountData(user.sql, user.stream, { type: 'one' }, { n: 1 })
    const first = user.read()
    expect(first.accountData).toEqual([{ type: 'one', content: { n: 1 } }])
    setAccountData(user.sql, user.stream, { type: 'two' }, { n: 1 })
    setAccountData(user.sql, user.stream, { type: 'one' }, { n: 2 })
    const second = user.read(first.nextBatch)
    expect(second.accountData).toEqual([
      { type: 'two', content: { n: 1 } },
      { type: 'one', content: { n: 2 } },
    ])
    expect(user.read(second.nextBatch).accountData).toEqual([])
    expect(user.read(second.nextBatch, { fullState: true }).accountData).toHaveLength(2)
  })

  test('of a room comes with the room; all of it where the room is new to the client', () => {
    const user = newUser()
    const { nextBatch } = user.read()
    setAccountData(user.sql, user.stream, { roomId: a, type: 'old' }, { n: 1 })
    const nowhere = user.read(nextBatch)
    expect(nowhere.rooms).toEqual([])
    user.tell(a, 5)
    const joined = user.read(nowhere.nextBatch)
    expect(joined.rooms).toMatchObject([{ changed: true, accountData: [{ type: 'old', content: { n: 1 } }] }])
    setAccountData(user.sql, user.stream, { roomId: a, type: 'new' }, { x: 1 })
    expect(user.read(joined.nextBatch).rooms).toMatchObject([
      { roomId: a, changed: false, accountData: [{ type: 'new', content: { x: 1 } }] },
    ])
    user.tell(a, 6)
    expect(user.read(joined.nextBatch).rooms).toMatchObject([
      { roomId: a, changed: true, from: { pos: 5 }, accountData: [{ type: 'new', content: { x: 1 } }] },
    ])
  })

  test('tells whom the user ignores, whatever a client wrote there', () => {
    const user = newUser()
    user.tell(a, 5)
    expect(user.read().ignoredUsers).toEqual([])
    setAccountData(user.sql, user.stream, { type: 'm.ignored_user_list' }, { ignored_users: { '@eve:x': {} } })
    expect(user.read().ignoredUsers).toEqual(['@eve:x'])
    setAccountData(user.sql, user.stream, { type: 'm.ignored_user_list' }, { ignored_users: ['@eve:x'] })
    expect(user.read().ignoredUsers).toEqual([])
  })

  test('does not tell of those whom the user ignores that they are there', () => {
    const user = newUser()
    const [eve, bo] = [parseUserId('@eve:x'), parseUserId('@bo:x')]
    if (!eve || !bo) throw new TypeError('no user ID')
    for (const each of [eve, bo])
      notePresence(user.sql, user.stream, each, { presence: 'online', lastActive: 0, statusMsg: undefined })
    setAccountData(user.sql, user.stream, { type: 'm.ignored_user_list' }, { ignored_users: { [eve]: {} } })
    const read = readStream(
      user.sql,
      user.stream,
      { deviceId: 'D', fullState: false, includeLeave: false, presence: 'online' },
      0,
    )
    expect(read.ok && read.presence.map(({ sender }) => sender)).toEqual([bo])
  })

  test('holds the tags of a room, one event for all of them', () => {
    const user = newUser()
    const room = roomId('!a:x')
    user.tell(room, 5)
    const { nextBatch } = user.read()
    setTag(user.sql, user.stream, room, 'm.favourite', { order: 0.25 })
    setTag(user.sql, user.stream, room, '__proto__', {})
    setTag(user.sql, user.stream, room, 'u.work', {})
    setTag(user.sql, user.stream, room, 'u.work', undefined)
    const position = user.stream.position
    setTag(user.sql, user.stream, room, 'u.work', undefined)
    expect(user.stream.position).toBe(position)
    expect(Object.keys(getTags(user.sql, room))).toEqual(['m.favourite', '__proto__'])
    expect(user.read(nextBatch).rooms[0]?.accountData).toHaveLength(1)
  })
})

describe('send-to-device messages', () => {
  const send = (user: ReturnType<typeof newUser>, deviceId: string, n: number) =>
    queueToDevice(user.sql, user.stream, deviceId, { sender: '@bob:x', type: 't', content: { n } })
  const numbers = (read: Read) => read.toDevice.map(({ content }) => content['n'])

  test('come in order to their device only, until it proves that it has them', () => {
    const user = newUser()
    const { nextBatch } = user.read()
    send(user, 'D', 1)
    send(user, 'E', 2)
    send(user, 'D', 3)
    const lost = user.read(nextBatch)
    expect(numbers(lost)).toEqual([1, 3])
    const again = user.read(nextBatch)
    expect(numbers(again)).toEqual([1, 3])
    expect(hasNews(user.read(again.nextBatch))).toBe(false)
    expect(numbers(user.read(nextBatch))).toEqual([])
    expect(numbers(user.read(undefined, { deviceId: 'E' }))).toEqual([2])
  })

  test('come a hundred at a time, and nothing else comes twice meanwhile', () => {
    const user = newUser()
    user.tell(a, 5)
    let { nextBatch } = user.read()
    for (let n = 0; n < 250; n++) send(user, 'D', n)
    user.tell(a, 6)
    const received: unknown[] = []
    const rooms: unknown[] = []
    for (let round = 0; round < 3; round++) {
      const read = user.read(nextBatch)
      received.push(...numbers(read))
      rooms.push(shown(read))
      expect(numbers(user.read(nextBatch))).toEqual(numbers(read))
      nextBatch = read.nextBatch
    }
    expect(received).toEqual(Array.from({ length: 250 }, (_, n) => n))
    expect(rooms).toEqual([{ '!a:x': 5 }, {}, {}])
    expect(hasNews(user.read(nextBatch))).toBe(false)
  })

  test('do not outlive the device, nor reach one that takes its name', () => {
    const user = newUser()
    send(user, 'D', 1)
    endDevice(user.sql, 'D', 0)
    expect(user.ask()).toMatchObject({ ok: false, reason: 'unknown_token' })
    addDevice(user.sql, 'D')
    expect(numbers(user.read())).toEqual([])
  })
})

test('device lists name who changed and who is gone, the newest word per user', () => {
  const user = newUser()
  const { nextBatch } = user.read()
  if (!bob) throw new Error('no bob')
  noteDeviceListChange(user.sql, user.stream, bob, false)
  const second = user.read(nextBatch)
  expect(second.deviceLists).toEqual({ changed: ['@bob:x'], left: [] })
  noteDeviceListChange(user.sql, user.stream, bob, true)
  expect(user.read(nextBatch).deviceLists).toEqual({ changed: [], left: ['@bob:x'] })
  expect(user.read(second.nextBatch).deviceLists).toEqual({ changed: [], left: ['@bob:x'] })
  expect(user.read().deviceLists).toEqual({ changed: [], left: [] })
})

test('filters keep their IDs, and a client cannot store them without end', () => {
  const { sql } = newUser()
  const first = storeFilter(sql, { room: { timeline: { limit: 1 } } })
  expect(storeFilter(sql, { room: { timeline: { limit: 1 } } })).toBe(first)
  expect(getFilter(sql, first ?? '')).toEqual({ room: { timeline: { limit: 1 } } })
  for (const hostile of ['', '0', '99', 'x', '1 OR 1=1', '1e3', '{}', '9'.repeat(30)]) {
    expect(getFilter(sql, hostile)).toBeUndefined()
  }
  for (let n = 0; n < 1100; n++) storeFilter(sql, { n })
  expect(storeFilter(sql, { n: 'one more' })).toBeUndefined()
  expect(storeFilter(sql, { room: { timeline: { limit: 1 } } })).toBe(first)
})

describe('pruning', () => {
  test('keeps the last days and those around which each device was last seen', () => {
    const days = [10, 11, 12, 13, 20, 30, 40].map((day, n) => ({ day, position: n * 100 }))
    expect(gapsBetween(days, [], 47)).toEqual([[0, 600]])
    expect(gapsBetween(days, [], 48)).toEqual([[0, 600]])
    expect(gapsBetween(days, [12], 48)).toEqual([
      [0, 100],
      [400, 600],
    ])
    // On day 25 nothing happened that was noted: it belongs to the days from 20 on.
    expect(gapsBetween(days, [25], 48)).toEqual([
      [0, 400],
      [500, 600],
    ])
    expect(gapsBetween([], [], 48)).toEqual([])
  })

  test('leaves exact answers to tokens of these days, and never a hole for any other', () => {
    const user = newUser()
    const held: { since: string; pos: number; day: number }[] = []
    let pos = 0
    for (let day = 1; day <= 30; day++) {
      const now = day * oneDay
      beginDay(user.sql, user.stream, now)
      for (let n = 0; n < 5; n++) user.tell(a, ++pos)
      // One device is seen every day, the other was last seen on day 10.
      const since = user.read(held.at(-1)?.since, { now }).nextBatch
      if (day === 10) user.read(since, { deviceId: 'asleep', now })
      held.push({ since, pos, day })
    }
    beginDay(user.sql, user.stream, 31 * oneDay)
    user.tell(a, ++pos)
    for (const token of held) {
      const [room] = user.read(token.since, { now: 31 * oneDay }).rooms
      expect(room?.from?.pos ?? 0).toBeLessThanOrEqual(token.pos)
      if (token.day >= 24 || (token.day >= 9 && token.day <= 11)) expect(room?.from?.pos).toBe(token.pos)
    }
    expect(user.sql.exec('SELECT * FROM marks').toArray().length).toBeLessThan(70)
  })

  test('forgets ended devices after a day or two', () => {
    const user = newUser()
    endDevice(user.sql, 'D', 1)
    beginDay(user.sql, user.stream, 2 * oneDay)
    expect(user.ask().ok).toBe(false)
    beginDay(user.sql, user.stream, 3 * oneDay)
    expect(user.ask().ok).toBe(true)
  })
})

describe('migrations', () => {
  test('run once, and refuse a past that was edited', () => {
    const { storage } = newUser()
    expect(() => migrate(storage, migrations)).not.toThrow()
    expect(() => migrate(storage, ['CREATE TABLE other(x)'])).toThrow('migration')
    expect(() => migrate(storage, [])).toThrow('migration')
    migrate(storage, [...migrations, 'CREATE TABLE more(x)'])
    expect(storage.sql.exec('SELECT * FROM more').toArray()).toEqual([])
  })

  test('that fail leave nothing behind', () => {
    const storage = nodeStorage()
    expect(() => migrate(storage, ['CREATE TABLE one(x); CREATE TABLE one(x)'])).toThrow()
    migrate(storage, ['CREATE TABLE one(x)'])
    expect(storage.sql.exec('SELECT * FROM one').toArray()).toEqual([])
  })
})
