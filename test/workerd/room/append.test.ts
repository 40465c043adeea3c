/** Events of other servers in the DAG: forks, merges, outliers, refused ones, late ones, missing ones. */
import { stateMapKey } from '#protocol/events/state-map.ts'
import { parseEventId, type EventId } from '#protocol/identifiers/event-id.ts'
import { roomVersions } from '#protocol/room-versions/rules.ts'
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { type Room, stateLookup } from '../../../durable-objects/room/room.ts'
import { sendEvent } from '../../../durable-objects/room/send-event.ts'
import { outcomes, type StoredEvent } from '../../../durable-objects/room/stored-event.ts'
import { serverIdentity } from '../../../worker/server-identity.ts'
import { build, now, receive, store } from './remote-events.ts'
import { alice, bob, join, makeRoom, mallory, rows, rules, say, type TestRoom, timeline, withRoom } from './rooms.ts'

function extremities(room: Room): EventId[] {
  return room.reader.events(room.reader.header().extremities).map(({ event_id }) => event_id)
}

function newest(room: Room): StoredEvent {
  return room.reader.eventOf(room.reader.header().extremities.at(-1) ?? 0)
}

const content = (room: Room, type: string, stateKey = '') => room.reader.current(type, stateKey)?.pdu.content

/** Alice's room with Bob, and with Mallory as moderator. */
async function sharedRoom(version: (typeof roomVersions)[number] = '12'): Promise<TestRoom> {
  const room = await makeRoom(version, {
    preset: 'public_chat',
    powerLevelContentOverride: { users: { ...(version === '12' ? {} : { [alice]: 100 }), [mallory]: 50 } },
  })
  await join(room, bob)
  await withRoom(room, (opened) => {
    const joined = { type: 'm.room.member', stateKey: mallory, content: { membership: 'join' } }
    receive(opened, { ...joined, prev: [newest(opened)] })
  })
  await room.evict()
  return room
}

/** The table of the current state is what the current state group says. */
function expectTableToMatch(room: Room): void {
  const table = room.reader.sql.exec<{ type: string; state_key: string; event_nid: number }>(
    'SELECT * FROM current_state',
  )
  const places = [...table].map((row) => [stateMapKey(row.type, row.state_key), row.event_nid] as const)
  expect(new Map(places)).toEqual(room.groups.readAll(room.reader.header().currentGroup ?? 0))
}

