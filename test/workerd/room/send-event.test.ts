/** Sending: once per transaction, in an order, within the rules, and cheaply. */
import { roomVersions } from '#protocol/room-versions/rules.ts'
import { env } from 'cloudflare:workers'
import { describe, expect, it, vi } from 'vitest'
import { sendEvent } from '../../../durable-objects/room/send-event.ts'
import { setMembership } from '../../../durable-objects/room/membership.ts'
import { serverIdentity } from '../../../worker/server-identity.ts'
import {
  alice,
  bob,
  carol,
  freshRoomId,
  join,
  makeRoom,
  mallory,
  publicRoom,
  roomObject,
  rows,
  say,
  stateContent,
  timeline,
  type TestRoom,
  withRoom,
} from './rooms.ts'

const text = { type: 'm.room.message', content: { msgtype: 'm.text', body: 'hello' } }
const counts = (room: TestRoom) => rows(room, 'SELECT count(*) AS events, max(pos) AS pos FROM events')

describe.each(roomVersions)('room version %s', (version) => {
  it('takes messages and state from who is joined, and from nobody else', async () => {
    const room = await publicRoom(version)
    await say(room, alice, 'first')
    const topic = { type: 'm.room.topic', stateKey: '', content: { topic: 'tea' } }
    expect(await room.rpc.sendEvent({ sender: alice, ...topic })).toMatchObject({ ok: true })
    expect(await stateContent(room, 'm.room.topic')).toEqual({ topic: 'tea' })
    const before = await counts(room)
    expect(await room.rpc.sendEvent({ sender: bob, ...text })).toEqual({ ok: false, reason: 'not_in_room' })
    await join(room, bob)
    expect(await room.rpc.sendEvent({ sender: bob, ...text })).toMatchObject({ ok: true })
    const refused = await room.rpc.sendEvent({ sender: bob, ...topic, content: { topic: 'coffee' } })
    expect(refused).toMatchObject({ ok: false, reason: 'event_not_allowed' })
    expect(await counts(room)).toEqual([
      { events: Number(before[0]?.['events']) + 2, pos: Number(before[0]?.['pos']) + 2 },
    ])
    expect(await stateContent(room, 'm.room.topic')).toEqual({ topic: 'tea' })
  })
})

describe('a transaction', () => {
  const device = { sender: alice, deviceId: 'PHONE', txnId: '1' }

  it('is carried out once, whatever comes the second time', async () => {
    const room = await makeRoom()
    const first = await room.rpc.sendEvent({ ...device, ...text })
    expect(first).toMatchObject({ ok: true })
    expect(await room.rpc.sendEvent({ ...device, ...text })).toEqual(first)
    expect(await room.rpc.sendEvent({ ...device, type: text.type, content: { body: 'other' } })).toEqual(first)
    expect((await timeline(room)).filter((type) => type === text.type)).toHaveLength(1)
  })

  it('belongs to one device and one type of event', async () => {
    const room = await publicRoom()
    await join(room, bob)
    const ids = new Set()
    for (const request of [
      { ...device, ...text },
      { ...device, ...text, deviceId: 'LAPTOP' },
      { ...device, ...text, sender: bob },
      { ...device, ...text, txnId: '2' },
      { ...device, ...text, type: 'm.sticker' },
      { sender: alice, txnId: '1', ...text },
    ]) {
      const sent = await room.rpc.sendEvent(request)
      ids.add(sent.ok ? sent.event_id : sent.reason)
    }
    expect(ids.size).toBe(6)
  })

  it('is remembered by an object that was evicted', async () => {
    const room = await makeRoom()
    const first = await room.rpc.sendEvent({ ...device, ...text })
    await room.evict()
    expect(await room.rpc.sendEvent({ ...device, ...text })).toEqual(first)
  })

  it('that was refused can be tried again', async () => {
    const room = await publicRoom()
    expect(await room.rpc.sendEvent({ ...device, sender: bob, ...text })).toMatchObject({ ok: false })
    await join(room, bob)
    expect(await room.rpc.sendEvent({ ...device, sender: bob, ...text })).toMatchObject({ ok: true })
  })

  it('sent twice at once is carried out once', async () => {
    const room = await makeRoom()
    const both = await Promise.all([
      room.rpc.sendEvent({ ...device, ...text }),
      room.rpc.sendEvent({ ...device, ...text }),
    ])
    expect(both[0]).toEqual(both[1])
    expect((await timeline(room)).filter((type) => type === text.type)).toHaveLength(1)
  })
})

