/** What a push costs in calls, requests and rows; what does not ring costs less, and without pushers there is no cost. */
import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, beforeAll, expect, test, vi } from 'vitest'

import { RoomDO } from '../../../durable-objects/room/room-do.ts'
import { UserSyncDO } from '../../../durable-objects/user-sync/user-sync-do.ts'
import { registerUser, type User } from '../client.ts'
import { createRoom, join, say, sync } from '../sync/syncing.ts'
import { type Gateway, openGateway, openNetwork } from './gateway.ts'

let alice: User
let bob: User
let room: string
let gateway: Gateway

beforeAll(async () => {
  openNetwork()
  gateway = openGateway('cost.example')
  ;[alice, bob] = [await registerUser('cost-alice'), await registerUser('cost-bob')]
  room = await createRoom(alice, { preset: 'public_chat' })
  await join(bob, room)
  // The messages of their arrival are over.
  await sync(bob)
})
const spies: { mockRestore(): void }[] = []
afterEach(() => {
  for (const spy of spies.splice(0)) spy.mockRestore()
})

/** Counts calls of an object's methods until the test ends. */
function counting(prototype: object): Map<string, number> {
  const counts = new Map<string, number>()
  for (const name of Object.getOwnPropertyNames(prototype)) {
    if (name === 'constructor') continue
    const method: unknown = Reflect.get(prototype, name)
    if (typeof method !== 'function') continue
    const counted = function (this: unknown, ...args: unknown[]): unknown {
      counts.set(name, (counts.get(name) ?? 0) + 1)
      return Reflect.apply(method, this, args)
    }
    Reflect.set(prototype, name, counted)
    spies.push({ mockRestore: () => Reflect.set(prototype, name, method) })
  }
  return counts
}

const objectOf = (user: User) => env.USER_SYNC.get(env.USER_SYNC.idFromName(user.userId))

/** Rows that a user's object writes until the returned function is called. */
async function countingRows(user: User): Promise<() => number> {
  return runInDurableObject(objectOf(user), (_, { storage }) => {
    const spy = vi.spyOn(storage.sql, 'exec')
    spies.push(spy)
    return () =>
      spy.mock.results.reduce((sum, { type, value }) => sum + (type === 'return' ? value.rowsWritten : NaN), 0)
  })
}

async function idle(user: User): Promise<void> {
  await vi.waitFor(
    async () => {
      const rows = await runInDurableObject(objectOf(user), (_, { storage }) =>
        storage.sql.exec("SELECT 1 AS found FROM alarms WHERE name = 'push'").toArray(),
      )
      expect(rows).toEqual([])
    },
    { timeout: 10_000, interval: 50 },
  )
}

test('a push is one call to the user, one to the room and one to the gateway', async () => {
  const data = { url: gateway.url }
  const pusher = {
    app_id: 'a',
    pushkey: 'k',
    kind: 'http',
    app_display_name: '',
    device_display_name: '',
    lang: '',
    data,
  }
  expect((await bob.post('/pushers/set', pusher)).status).toBe(200)
  await idle(bob)
  const [users, rooms] = [counting(UserSyncDO.prototype), counting(RoomDO.prototype)]
  const rows = await countingRows(bob)
  await say(alice, room, 'one')
  await gateway.took(1)
  await idle(bob)
  // Alice does not sync: she was told before.
  expect(Object.fromEntries(users)).toEqual({ roomChanged: 1 })
  expect(Object.fromEntries(rooms)).toEqual({ sendEvent: 1, pushNews: 1 })
  expect(gateway.requests.count).toBe(1)
  console.log(`a push writes ${rows()} rows in the user's object`)
  expect(rows()).toBeLessThanOrEqual(12)
})

test('what does not ring costs the gateway nothing, typing and the receipts of others not even a question', async () => {
  const before = gateway.requests.count
  const eventId = await say(bob, room, 'mine')
  await idle(bob)
  const rooms = counting(RoomDO.prototype)
  const inRoom = `/rooms/${encodeURIComponent(room)}`
  await alice.put(`${inRoom}/typing/${alice.userId}`, { typing: true, timeout: 1000 })
  await alice.post(`${inRoom}/receipt/m.read/${encodeURIComponent(eventId)}`)
  await idle(bob)
  expect(rooms.get('pushNews')).toBeUndefined()
  // The count went down to nothing with the own message.
  expect(gateway.requests.count - before).toBeLessThanOrEqual(1)
})

test('without a pusher nothing of all that runs', async () => {
  await bob.post('/pushers/set', { app_id: 'a', pushkey: 'k', kind: null })
  await say(alice, room, 'the room hears that nobody listens any more')
  const before = gateway.requests.count
  const [users, rooms] = [counting(UserSyncDO.prototype), counting(RoomDO.prototype)]
  for (const body of ['1', '2', '3']) await say(alice, room, body)
  expect(rooms.get('pushNews')).toBeUndefined()
  // Bob does not read, so he was told already; Alice hears of her own first message.
  expect(users.get('roomChanged') ?? 0).toBeLessThanOrEqual(1)
  expect(gateway.requests.count).toBe(before)
})