describe.each(roomVersions)('room version %s', (version) => {
  it('resolves a fork, and ends it with the next event', async () => {
    const room = await sharedRoom(version)
    const identity = await serverIdentity(env)
    await withRoom(room, (opened) => {
      const root = newest(opened)
      const banned = { type: 'm.room.member', stateKey: bob, content: { membership: 'ban' } }
      const left = receive(opened, { ...banned, prev: [root] })
      // On the other side Bob is not banned yet, and says so.
      const right = receive(opened, { type: 'm.room.message', sender: bob, prev: [root] })
      expect(extremities(opened)).toEqual([left.event_id, right.event_id])
      expect(content(opened, 'm.room.member', bob)).toMatchObject({ membership: 'ban' })
      expect(opened.reader.localJoined()).toEqual(new Set([alice]))
      const groups = opened.reader.sql.exec('SELECT count(*) AS n FROM state_groups').one()

      const sent = sendEvent(opened, identity, { sender: alice, type: 'm.room.message', content: {} }, now())
      if (!sent.ok) throw new Error(sent.message)
      const event = opened.reader.eventById(sent.event_id)
      expect(event?.pdu.prev_events).toEqual([left.event_id, right.event_id])
      expect(event?.depth).toBe(right.depth + 1)
      expect(extremities(opened)).toEqual([sent.event_id])
      expect(event?.stateBefore).toBe(opened.reader.header().currentGroup)
      expect(opened.reader.sql.exec('SELECT count(*) AS n FROM state_groups').one()).toEqual(groups)
      expectTableToMatch(opened)
    })
  })

  it('lets state that nobody may have set go when the branches meet', async () => {
    const room = await sharedRoom(version)
    await withRoom(room, (opened) => {
      const root = newest(opened)
      const kicked = { type: 'm.room.member', stateKey: bob, content: { membership: 'ban' } }
      const renamed = { membership: 'join', displayname: 'not banned' }
      receive(opened, { type: 'm.room.member', stateKey: bob, sender: bob, content: renamed, prev: [root] })
      expect(content(opened, 'm.room.member', bob)).toEqual(renamed)
      const ban = build(opened, { ...kicked, prev: [root] })
      const { changedMembers } = store(opened, ban)
      expect(changedMembers).toEqual([bob])
      expect(content(opened, 'm.room.member', bob)).toEqual({ membership: 'ban' })
      expectTableToMatch(opened)
    })
  })

  it('applies a redaction that came before its target, if its sender may', async () => {
    const room = await sharedRoom(version)
    await withRoom(room, (opened) => {
      const root = newest(opened)
      const target = build(opened, { type: 'm.room.message', sender: bob, content: { body: 'secret' }, prev: [root] })
      const other = build(opened, { type: 'm.room.message', content: { body: 'hers' }, prev: [root] })
      const redaction = { type: 'm.room.redaction', prev: [root] }
      const byModerator = receive(opened, { ...redaction, redacts: target.event_id })
      expect(opened.reader.eventById(target.event_id)).toBeUndefined()
      const arrived = store(opened, target).event
      expect(opened.reader.eventById(target.event_id)?.pdu.content).toEqual({})
      expect(opened.reader.eventById(target.event_id)?.redactedBy).toBe(byModerator.nid)
      expect(arrived.nid).toBeGreaterThan(byModerator.nid)
      expect(opened.reader.sql.exec('SELECT * FROM waiting_redactions').toArray()).toEqual([])

      // Bob has no power over Mallory's events. In versions 1 and 2 the rules would have rejected his redaction.
      if (rules(version).specialRedactionRule) return
      receive(opened, { ...redaction, sender: bob, redacts: other.event_id })
      store(opened, other)
      expect(opened.reader.eventById(other.event_id)?.pdu.content).toEqual({ body: 'hers' })
    })
  })
})

it('gives an outlier its place when it comes again, and none to what it is until then', async () => {
  const room = await sharedRoom()
  await withRoom(room, (opened) => {
    const root = newest(opened)
    const topic = build(opened, { type: 'm.room.topic', stateKey: '', content: { topic: 'tea' }, prev: [root] })
    const before = opened.reader.header()
    const outlier = store(opened, topic, { outcome: outcomes.outlier, stateBefore: undefined }).event
    expect(outlier).toMatchObject({ pos: undefined, stateBefore: undefined, stateAfter: undefined })
    expect(opened.reader.header()).toEqual(before)
    expect(content(opened, 'm.room.topic')).toBeUndefined()
    // It may stand between its own place and other events by then.
    receive(opened, { type: 'm.room.message', prev: [root] })
    const placed = store(opened, topic).event
    expect(placed).toMatchObject({ nid: outlier.nid, outcome: outcomes.accepted, pos: before.pos + 2 })
    expect(content(opened, 'm.room.topic')).toEqual({ topic: 'tea' })
    expect(extremities(opened)).toHaveLength(2)
    // And once more: nothing happens.
    const header = opened.reader.header()
    expect(store(opened, topic)).toEqual({ ok: true, event: placed, changedMembers: [] })
    expect(opened.reader.header()).toEqual(header)
    expectTableToMatch(opened)
  })
})