it('gives sends at once positions of their own and prev_events of their own, and loses none', async () => {
  const room = await publicRoom()
  await join(room, bob)
  const count = 50
  const sends = Array.from({ length: count }, (_, at) => say(room, at % 2 ? alice : bob, `message ${at}`))
  const ids = new Set(await Promise.all(sends))
  expect(ids.size).toBe(count)
  const events = await rows<{ event_id: string; json: string }>(
    room,
    "SELECT event_id, json FROM events WHERE type = 'm.room.message' ORDER BY pos",
  )
  expect(new Set(events.map(({ event_id }) => event_id))).toEqual(ids)
  // Each follows the one before it: the DAG is a line, in the order of positions.
  const prevs = events.map(({ json }): string[] => JSON.parse(json).prev_events)
  expect(prevs.slice(1)).toEqual(events.slice(0, -1).map(({ event_id }) => [event_id]))
})

describe('state that is set already', () => {
  const topic = { sender: alice, type: 'm.room.topic', stateKey: '', content: { topic: 'tea', more: { a: 1, b: [2] } } }

  it('is not sent again', async () => {
    const room = await makeRoom()
    const first = await room.rpc.sendEvent(topic)
    const again = await room.rpc.sendEvent({ ...topic, content: { more: { b: [2], a: 1 }, topic: 'tea' } })
    expect(again).toEqual(first)
    expect((await timeline(room)).filter((type) => type === 'm.room.topic')).toHaveLength(1)
  })

  it('is sent when the content differs, or somebody else says the same', async () => {
    const room = await makeRoom('11', {
      preset: 'public_chat',
      powerLevelContentOverride: { events: { 'm.room.topic': 0 } },
    })
    await join(room, bob)
    const ids = new Set()
    for (const request of [
      topic,
      { ...topic, content: { topic: 'coffee' } },
      topic,
      { ...topic, sender: bob },
      { ...topic, content: { topic: 'tea', more: { a: 1, b: [2, 3] } } },
    ]) {
      const sent = await room.rpc.sendEvent(request)
      ids.add(sent.ok ? sent.event_id : sent.reason)
    }
    expect(ids.size).toBe(5)
  })
})

describe('what a client must not send', () => {
  it.each([
    ['a second create event', { type: 'm.room.create', stateKey: '', content: { room_version: '12' } }],
    ['a redaction that nobody checked', { type: 'm.room.redaction', content: { redacts: `$${'x'.repeat(43)}` } }],
    ['a redaction as state', { type: 'm.room.redaction', stateKey: '', content: { redacts: `$${'x'.repeat(43)}` } }],
    ['a create event as a message', { type: 'm.room.create', content: {} }],
    ['state with the ID of another user as its key', { type: 'm.space', stateKey: bob, content: {} }],
    [
      'power levels that list strings',
      { type: 'm.room.power_levels', stateKey: '', content: { users: { [bob]: '9' } } },
    ],
    [
      'power levels that list a creator',
      { type: 'm.room.power_levels', stateKey: '', content: { users: { [alice]: 1 } } },
    ],
    ['a membership of another user', { type: 'm.room.member', stateKey: bob, content: { membership: 'join' } }],
    ['a membership without a state key', { type: 'm.room.member', content: { membership: 'join' } }],
    ['a membership that is none', { type: 'm.room.member', stateKey: alice, content: { membership: 'owner' } }],
  ])('%s: the rules refuse it, and nothing is left', async (_, event) => {
    const room = await makeRoom()
    const before = await rows(room, 'SELECT * FROM events')
    const sent = await room.rpc.sendEvent({ sender: alice, ...event })
    expect(sent).toMatchObject({ ok: false, reason: 'event_not_allowed' })
    expect(await rows(room, 'SELECT * FROM events')).toEqual(before)
  })

  it.each([
    ['a float', { content: { level: 0.5 } }, 'bad_json'],
    ['an integer beyond 2^53', { content: { level: 2 ** 53 } }, 'bad_json'],
    ['half a character', { content: { body: '\ud800' } }, 'bad_json'],
    ['65,536 bytes and the rest of the event', { content: { body: 'x'.repeat(65_536) } }, 'too_large'],
    ['a type of 256 bytes', { type: 'é'.repeat(128), content: {} }, 'too_large'],
    ['a state key of 256 bytes', { stateKey: 'x'.repeat(256), content: {} }, 'too_large'],
  ])('%s: no event holds that', async (_, event, reason) => {
    const room = await makeRoom()
    const before = await counts(room)
    expect(await room.rpc.sendEvent({ sender: alice, type: 'm.x', ...event })).toMatchObject({ ok: false, reason })
    expect(await counts(room)).toEqual(before)
  })

  it('anything at all, into a room that somebody made up', async () => {
    const room = roomObject(freshRoomId())
    expect(await room.rpc.sendEvent({ sender: mallory, ...text })).toEqual({ ok: false, reason: 'unknown_room' })
  })
})

