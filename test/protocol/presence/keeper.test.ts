/** A user's presence with several devices over time: when others are told, and what is written. */
import { beforeEach, expect, test } from 'vitest'

import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import { parseUserId } from '#protocol/identifiers/user-id.ts'
import { busy, type Presence, type PresenceState } from '#protocol/presence/presence.ts'

import { migrations } from '../../../durable-objects/user-sync/migrations.ts'
import { notePresence, presenceAfter, PresenceKeeper, presenceOf } from '../../../durable-objects/user-sync/presence.ts'
import { loadStream } from '../../../durable-objects/user-sync/stream.ts'
import { migrate } from '../../../durable-objects/shared/migrate.ts'
import { nodeStorage } from '../../dsl/node-sql.ts'

const alice = parseUserId('@alice:test.local') ?? never()
const bob = parseUserId('@bob:test.local') ?? never()
const room = parseRoomId('!room:test.local') ?? never()
const minute = 60_000

let db: ReturnType<typeof open>
beforeEach(() => {
  db = open()
})

function open() {
  const storage = nodeStorage()
  migrate(storage, migrations)
  const { sql } = storage
  const stream = loadStream(sql, () => 'epoch')
  const told: { presence: Presence; asked: boolean }[] = []
  const sockets: { deviceId: string; presence: PresenceState }[] = []
  const alarm: { at?: number } = {}
  const alarms = {
    ensure: (_: string, at: number) => void (alarm.at = Math.min(alarm.at ?? Infinity, at)),
    reset: (_: string, at: number) => void (alarm.at = at),
    cancel: () => void delete alarm.at,
  }
  /** A new life of the object: memory is gone, rows and sockets stay. */
  const wake = () =>
    new PresenceKeeper(sql, stream, alarms, {
      userId: alice,
      joinedRooms: () => [room],
      waiting: () => sockets,
      tell: async (_, presence, asked) => {
        told.push({ presence, asked })
        return asked ? [[bob, { presence: 'online', lastActive: 1, statusMsg: undefined }] as const] : []
      },
      noted: () => undefined,
    })
  return { sql, stream, told, sockets, alarm, wake, keeper: wake() }
}
function never(): never {
  throw new Error('not an ID')
}
const states = () => db.told.map(({ presence }) => presence.presence)

test('polls tell once that somebody is there, and write nothing after that', async () => {
  for (let n = 0; n < 100; n++) await db.keeper.polled('A', 'online', n * 1000)
  expect(states()).toEqual(['online'])
  expect(db.stream.position).toBe(1)
  expect(db.alarm.at).toBe(minute)
})

test('a device that polls as offline says nothing', async () => {
  await db.keeper.polled('A', 'offline', 0)
  expect([states(), db.alarm.at]).toEqual([[], undefined])
  await db.keeper.polled('B', 'online', 0)
  await db.keeper.polled('A', 'offline', 1)
  expect(states()).toEqual(['online'])
})

test('the liveliest device decides', async () => {
  await db.keeper.polled('A', 'unavailable', 0)
  await db.keeper.polled('B', 'online', 1)
  await db.keeper.polled('A', 'unavailable', 2)
  await db.keeper.ended('B', 3)
  await db.keeper.ended('A', 4)
  expect(states()).toEqual(['unavailable', 'online', 'unavailable', 'offline'])
})

test('who does not poll any more is gone at the next look; who waits is not', async () => {
  await db.keeper.polled('A', 'online', 0)
  db.sockets.push({ deviceId: 'A', presence: 'online' })
  await db.keeper.look(minute)
  expect([states(), db.alarm.at]).toEqual([['online'], 2 * minute])
  db.sockets.length = 0
  await db.keeper.look(2 * minute)
  expect([states(), db.alarm.at]).toEqual([['online', 'offline'], undefined])
})

test('the same after the object has slept', async () => {
  await db.keeper.polled('A', 'online', 0)
  db.sockets.push({ deviceId: 'A', presence: 'online' })
  await db.wake().look(minute)
  expect(states()).toEqual(['online'])
  db.sockets.length = 0
  await db.wake().look(2 * minute)
  expect(states()).toEqual(['online', 'offline'])
})

test('a status message is told with each change, and goes when another is set', async () => {
  await db.keeper.set('A', 'online', 'here', 0)
  await db.keeper.polled('A', 'unavailable', 1)
  await db.keeper.set('A', 'unavailable', undefined, 2)
  expect(db.told.map(({ presence: { presence, statusMsg } }) => [presence, statusMsg])).toEqual([
    ['online', 'here'],
    ['unavailable', 'here'],
    ['unavailable', undefined],
  ])
})

test('who is busy is so whatever clients poll as, until they say otherwise or are gone (MSC3026)', async () => {
  await db.keeper.set('A', busy, undefined, 0)
  await db.keeper.polled('A', 'online', 1000)
  await db.keeper.polled('B', 'unavailable', 2000)
  expect(states()).toEqual([busy])
  // The object has slept.
  let keeper = db.wake()
  await keeper.polled('B', 'online', 3000)
  expect(states()).toEqual([busy])
  await keeper.set('B', 'online', undefined, 4000)
  expect(states()).toEqual([busy, 'online'])
  await keeper.set('A', busy, undefined, 5000)
  await keeper.polled('B', 'online', 6000)
  await keeper.ended('A', 7000)
  expect(states()).toEqual([busy, 'online', busy, 'online'])
  await keeper.set('B', busy, undefined, 8000)
  keeper = db.wake()
  await keeper.look(8000 + minute)
  await keeper.polled('B', 'online', 9000 + minute)
  expect(states().slice(4)).toEqual([busy, 'offline', 'online'])
})

test('who comes into a room asks who else is there', async () => {
  await db.keeper.joined(room)
  expect(db.told).toEqual([
    { presence: { presence: 'offline', lastActive: undefined, statusMsg: undefined }, asked: true },
  ])
  expect(presenceOf(db.sql, bob)?.presence).toBe('online')
})

test('the stream has each change once, and for beginners those who are there', () => {
  const of = (presence: PresenceState) => ({ presence, lastActive: 5, statusMsg: undefined })
  notePresence(db.sql, db.stream, alice, of('online'))
  const then = db.stream.position
  notePresence(db.sql, db.stream, bob, of('offline'))
  expect(presenceAfter(db.sql, then, false, 10)).toEqual([
    { type: 'm.presence', sender: bob, content: { presence: 'offline', last_active_ago: 5 } },
  ])
  expect(presenceAfter(db.sql, 0, true, 10).map(({ sender }) => sender)).toEqual([alice])
  expect(presenceAfter(db.sql, db.stream.position, false, 10)).toEqual([])
})