describe.each([
  ['soft-failed', outcomes.softFailed],
  ['rejected', outcomes.rejected],
] as const)('a %s event', (_, outcome) => {
  it('is neither shown nor built upon, and changes no state', async () => {
    const room = await sharedRoom()
    const identity = await serverIdentity(env)
    const shown = await timeline(room)
    await withRoom(room, (opened) => {
      const root = newest(opened)
      const before = opened.reader.header()
      const topic = { type: 'm.room.topic', stateKey: '', content: { topic: 'bad' }, prev: [root] }
      const refused = receive(opened, topic, { outcome, rejectReason: 'for the test' })
      expect(opened.reader.header()).toEqual(before)
      expect(content(opened, 'm.room.topic')).toBeUndefined()
      expect(refused.rejectReason).toBe('for the test')
      // The state after a rejected event is the state before it; a soft-failed one counts among its own descendants.
      const after = stateLookup(opened, refused.stateAfter ?? 0)('m.room.topic', '')
      expect(after?.content).toEqual(outcome === outcomes.rejected ? undefined : { topic: 'bad' })

      // An accepted event upon it replaces what lies behind it.
      const accepted = receive(
        opened,
        { type: 'm.room.message', prev: [refused] },
        { stateBefore: before.currentGroup },
      )
      expect(extremities(opened)).toEqual([accepted.event_id])
      const sent = sendEvent(opened, identity, { sender: alice, type: 'm.room.message', content: {} }, now())
      expect(sent).toMatchObject({ ok: true })
    })
    expect(await timeline(room)).toEqual([...shown, 'm.room.message', 'm.room.message'])
  })
})

it('takes on the state of a soft-failed event when the room goes on from there', async () => {
  const room = await sharedRoom()
  await withRoom(room, (opened) => {
    const root = newest(opened)
    const topic = { type: 'm.room.topic', stateKey: '', content: { topic: 'tea' }, prev: [root] }
    const softFailed = receive(opened, topic, { outcome: outcomes.softFailed })
    receive(opened, { type: 'm.room.name', stateKey: '', content: { name: 'Tea' }, prev: [softFailed] })
    expect(content(opened, 'm.room.name')).toEqual({ name: 'Tea' })
    expect(content(opened, 'm.room.topic')).toEqual({ topic: 'tea' })
    expectTableToMatch(opened)
  })
})

it('empties a place again that only a branch had, whose event does not hold', async () => {
  const room = await sharedRoom()
  await withRoom(room, (opened) => {
    const root = newest(opened)
    const invite = { type: 'm.room.member', stateKey: '@guest:test.local', content: { membership: 'invite' } }
    receive(opened, { type: 'm.room.member', stateKey: bob, content: { membership: 'ban' }, prev: [root] })
    const byBob = receive(opened, { ...invite, sender: bob, prev: [root] })
    expect(stateLookup(opened, byBob.stateAfter ?? 0)('m.room.member', '@guest:test.local')).toBeDefined()
    expect(content(opened, 'm.room.member', '@guest:test.local')).toBeUndefined()
    expectTableToMatch(opened)
  })
})

it('keeps rejected events out of every resolution', async () => {
  const room = await sharedRoom()
  await withRoom(room, (opened) => {
    const root = newest(opened)
    const topic = (text: string) => ({ type: 'm.room.topic', stateKey: '', content: { topic: text }, prev: [root] })
    const good = build(opened, topic('good'))
    // Newer than the good one, it would win.
    const rejected = receive(opened, topic('bad'), { outcome: outcomes.rejected })
    // Another server says that the rejected event is state there.
    const before = root.stateAfter ?? 0
    const claimed = opened.groups.child(before, new Map([[stateMapKey('m.room.topic', ''), rejected.nid]]))
    receive(opened, { type: 'm.room.message', prev: [root], state: before }, { stateBefore: claimed })
    store(opened, good)
    expect(content(opened, 'm.room.topic')).toEqual({ topic: 'good' })
    expectTableToMatch(opened)
  })
})

it('takes the state of an event with missing prev_events as given, and fits the missing one in later', async () => {
  const room = await sharedRoom()
  await withRoom(room, (opened) => {
    const root = newest(opened)
    const stateBefore = root.stateAfter ?? 0
    const missing = build(opened, { type: 'm.room.message', content: { body: 'late' }, prev: [root] })
    const shell = { ...root, event_id: missing.event_id, depth: missing.depth }
    const child = receive(opened, { type: 'm.room.message', prev: [shell], state: stateBefore }, { stateBefore })
    expect(opened.reader.sql.exec('SELECT event_id, depth FROM missing_events').toArray()).toEqual([
      { event_id: missing.event_id, depth: child.depth },
    ])
    expect(extremities(opened)).toEqual([root.event_id, child.event_id])
    // What comes late is no end of the room: others were built on it.
    const late = store(opened, missing, { source: 'history' }).event
    expect(late).toMatchObject({ pos: undefined, outcome: outcomes.accepted })
    expect(extremities(opened)).toEqual([root.event_id, child.event_id])
    expect(opened.reader.sql.exec('SELECT event_id, depth FROM missing_events').toArray()).toEqual([])
  })
})

