/** Events that build on what is not here: what is asked of whom, and what comes of it. Spec: server-server-api/#backfilling-and-retrieving-missing-events. */
import { type JsonObject, own } from '#protocol/json/json.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { at, ok } from '../rooms/rooms.ts'
import { FarRoom } from './far-room.ts'
import { type Asked, otherServer, type OtherServer, serversAnswer, signedBy } from './other-server.ts'

let alice: User
let far: OtherServer
beforeAll(async () => {
  alice = await registerUser('catch-alice')
  far = await otherServer('catch.test:8448')
})
afterEach(() => {
  vi.restoreAllMocks()
})

let transactions = 0
const deliver = (...events: Pdu[]) => {
  const pdus = events.map(({ json }) => json)
  return ok(far.ask('PUT', `/send/c${++transactions}`, { origin: far.name, origin_server_ts: 1, pdus, edus: [] }))
}
async function seenBy(user: User, roomId: string): Promise<unknown[]> {
  const { chunk } = await ok(user.get<{ chunk: JsonObject[] }>(at(roomId, '/messages?dir=b&limit=50')))
  return chunk.map(({ event_id }) => event_id)
}
/** Joins the room over its server, which answers for it from then on, as `answer` lets it. */
async function joined(room: FarRoom, answer: (asked: Asked) => object | undefined = (asked) => room.answer(asked)) {
  const asked = serversAnswer({
    [far.name]: (each) => answer(each) ?? (each.path.includes('/send/') ? { pdus: {} } : undefined),
  })
  await ok(alice.post(`/join/${encodeURIComponent(room.roomId)}?via=${far.name}`))
  return asked
}

test('what is too long in bytes alone is rejected in an old room, and what builds on it is taken', async () => {
  const room = new FarRoom(far, '10')
  await joined(room)
  const template = room.build({ type: 'my.room.breaker', stateKey: 'x', content: {} }).json
  const breaker = signedBy(far, '10', { ...template, state_key: '💥'.repeat(70) })
  room.place(breaker)
  const next = room.say('after it')
  await deliver(next)
  await vi.waitFor(async () => expect(await seenBy(alice, room.roomId)).toContain(next.event_id), 10_000)
  expect(await seenBy(alice, room.roomId)).not.toContain(breaker.event_id)
  const place = at(room.roomId, `/state/my.room.breaker/${encodeURIComponent('💥'.repeat(70))}`)
  expect((await alice.get(place)).status).toBe(404)
})

describe('a server that gives less than it was asked for', () => {
  test('is asked for the state behind that at once', async () => {
    const room = new FarRoom(far)
    const asked = await joined(room)
    room.say('lost')
    const [given, last] = [room.say('given'), room.say('last')]
    asked.length = 0
    await deliver(last)
    await vi.waitFor(async () => expect(await seenBy(alice, room.roomId)).toContain(last.event_id), 10_000)
    expect(await seenBy(alice, room.roomId)).toContain(given.event_id)
    const kinds = asked.map((each) => /v1\/(\w+)/.exec(each)?.[1])
    expect(kinds.filter((kind) => kind === 'get_missing_events')).toHaveLength(1)
    expect(kinds).toContain('state_ids')
  })

  test('and whose state cannot be had either, is asked for each thing once, and found by another way', async () => {
    const room = new FarRoom(far)
    const asked: string[] = []
    await joined(room, (question) => {
      if (question.path.includes('/state_ids/')) {
        asked.push(`state of ${question.query.get('event_id')}`)
        return undefined
      }
      if (question.path.includes('/get_missing_events/')) {
        asked.push(`before ${JSON.stringify(own(question.body ?? {}, 'latest_events'))}`)
      }
      return room.answer(question)
    })
    const [lost, given, last] = [room.say('lost'), room.say('given'), room.say('last')]
    await deliver(last)
    await vi.waitFor(() => expect(asked).toContain(`state of ${lost.event_id}`), 10_000)
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(asked[0]).toBe(`before ${JSON.stringify([last.event_id])}`)
    expect(new Set(asked).size).toBe(asked.length)
    // What lies before it is history of the time we were here, which is fetched as such.
    await vi.waitFor(async () => expect(await seenBy(alice, room.roomId)).toContain(given.event_id), 10_000)
  })
})