describe('what an event costs', () => {
  /** Rows that a piece of work writes, index entries included, as Cloudflare bills them. */
  async function rowsWritten(room: TestRoom, work: Parameters<typeof withRoom>[1]): Promise<number> {
    const written = await withRoom(room, (opened, storage) => {
      // Caches are warm in a room that is in use.
      work(opened, storage)
      const exec = vi.spyOn(opened.reader.sql, 'exec')
      work(opened, storage)
      const cursors = exec.mock.results.map((result) => (result.type === 'return' ? result.value.rowsWritten : NaN))
      exec.mockRestore()
      return cursors.reduce((sum, count) => sum + count, 0)
    })
    await room.evict()
    return written
  }

  it('is seven rows for a message, one of them in the search index', async () => {
    const room = await makeRoom()
    const identity = await serverIdentity(env)
    let txn = 0
    const written = await rowsWritten(room, (opened) => {
      const request = { sender: alice, deviceId: 'PHONE', txnId: `t${(txn += 1)}`, ...text }
      expect(sendEvent(opened, identity, request, Date.now())).toMatchObject({ ok: true, isNew: true })
    })
    expect(written).toBe(7)
  })

  it('is at most eight rows for state that can be searched, and as many in a room of a thousand changes', async () => {
    const room = await makeRoom()
    const identity = await serverIdentity(env)
    let topic = 0
    const change: Parameters<typeof withRoom>[1] = (opened) => {
      const content = { topic: `topic ${(topic += 1)}` }
      const request = { sender: alice, type: 'm.room.topic', stateKey: '', content }
      expect(sendEvent(opened, identity, request, Date.now())).toMatchObject({ ok: true, isNew: true })
    }
    expect(await rowsWritten(room, change)).toBeLessThanOrEqual(8)
    await withRoom(room, (opened, storage) => {
      for (let at = 0; at < 1_000; at++) change(opened, storage)
    })
    await room.evict()
    expect(await rowsWritten(room, change)).toBeLessThanOrEqual(8)
  })

  it('is a handful of statements for a message, none of which reads', async () => {
    const room = await publicRoom()
    const identity = await serverIdentity(env)
    const statements = await withRoom(room, (opened) => {
      setMembership(opened, identity, { sender: carol, target: carol, membership: 'join' }, Date.now())
      sendEvent(opened, identity, { sender: carol, ...text }, Date.now())
      const exec = vi.spyOn(opened.reader.sql, 'exec')
      sendEvent(opened, identity, { sender: carol, deviceId: 'PHONE', txnId: '1', ...text }, Date.now())
      const queries = exec.mock.calls.map(([query]) => query.split(' ')[0])
      exec.mockRestore()
      return queries
    })
    await room.evict()
    // Is it a known transaction? The event, the room's header, its words.
    expect(statements).toEqual(['SELECT', 'INSERT', 'UPDATE', 'INSERT'])
  })
})
