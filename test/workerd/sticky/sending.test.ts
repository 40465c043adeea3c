/** Sending sticky events, and what becomes of them with time. MSC4354 (unstable). */
import type { JsonObject } from '#protocol/json/json.ts'
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, test } from 'vitest'

import { anonymous, registerUser, type User } from '../client.ts'
import { at, createRoom, join, ok, refused, say, setState } from '../rooms/rooms.ts'
import { sync } from '../sync/syncing.ts'
import { event, later, minute, stick, stickyFor, stickyIn } from './sticky.ts'

let alice: User
let bob: User
let roomId: string
beforeAll(async () => {
  alice = await registerUser('sticking-alice')
  bob = await registerUser('sticking-bob')
  roomId = await createRoom(alice, { preset: 'public_chat' })
  await join(bob, roomId)
})

const ttl = 'msc4354_sticky_duration_ttl_ms'
const stub = () => env.ROOM.get(env.ROOM.idFromName(roomId))
const rowsOf = (query: string) => runInDurableObject(stub(), (_, { storage }) => storage.sql.exec(query).toArray())

test('clients are told that it can be done', async () => {
  const { unstable_features: features } = await ok(anonymous.get('/_matrix/client/versions'))
  expect(features).toMatchObject({ 'org.matrix.msc4354': true })
})

describe('a sticky event', () => {
  test('says for how long, and the server how much of that is left', async () => {
    const eventId = await stick(alice, roomId, 'here', { ms: minute })
    const { body } = await event(bob, roomId, eventId)
    expect(body).toMatchObject({ msc4354_sticky: { duration_ms: minute }, content: { body: 'here' } })
    expect(body.unsigned[ttl]).toBeGreaterThan(0)
    expect(body.unsigned[ttl]).toBeLessThanOrEqual(minute)
    await later(roomId, minute)
    const { body: over } = await event(bob, roomId, eventId)
    expect(over).toMatchObject({ msc4354_sticky: { duration_ms: minute } })
    expect(over.unsigned).not.toHaveProperty(ttl)
  })

  test('may be state, and then is sticky anew though it says the same', async () => {
    const path = at(roomId, `/state/org.example.x/${encodeURIComponent(alice.userId)}${stickyFor(minute)}`)
    const first = await ok(alice.put<{ event_id: string }>(path, { a: 1 }))
    const second = await ok(alice.put<{ event_id: string }>(path, { a: 1 }))
    expect(second.event_id).not.toBe(first.event_id)
    expect((await event(bob, roomId, second.event_id)).body).toMatchObject({ msc4354_sticky: { duration_ms: minute } })
    const unchanged = await ok(setState(alice, roomId, 'org.example.x', { a: 1 }, alice.userId))
    expect(unchanged['event_id']).toBe(second.event_id)
  })

  test('is sent once per transaction', async () => {
    const path = at(roomId, `/send/m.room.message/once${stickyFor(minute)}`)
    const ids = [await ok(alice.put(path, { body: 'once' })), await ok(alice.put(path, { body: 'once' }))]
    expect(ids[0]).toEqual(ids[1])
  })

  test('of no time at all is like any other', async () => {
    const eventId = await stick(alice, roomId, 'now', { ms: 0 })
    const { body } = await event(bob, roomId, eventId)
    expect(body.unsigned).not.toHaveProperty(ttl)
  })

  test.each(['3600001', '-1', '1.5', 'x', '', '1e3'])('does not last %j', async (ms) => {
    for (const path of ['/send/m.room.message/bad', '/state/org.example.x/bad']) {
      const answer = await alice.put(at(roomId, path + stickyFor(ms)), { body: 'bad' })
      expect(answer).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    }
  })

  test('is refused to those who may not speak', async () => {
    const carol = await registerUser('sticking-carol')
    const answer = await carol.put(at(roomId, `/send/m.room.message/x${stickyFor(minute)}`), { body: 'x' })
    expect(answer).toMatchObject(refused(403, 'M_FORBIDDEN'))
  })

  test('that is redacted is the same as a normal event', async () => {
    const since = (await sync(bob)).next_batch
    const eventId = await stick(alice, roomId, 'a slip')
    await ok(alice.put(at(roomId, `/redact/${encodeURIComponent(eventId)}/r1`), {}))
    const { body } = await event(bob, roomId, eventId)
    expect(body).not.toHaveProperty('msc4354_sticky')
    expect(body.unsigned).not.toHaveProperty(ttl)
    const filter = { room: { timeline: { types: ['none'] } } }
    expect(stickyIn((await sync(bob, { since, filter })).rooms?.join?.[roomId])).toEqual([])
  })

  test('cannot be forged by what its sender writes', async () => {
    const body = { body: 'forged', msc4354_sticky: { duration_ms: minute }, unsigned: { [ttl]: 1 } }
    const sent = await ok(alice.put<{ event_id: string }>(at(roomId, '/send/m.room.message/forged'), body))
    const { body: shown } = await event(bob, roomId, sent.event_id)
    expect(shown).not.toHaveProperty('msc4354_sticky')
    expect(shown.unsigned).not.toHaveProperty(ttl)
  })
})

describe('a delayed sticky event', () => {
  test('is sticky from when it is sent', async () => {
    const path = at(roomId, `/send/m.room.message/d1${stickyFor(minute)}&org.matrix.msc4140.delay=60000`)
    await ok(alice.put(path, { body: 'later' }))
    expect(await rowsOf('SELECT 1 FROM sticky_events JOIN events USING (nid) WHERE json LIKE \'%"later"%\'')).toEqual(
      [],
    )
    await runInDurableObject(stub(), (_, { storage }) => {
      storage.sql.exec('UPDATE delayed_events SET send_at = send_at - 60000 WHERE finalised_at IS NULL')
      storage.sql.exec("UPDATE alarms SET at = at - 60000 WHERE name = 'delayed'")
    })
    await evictDurableObject(stub())
    await runDurableObjectAlarm(stub())
    const { chunk } = await ok(bob.get<{ chunk: JsonObject[] }>(at(roomId, '/messages?dir=b&limit=1')))
    expect(chunk).toMatchObject([
      {
        content: { body: 'later' },
        msc4354_sticky: { duration_ms: minute },
        unsigned: { [ttl]: expect.any(Number) },
      },
    ])
  })
})

describe('what it costs', () => {
  test('rows of what has expired go when the next one comes', async () => {
    await stick(alice, roomId, 'old')
    await later(roomId, 60 * minute)
    const eventId = await stick(alice, roomId, 'new')
    expect(await rowsOf('SELECT event_id FROM sticky_events JOIN events USING (nid)')).toEqual([{ event_id: eventId }])
  })

  test('a room without such events has neither row nor mark of them', async () => {
    const other = await createRoom(alice)
    await say(alice, other, 'plain')
    const object = env.ROOM.get(env.ROOM.idFromName(other))
    const rows = await runInDurableObject(object, (_, { storage }) =>
      storage.sql.exec('SELECT sticky_until, (SELECT count(*) FROM sticky_events) AS n FROM room').toArray(),
    )
    expect(rows).toEqual([{ sticky_until: 0, n: 0 }])
  })
})
