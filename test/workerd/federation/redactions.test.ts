/** Redactions by other servers that redact nothing: nobody gets to see them. Spec: rooms/v3 "Handling redactions". */
import type { Pdu } from '#protocol/events/pdu.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { at, type ClientEvent, createRoom, fullState, ok, say } from '../rooms/rooms.ts'
import { joinOver, otherServer, type OtherServer, serversAnswer, signedBy } from './other-server.ts'

let alice: User
let other: OtherServer
beforeAll(async () => {
  alice = await registerUser('redactions_alice')
  other = await otherServer('redactions.test:8448')
})
afterEach(() => {
  vi.restoreAllMocks()
})

let count = 0

describe.each(['3', '10', '11', '12'] as const)('in room version %s', (version) => {
  /** A room with somebody of the other server, who says things in it as they please. */
  async function roomWithGuest() {
    serversAnswer({ [other.name]: () => ({ pdus: {} }) })
    const roomId = await createRoom(alice, { preset: 'public_chat', room_version: version })
    const guest = `@guest:${other.name}`
    const join = await joinOver(other, guest, roomId)
    const state = await fullState(alice, roomId)
    const auth = ['m.room.create', 'm.room.power_levels'].slice(version === '12' ? 1 : 0)
    const authEvents = [
      ...auth.map((type) => state.find((event) => event.type === type)?.event_id ?? ''),
      join.event_id,
    ]

    const make = (fields: JsonObject): Pdu =>
      signedBy(other, version, {
        sender: guest,
        room_id: roomId,
        depth: join.depth + 1,
        origin_server_ts: Date.now(),
        auth_events: authEvents,
        prev_events: [join.event_id],
        ...fields,
      })
    const redaction = (redacts: string) =>
      make({ type: 'm.room.redaction', redacts, content: { redacts, reason: `${(count += 1)}` } })
    const sends = async (...events: Pdu[]) => {
      const body = { origin: other.name, pdus: events.map(({ json }) => json) }
      const { pdus } = await ok(other.ask<{ pdus: JsonObject }>('PUT', `/send/redactions${(count += 1)}`, body))
      expect(pdus).toEqual(Object.fromEntries(events.map(({ event_id: id }) => [id, {}])))
    }
    return { roomId, make, redaction, sends }
  }

  const history = async (roomId: string) =>
    (await ok(alice.get<{ chunk: ClientEvent[] }>(at(roomId, '/messages?dir=b&limit=50')))).chunk
  const idsIn = async (roomId: string) => (await history(roomId)).map(({ event_id: id }) => id)
  const eventOf = (roomId: string, id: string) => alice.get<ClientEvent>(at(roomId, `/event/${encodeURIComponent(id)}`))

  test('one of somebody else’s words', async () => {
    const { roomId, redaction, sends } = await roomWithGuest()
    const said = await say(alice, roomId, 'stays')
    const forged = redaction(said)
    await sends(forged)
    expect(await eventOf(roomId, said)).toMatchObject({ status: 200, body: { content: { body: 'stays' } } })
    expect(await idsIn(roomId)).not.toContain(forged.event_id)
    expect(await eventOf(roomId, forged.event_id)).toMatchObject({ status: 404 })
    const { rooms } = await ok(
      alice.get<{ rooms: { join: Record<string, { timeline: { events: ClientEvent[] } }> } }>('/sync'),
    )
    const timeline = rooms.join[roomId]?.timeline.events.map(({ event_id: id }) => id)
    expect(timeline).toContain(said)
    expect(timeline).not.toContain(forged.event_id)
  })

  test('one of what is in another room, or nowhere', async () => {
    const { roomId, redaction, sends } = await roomWithGuest()
    const elsewhere = await say(alice, await createRoom(alice, { room_version: version }), 'far away')
    const [first, second] = [redaction(elsewhere), redaction(`$${'n'.repeat(43)}`)]
    await sends(first, second)
    const shown = await idsIn(roomId)
    expect(shown).not.toContain(first.event_id)
    expect(shown).not.toContain(second.event_id)
    // Who knows of it may ask: its ID was given to somebody.
    const asked = await ok(eventOf(roomId, second.event_id))
    expect(asked).toMatchObject({ type: 'm.room.redaction', event_id: second.event_id })
  })

  test('one that came before what it redacts is seen when that has come', async () => {
    const { roomId, make, redaction, sends } = await roomWithGuest()
    const message = make({ type: 'm.room.message', content: { msgtype: 'm.text', body: 'regretted' } })
    const early = redaction(message.event_id)
    await sends(early)
    expect(await idsIn(roomId)).not.toContain(early.event_id)
    await sends(message)
    expect(await idsIn(roomId)).toEqual(expect.arrayContaining([early.event_id, message.event_id]))
    expect(await eventOf(roomId, message.event_id)).toMatchObject({ status: 200, body: { content: {} } })
  })
})
