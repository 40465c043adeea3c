/** State and members, now and then. Spec: data/api/client-server/rooms.yaml. */
import { describe, expect, it } from 'vitest'
import { alice, bob, carol, freshRoomId, join, makeRoom, publicRoom, roomObject, say, withRoom } from '../room/rooms.ts'
import { stateGroupAt } from '../../../durable-objects/room/state-at.ts'
import { change, eventsOf, field, granted, setState, setVisibility, slice, text } from './reading.ts'
import { begin, receive, roomWithMallory } from './random-room.ts'

const named = (events: readonly { state_key?: string; content: object }[]) =>
  events
    .map(({ state_key = '', content }) => [state_key, field({ ...content }, 'membership')] as const)
    .toSorted(([a], [b]) => a.localeCompare(b))

describe('the state', () => {
  it('is given as events with their room, one per place', async () => {
    const room = await publicRoom()
    await setState(room, 'm.room.topic', { topic: 'old' })
    await setState(room, 'm.room.topic', { topic: 'new' })
    await setState(room, 'org.example', { a: 1 }, { stateKey: 'one' })
    await setState(room, 'org.example', { a: 2 }, { stateKey: 'two' })
    const { events } = granted(await room.rpc.stateEvents({ reader: alice }))
    const places = events.map(({ type, state_key }) => `${type}|${state_key}`)
    expect(new Set(places).size).toBe(places.length)
    expect(places).toEqual(expect.arrayContaining(['m.room.topic|', 'org.example|one', 'org.example|two']))
    for (const event of events) expect(event.room_id).toBe(room.roomId)
    const ask = { reader: alice, type: 'org.example', stateKey: 'two' }
    expect(granted(await room.rpc.stateEvent(ask)).event.content).toEqual({ a: 2 })
    expect(await room.rpc.stateEvent({ ...ask, stateKey: 'three' })).toMatchObject({ ok: false, reason: 'not_found' })
  })

  it('of a room that nobody knows is refused like that of a room one is not in', async () => {
    const nowhere = roomObject(freshRoomId())
    const refused = { ok: false, reason: 'not_in_room' }
    expect(await nowhere.rpc.stateEvents({ reader: alice })).toMatchObject(refused)
    expect(await nowhere.rpc.stateEvent({ reader: alice, type: 'm.room.topic', stateKey: '' })).toMatchObject(refused)
    expect(await nowhere.rpc.members({ reader: alice })).toMatchObject(refused)
    expect(await nowhere.rpc.joinedMembers({ reader: alice })).toMatchObject(refused)
    expect(await nowhere.rpc.messages({ reader: alice, dir: 'b', limit: 1 })).toMatchObject(refused)
  })
})

describe('members', () => {
  it('are those of now, or of a membership, or not of one, or either', async () => {
    const room = await publicRoom()
    await change(room, 'join', bob)
    await change(room, 'leave', bob)
    await change(room, 'invite', carol)
    const ask = async (more: object) => named(granted(await room.rpc.members({ reader: alice, ...more })).events)
    expect(await ask({})).toEqual([
      [alice, 'join'],
      [bob, 'leave'],
      [carol, 'invite'],
    ])
    expect(await ask({ membership: 'leave' })).toEqual([[bob, 'leave']])
    expect(await ask({ notMembership: 'leave' })).toEqual([
      [alice, 'join'],
      [carol, 'invite'],
    ])
    // "The two parameters create an 'or' condition".
    expect(await ask({ membership: 'invite', notMembership: 'join' })).toEqual([
      [bob, 'leave'],
      [carol, 'invite'],
    ])
  })

  it('are those of a point in time, given a token', async () => {
    const room = await publicRoom()
    await say(room, alice, 'first')
    const first = await slice(room, alice, { filter: { timeline: { limit: 1 } } })
    const [then, begun] = [text(field(first.room, 'timeline', 'prev_batch')), 'p0']
    const page = granted(await room.rpc.messages({ reader: alice, dir: 'b', limit: 2 }))
    await join(room, bob)
    await change(room, 'invite', carol)
    for (const at of [then, begun, `p${first.pos}`, page.start, page.end ?? '']) {
      expect(named(granted(await room.rpc.members({ reader: alice, at })).events)).toEqual([[alice, 'join']])
    }
    const now = granted(await room.rpc.members({ reader: alice, at: 'p1000' }))
    expect(now.events).toHaveLength(3)
    expect(await room.rpc.members({ reader: alice, at: 'yesterday' })).toMatchObject({ reason: 'invalid_param' })
  })

  it('of a time that the reader may not see are refused', async () => {
    const room = await publicRoom()
    await setVisibility(room, 'joined')
    await say(room, alice, 'before')
    const { pos } = await slice(room, alice)
    await change(room, 'join', bob)
    expect(await room.rpc.members({ reader: bob, at: `p${pos}` })).toMatchObject({ ok: false, reason: 'forbidden' })
    await change(room, 'leave', bob)
    await join(room, carol)
    for (const at of [`p${pos + 1}`, 'p1000']) {
      const { events } = granted(await room.rpc.members({ reader: bob, at }))
      expect(named(events).map(([user]) => user)).toEqual([alice, bob])
    }
  })

  it('who are joined come with their names, for those who are', async () => {
    const room = await publicRoom()
    const profile = { displayname: 'Bob', avatar_url: 'mxc://test.local/bob' }
    granted(await room.rpc.setMembership({ sender: bob, target: bob, membership: 'join', profile }))
    await change(room, 'invite', carol)
    expect(granted(await room.rpc.joinedMembers({ reader: alice })).joined).toEqual({
      [alice]: { display_name: 'Alice', avatar_url: '' },
      [bob]: { display_name: 'Bob', avatar_url: 'mxc://test.local/bob' },
    })
    await change(room, 'leave', bob)
    expect(await room.rpc.joinedMembers({ reader: bob })).toMatchObject({ ok: false, reason: 'not_in_room' })
    const open = await makeRoom('12', { preset: 'public_chat' })
    await setVisibility(open, 'world_readable')
    expect(await open.rpc.joinedMembers({ reader: bob })).toMatchObject({ ok: false, reason: 'not_in_room' })
  })
})

it('knows the state of the room at each position, not that of the branch which came last', async () => {
  const room = await roomWithMallory()
  await withRoom(room, (opened) => {
    begin(opened)
    const { reader, groups } = opened
    const root = reader.events(reader.header().extremities)
    const set = (type: string) => receive(opened, { type, stateKey: '', content: {}, prev: root })
    const [left, right] = [set('org.example.left'), set('org.example.right')]
    const at = (pos: number | undefined) => {
      const group = stateGroupAt(opened, pos ?? 0)
      const nids = new Set(group === undefined ? [] : groups.readAll(group).values())
      return [nids.has(left.nid), nids.has(right.nid)]
    }
    expect(at((left.pos ?? 0) - 1)).toEqual([false, false])
    expect(at(left.pos)).toEqual([true, false])
    expect(at(right.pos)).toEqual([true, true])
    const next = receive(opened, { type: 'm.room.message', content: {}, prev: [left] })
    expect(at(next.pos)).toEqual([true, true])
    expect(at(1000)).toEqual([true, true])
    expect(groups.readAll(stateGroupAt(opened, 0) ?? 0).size).toBe(0)
  })
  await room.evict()
  const { room: told } = await slice(room, alice, { filter: { timeline: { limit: 1 } } })
  expect(eventsOf(told, 'state').map(({ type }) => type)).toEqual(
    expect.arrayContaining(['org.example.left', 'org.example.right']),
  )
})