it('does not make an end of a live event that others cite already', async () => {
  const room = await sharedRoom()
  await withRoom(room, (opened) => {
    const root = newest(opened)
    const stateBefore = root.stateAfter ?? 0
    const missing = build(opened, { type: 'm.room.message', prev: [root] })
    const shell = { ...root, event_id: missing.event_id, depth: missing.depth }
    const child = receive(opened, { type: 'm.room.message', prev: [shell], state: stateBefore }, { stateBefore })
    const late = store(opened, missing).event
    expect(late.pos).toBe((child.pos ?? 0) + 1)
    expect(extremities(opened)).toEqual([child.event_id])
  })
})

it('builds on the twenty newest of very many ends, with the state after exactly these', async () => {
  const room = await sharedRoom()
  const identity = await serverIdentity(env)
  await withRoom(room, (opened) => {
    const root = newest(opened)
    const topic = { type: 'm.room.topic', stateKey: '', content: { topic: 'oldest end' }, prev: [root] }
    const ends = [receive(opened, topic)]
    for (let at = 0; at < 24; at++)
      ends.push(receive(opened, { type: 'm.room.message', content: { at }, prev: [root] }))
    const sent = sendEvent(opened, identity, { sender: alice, type: 'm.room.message', content: {} }, now())
    if (!sent.ok) throw new Error(sent.message)
    const event = opened.reader.eventById(sent.event_id)
    expect(event?.pdu.prev_events).toEqual(ends.slice(5).map(({ event_id }) => event_id))
    expect(stateLookup(opened, event?.stateBefore ?? 0)('m.room.topic', '')).toBeUndefined()
    expect(extremities(opened)).toEqual([...ends.slice(0, 5).map(({ event_id }) => event_id), sent.event_id])
    expect(content(opened, 'm.room.topic')).toEqual({ topic: 'oldest end' })
    expectTableToMatch(opened)
  })
})

it('carries on after eviction with the same ends and the same state', async () => {
  const room = await sharedRoom()
  await withRoom(room, (opened) => {
    const root = newest(opened)
    receive(opened, { type: 'm.room.topic', stateKey: '', content: { topic: 'left' }, prev: [root] })
    receive(opened, { type: 'm.room.topic', stateKey: '', content: { topic: 'right' }, prev: [root] })
  })
  await room.evict()
  const before = await rows(room, 'SELECT type, state_key, event_nid FROM current_state')
  const id = parseEventId(await say(room, alice, 'together again'))
  await withRoom(room, (opened) => {
    expect(id && opened.reader.eventById(id)?.pdu.prev_events).toHaveLength(2)
    expectTableToMatch(opened)
  })
  expect(await rows(room, 'SELECT type, state_key, event_nid FROM current_state')).toEqual(before)
})

it('knows an invite to a room it is not in from outside, until the room is known from inside', async () => {
  const room = await sharedRoom()
  await withRoom(room, (opened) => {
    const dave = bob
    opened.transactor.setOutsideMember(dave, { membership: 'invite', eventNid: 1, pos: 1, strippedState: '[]' })
    expect(opened.reader.membership(dave)).toBe('invite')
    const left = { type: 'm.room.member', stateKey: dave, sender: dave, content: { membership: 'leave' } }
    receive(opened, { ...left, prev: [newest(opened)] })
    expect(opened.reader.membership(dave)).toBe('leave')
    expect(opened.reader.sql.exec('SELECT * FROM outside_memberships').toArray()).toEqual([])
  })
})

it('does not build on what it knew when this server was in the room last', async () => {
  const room = await sharedRoom()
  for (const user of [bob, alice]) await room.rpc.setMembership({ sender: user, target: user, membership: 'leave' })
  const back = await room.rpc.setMembership({ sender: alice, target: alice, membership: 'join' })
  // Mallory is in it still: the room goes on over there.
  expect(back).toEqual({ ok: false, reason: 'unknown_room' })
})
