/** Sticky events over `/sync`. MSC4354 (unstable), "Sync API changes". */
import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { login, registerUser, type User } from '../client.ts'
import { createRoom, join, ok, say, setState } from '../rooms/rooms.ts'
import { slide } from '../sliding-sync/sliding.ts'
import { aMoment, long, sync } from '../sync/syncing.ts'
import { later, minute, shownIn, stick, stickyIn } from './sticky.ts'

let alice: User
let bob: User
let roomId: string
beforeAll(async () => {
  alice = await registerUser('stickysync-alice')
  bob = await registerUser('stickysync-bob')
})
beforeEach(async () => {
  roomId = await createRoom(alice, { preset: 'public_chat' })
  await join(bob, roomId)
})

const nothing = { room: { timeline: { types: ['org.example.none'] } } }
const short = (limit: number) => ({ room: { timeline: { limit } } })
async function synced(user: User, query: Parameters<typeof sync>[1] = {}) {
  const { rooms, next_batch: since } = await sync(user, query)
  return { room: rooms?.join?.[roomId], since }
}
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => `sticky ${from + index}`)

describe('a sticky event', () => {
  test('comes with the timeline, and only with that', async () => {
    const { since } = await synced(bob)
    await stick(alice, roomId, 'here')
    const { room } = await synced(bob, { since })
    expect(shownIn(room)).toEqual(['here'])
    expect(room).not.toHaveProperty('msc4354_sticky')
  })

  test('comes beside a timeline that has no room for it, once', async () => {
    const { since } = await synced(bob)
    await stick(alice, roomId, 'first')
    for (let index = 0; index < 3; index++) await say(alice, roomId, `talk ${index}`)
    await stick(alice, roomId, 'second')
    for (const query of [{ filter: short(2) }, { filter: short(2), since }]) {
      const { room, since: next } = await synced(bob, query)
      expect(shownIn(room)).toEqual(['talk 2', 'second'])
      expect(room?.timeline?.limited).toBe(true)
      expect(stickyIn(room)).toEqual(['first'])
      expect(room?.msc4354_sticky?.events[0]).toMatchObject({
        msc4354_sticky: { duration_ms: 5 * minute },
        unsigned: { msc4354_sticky_duration_ttl_ms: expect.any(Number), membership: 'join' },
      })
      expect((await synced(bob, { filter: short(2), since: next })).room).toBeUndefined()
    }
  })

  test('that the filter of the timeline keeps out comes none the less, and wakes a client that waits', async () => {
    const { since } = await synced(bob, { filter: nothing })
    const waiting = synced(bob, { filter: nothing, since, timeout: long })
    await aMoment()
    await say(alice, roomId, 'talk')
    await stick(alice, roomId, 'here')
    const { room } = await waiting
    expect(shownIn(room)).toEqual([])
    expect(stickyIn(room)).toEqual(['here'])
  })

  test('comes with the fields that were asked for', async () => {
    await stick(alice, roomId, 'here')
    const { room } = await synced(bob, { filter: { ...nothing, event_fields: ['content.body'] } })
    expect(room?.msc4354_sticky?.events).toEqual([{ content: { body: 'here' } }])
  })

  test('that has expired does not come', async () => {
    await stick(alice, roomId, 'short', { ms: minute })
    await stick(alice, roomId, 'long', { ms: 10 * minute })
    await later(roomId, 2 * minute)
    expect(stickyIn((await synced(bob, { filter: nothing })).room)).toEqual(['long'])
    await later(roomId, 10 * minute)
    expect((await synced(bob, { filter: nothing })).room).not.toHaveProperty('msc4354_sticky')
  })

  test('is found behind very many of somebody who is ignored', async () => {
    const [frank, grace] = [await registerUser('stickysync-frank'), await registerUser('stickysync-grace')]
    await join(frank, roomId)
    await join(grace, roomId)
    const path = `/user/${encodeURIComponent(frank.userId)}/account_data/m.ignored_user_list`
    await ok(frank.put(path, { ignored_users: { [grace.userId]: {} } }))
    const { since } = await synced(frank)
    await stick(grace, roomId, 'spam')
    // As if there were a thousand of it.
    await runInDurableObject(env.ROOM.get(env.ROOM.idFromName(roomId)), (_, { storage }) => {
      storage.sql.exec(
        `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1100)
         INSERT INTO events SELECT 1000000 + i, event_id || i, type, state_key, sender, depth, origin_server_ts, 1000000 + i,
           outcome, state_before, state_after, auth, redacted_by, reject_reason, txn_device, NULL, json
         FROM (SELECT * FROM events ORDER BY nid DESC LIMIT 1), n`,
      )
      storage.sql.exec(
        `INSERT INTO sticky_events SELECT nid, pos, ${Date.now() + 5 * minute} FROM events WHERE nid > 1000000`,
      )
      storage.sql.exec('UPDATE room SET pos = 1001100')
    })
    await evictDurableObject(env.ROOM.get(env.ROOM.idFromName(roomId)))
    await stick(alice, roomId, 'heard')
    const first = await synced(frank, { since, filter: nothing })
    expect(stickyIn(first.room)).toEqual([])
    const second = await synced(frank, { since: first.since, filter: nothing, timeout: long })
    expect(stickyIn(second.room)).toEqual(['heard'])
    const lists = { lists: { rooms: { ranges: [[500, 500]], required_state: [], timeline_limit: 0 } } }
    const extensions = { 'org.matrix.msc4354.sticky_events': { enabled: true } }
    const { pos } = await slide(frank, lists)
    const answer = await slide(frank, { ...lists, extensions }, { pos, timeout: long })
    expect(JSON.stringify(answer.extensions)).toContain('"heard"')
    expect(JSON.stringify(answer.extensions)).not.toContain('"spam"')
  })

  test('of somebody who is ignored does not come', async () => {
    const carol = await registerUser('stickysync-carol')
    await join(carol, roomId)
    await stick(alice, roomId, 'from alice')
    const path = `/user/${encodeURIComponent(carol.userId)}/account_data/m.ignored_user_list`
    await ok(carol.put(path, { ignored_users: { [alice.userId]: {} } }))
    await stick(bob, roomId, 'from bob')
    expect(stickyIn((await synced(carol, { filter: nothing })).room)).toEqual(['from bob'])
  })

  test('comes with its sender where members are told by need', async () => {
    const dave = await registerUser('stickysync-dave')
    await join(dave, roomId)
    await stick(dave, roomId, 'here')
    await say(alice, roomId, 'talk')
    const filter = { room: { timeline: { limit: 1 }, state: { lazy_load_members: true } } }
    const { room } = await synced(bob, { filter })
    expect(stickyIn(room)).toEqual(['here'])
    const members = room?.state?.events.filter(({ type }) => type === 'm.room.member') ?? []
    expect(members.map(({ state_key }) => state_key)).toContain(dave.userId)
  })
})

