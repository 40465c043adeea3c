/** What a client gets to see of an event besides what its sender wrote. Spec: client-server-api/#room-event-format. */
import { roomVersions } from '#protocol/room-versions/rules.ts'
import { describe, expect, it } from 'vitest'
import { outcomes } from '../../../durable-objects/room/stored-event.ts'
import { alice, bob, join, makeRoom, publicRoom, rows, say, type TestRoom, withRoom } from '../room/rooms.ts'
import { change, contentsOf, eventIdOf, eventsOf, field, granted, setState, setVisibility, slice } from './reading.ts'
import { begin, receive, roomWithMallory } from './random-room.ts'

const eventOf = async (room: TestRoom, reader: typeof alice, eventId: string, deviceId = 'PHONE') =>
  granted(await room.rpc.event({ reader, deviceId, eventId: eventIdOf(eventId) })).event

describe.each(roomVersions)('room version %s', (version) => {
  it('gives an event as its sender wrote it, and nothing of how it federates', async () => {
    const room = await makeRoom(version, { preset: 'public_chat' })
    const eventId = await say(room, alice, 'hello')
    const event = await eventOf(room, alice, eventId)
    expect(event).toEqual({
      type: 'm.room.message',
      event_id: eventId,
      room_id: room.roomId,
      sender: alice,
      origin_server_ts: expect.any(Number),
      content: { msgtype: 'm.text', body: 'hello' },
      unsigned: { age: expect.any(Number), membership: 'join' },
    })
  })

  it('shows what was redacted as redacted, with the redaction, and says what it redacts twice', async () => {
    const room = await makeRoom(version, { preset: 'public_chat' })
    const eventId = eventIdOf(await say(room, alice, 'regretted'))
    const redacted = granted(await room.rpc.redact({ sender: alice, eventId, content: { reason: 'oh no' } }))
    const event = await eventOf(room, alice, eventId)
    expect(event.content).toEqual({})
    expect(event.unsigned['redacted_because']).toMatchObject({
      type: 'm.room.redaction',
      event_id: redacted.event_id,
      room_id: room.roomId,
      redacts: eventId,
      content: { reason: 'oh no', redacts: eventId },
    })
    const { room: told } = await slice(room, alice)
    const shown = eventsOf(told, 'timeline').find((each) => each['event_id'] === eventId)
    expect(field(shown, 'unsigned', 'redacted_because', 'event_id')).toBe(redacted.event_id)
    expect(field(shown, 'unsigned', 'redacted_because', 'room_id')).toBeUndefined()
  })
})

it('passes on no unsigned of another server, nor any field that events do not have', async () => {
  const room = await roomWithMallory()
  await withRoom(room, (opened) => begin(opened))
  await room.evict()
  const [row] = await rows<{ nid: number; event_id: string; json: string }>(
    room,
    `SELECT nid, event_id, json FROM events WHERE sender LIKE '@mallory%' AND type = 'm.room.member'`,
  )
  // As if it had slipped through everything before.
  const smuggled = {
    ...JSON.parse(row?.json ?? ''),
    unsigned: { prev_content: { secret: 1 }, age: -1 },
    membership: 'ban',
  }
  await rows(room, 'UPDATE events SET json = ? WHERE nid = ?', JSON.stringify(smuggled), row?.nid ?? 0)
  await room.evict()
  const event = await eventOf(room, alice, row?.event_id ?? '')
  expect(Object.keys(event).toSorted()).toEqual(
    ['content', 'event_id', 'origin_server_ts', 'room_id', 'sender', 'state_key', 'type', 'unsigned'].toSorted(),
  )
  expect(Object.keys(event.unsigned).toSorted()).toEqual(['age', 'membership'])
  expect(event.unsigned['age']).not.toBe(-1)
})

it('tells the transaction ID to the device that sent the event, and to no other', async () => {
  const room = await publicRoom()
  await join(room, bob)
  const message = { type: 'm.room.message', content: { body: 'once' }, txnId: 'txn1', deviceId: 'PHONE' }
  const { event_id } = granted(await room.rpc.sendEvent({ sender: alice, ...message }))
  expect((await eventOf(room, alice, event_id)).unsigned['transaction_id']).toBe('txn1')
  expect((await eventOf(room, alice, event_id, 'LAPTOP')).unsigned['transaction_id']).toBeUndefined()
  expect((await eventOf(room, bob, event_id)).unsigned['transaction_id']).toBeUndefined()
  const last = async (reader: typeof alice, deviceId: string) => {
    const { room: told } = await slice(room, reader, { deviceId })
    return field(eventsOf(told, 'timeline').at(-1), 'unsigned', 'transaction_id')
  }
  expect([await last(alice, 'PHONE'), await last(alice, 'LAPTOP'), await last(bob, 'PHONE')]).toEqual([
    'txn1',
    undefined,
    undefined,
  ])
})

it("says what the reader's membership was at each event", async () => {
  const room = await publicRoom()
  await say(room, alice, 'before')
  await change(room, 'invite', bob)
  await say(room, alice, 'while invited')
  await change(room, 'join', bob)
  await say(room, alice, 'here')
  const { room: told } = await slice(room, bob)
  const timeline = eventsOf(told, 'timeline')
  const memberships = timeline
    .filter((event) => event['type'] === 'm.room.message' || event['state_key'] === bob)
    .map((event) => field(event, 'unsigned', 'membership'))
  expect(memberships).toEqual(['leave', 'invite', 'invite', 'join', 'join'])
})

describe('what a state event replaced', () => {
  it('is named, with its content', async () => {
    const room = await publicRoom()
    const first = await setState(room, 'm.room.topic', { topic: 'first' })
    const second = await setState(room, 'm.room.topic', { topic: 'second' })
    const { unsigned } = await eventOf(room, alice, second)
    expect(unsigned).toMatchObject({ replaces_state: first, prev_content: { topic: 'first' } })
    expect((await eventOf(room, alice, first)).unsigned).not.toHaveProperty('replaces_state')
  })

  it('is named without its content where the reader may not see it', async () => {
    const room = await publicRoom()
    await setVisibility(room, 'joined')
    const secret = await setState(room, 'm.room.topic', { topic: 'secret' })
    await change(room, 'join', bob)
    const open = await setState(room, 'm.room.topic', { topic: 'open' })
    const { unsigned } = await eventOf(room, bob, open)
    expect(unsigned['replaces_state']).toBe(secret)
    expect(unsigned).not.toHaveProperty('prev_content')
    const pages = granted(await room.rpc.messages({ reader: bob, dir: 'b', limit: 100 }))
    expect(JSON.stringify(pages.chunk)).not.toContain('"secret"')
  })

  it('is the one of its branch, not of the room', async () => {
    const room = await roomWithMallory()
    await withRoom(room, (opened) => {
      begin(opened)
      const { reader } = opened
      const root = reader.events(reader.header().extremities)
      const topic = (text: string) => ({ type: 'm.room.topic', stateKey: '', content: { topic: text } })
      const left = receive(opened, { ...topic('left'), prev: root })
      receive(opened, { ...topic('right'), prev: root })
      receive(opened, { ...topic('left again'), prev: [left] })
    })
    await room.evict()
    const { room: told } = await slice(room, alice)
    const topics = eventsOf(told, 'timeline').filter((event) => event['type'] === 'm.room.topic')
    expect(topics.map((event) => field(event, 'unsigned', 'prev_content', 'topic'))).toEqual([
      undefined,
      undefined,
      'left',
    ])
  })
})

it('keeps a redaction from those who may not see it', async () => {
  const room = await publicRoom()
  await setVisibility(room, 'joined')
  await change(room, 'join', bob)
  const eventId = eventIdOf(await say(room, bob, 'mine'))
  await change(room, 'leave', bob)
  granted(await room.rpc.redact({ sender: alice, eventId, content: { reason: 'behind his back' } }))
  const event = await eventOf(room, bob, eventId)
  expect(event.content).toEqual({})
  expect(event.unsigned).not.toHaveProperty('redacted_because')
  expect((await eventOf(room, alice, eventId)).unsigned).toHaveProperty('redacted_because')
})

it('ends where two redactions redact each other', async () => {
  const room = await publicRoom()
  const [first, second] = [await say(room, alice, 'a'), await say(room, alice, 'b')]
  await rows(
    room,
    `UPDATE events SET redacted_by = CASE event_id WHEN ?1 THEN (SELECT nid FROM events WHERE event_id = ?2)
       ELSE (SELECT nid FROM events WHERE event_id = ?1) END WHERE event_id IN (?1, ?2)`,
    first,
    second,
  )
  await room.evict()
  const { unsigned } = await eventOf(room, alice, first)
  expect(field(unsigned, 'redacted_because', 'event_id')).toBe(second)
  expect(field(unsigned, 'redacted_because', 'unsigned')).toEqual({ age: expect.any(Number) })
})

it.each([
  ['soft-failed', outcomes.softFailed],
  ['rejected', outcomes.rejected],
])('never shows a %s event, by whatever way', async (_, outcome) => {
  const room = await roomWithMallory()
  const eventId = await withRoom(room, (opened) => {
    begin(opened)
    const prev = opened.reader.events(opened.reader.header().extremities)
    const topic = { type: 'm.room.topic', stateKey: '', content: { topic: 'refused' } }
    return receive(opened, { ...topic, prev, outcome }).event_id
  })
  await room.evict()
  await say(room, alice, 'go on')
  const request = { reader: alice, deviceId: 'PHONE', eventId }
  expect(await room.rpc.event(request)).toMatchObject({ ok: false, reason: 'unknown_event' })
  expect(await room.rpc.context({ ...request, limit: 10 })).toMatchObject({ ok: false, reason: 'unknown_event' })
  expect(await room.rpc.receipt({ user: alice, type: 'm.read', eventId })).toMatchObject({ ok: false })
  const answers = [
    await slice(room, alice),
    await slice(room, alice, { useStateAfter: true }),
    granted(await room.rpc.messages({ reader: alice, dir: 'b', limit: 100 })),
    granted(await room.rpc.stateEvents({ reader: alice })),
  ]
  expect(JSON.stringify(answers)).not.toContain('refused')
})

it('gives the raw event where a filter asks for the format of the federation', async () => {
  const room = await publicRoom()
  await say(room, alice, 'raw')
  const { room: told } = await slice(room, alice, { eventFormat: 'federation' })
  expect(eventsOf(told, 'timeline').at(-1)).toMatchObject({
    content: { body: 'raw' },
    auth_events: expect.any(Array),
    prev_events: expect.any(Array),
    hashes: { sha256: expect.any(String) },
    signatures: { 'test.local': expect.any(Object) },
    event_id: expect.any(String),
    unsigned: { age: expect.any(Number) },
  })
  expect(contentsOf(eventsOf(told, 'timeline'), 'm.room.message')).toEqual([{ msgtype: 'm.text', body: 'raw' }])
})