describe('who comes into the room', () => {
  test('gets all that is sticky, though its history is not for newcomers', async () => {
    await ok(setState(alice, roomId, 'm.room.history_visibility', { history_visibility: 'joined' }))
    await say(alice, roomId, 'secret')
    await stick(alice, roomId, 'call')
    const erin = await registerUser('stickysync-erin')
    const { since } = await synced(erin)
    await join(erin, roomId)
    for (const query of [{ since }, {}]) {
      const { room } = await synced(erin, query)
      expect(shownIn(room)).not.toContain('secret')
      expect(stickyIn(room)).toEqual(['call'])
    }
  })

  test('does so again after an absence, and nobody does meanwhile', async () => {
    const { since } = await synced(bob)
    await stick(alice, roomId, 'before')
    const { since: heard } = await synced(bob, { since })
    await ok(bob.post(`/rooms/${encodeURIComponent(roomId)}/leave`))
    const { rooms, next_batch: left } = await sync(bob, { since: heard })
    await stick(alice, roomId, 'meanwhile')
    expect(rooms?.leave?.[roomId]).not.toHaveProperty('msc4354_sticky')
    expect((await synced(bob, { since: left })).room).toBeUndefined()
    await join(bob, roomId)
    const { room } = await synced(bob, { since: left, filter: nothing })
    expect(stickyIn(room)).toEqual(['before', 'meanwhile'])
  })
})

describe('more than fits into one answer', () => {
  test('comes with the next ones, the oldest first, nothing twice, whatever happens in between', async () => {
    const { since: start } = await synced(bob)
    for (let index = 0; index < 230; index++) await stick(alice, roomId, `sticky ${index}`)
    const phone = await login(bob)
    for (const [user, from, talk] of [
      [phone, {}, []],
      [bob, { since: start }, ['talk']],
    ] as const) {
      const first = await synced(user, { ...from, filter: short(5) })
      expect(shownIn(first.room)).toEqual(numbers(225, 230))
      expect(stickyIn(first.room)).toEqual(numbers(0, 100))
      const second = await synced(user, { since: first.since, filter: short(5), timeout: long })
      expect(shownIn(second.room)).toEqual([])
      expect(stickyIn(second.room)).toEqual(numbers(100, 200))
      // An answer that was lost is given again.
      expect(stickyIn((await synced(user, { since: first.since, filter: short(5) })).room)).toEqual(numbers(100, 200))
      for (const text of talk) await say(alice, roomId, text)
      const third = await synced(user, { since: second.since, filter: short(5) })
      expect(shownIn(third.room)).toEqual(talk)
      expect(stickyIn(third.room)).toEqual(numbers(200, 225))
      expect((await synced(user, { since: third.since, filter: short(5) })).room).toBeUndefined()
    }
  })
})
