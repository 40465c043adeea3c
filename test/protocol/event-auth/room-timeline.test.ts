import { describe, expect, it } from 'vitest'
import { stateMapKey } from '#protocol/events/state-map.ts'
import { roomVersions } from '#protocol/room-versions/rules.ts'
import { timeline } from '../../dsl/room-timeline.ts'
import { alice, bob, carol, eve } from '../../dsl/users.ts'

describe.each(roomVersions)('a story of a room of version %s', (version) => {
  it('begins with events that all pass', () => {
    const room = timeline(version).publicChat({ creator: alice, moderator: bob, members: [carol] })
    expect(room.events.map(({ pdu }) => pdu.type)).toEqual([
      'm.room.create',
      'm.room.member',
      'm.room.power_levels',
      'm.room.join_rules',
      'm.room.member',
      'm.room.member',
    ])
    expect(room.events.filter((event) => event.rejected)).toEqual([])
    expect(room.state.size).toBe(6)
  })

  it('is the same every time', () => {
    const tell = () => timeline(version).privateChat({ creator: alice, moderator: bob }).message(bob, 'hello')
    expect(tell().events).toEqual(tell().events)
  })

  it('keeps rejected events, but out of the state and of later events', () => {
    const room = timeline(version).publicChat({ creator: alice }).message(alice, 'hello')
    const heads = room.heads
    const state = new Map(room.state)
    room.setTopic(eve, 'not a member')
    expect(room.last).toMatchObject({ rejected: true, verdict: { ok: false } })
    expect(room.lookup(room.lastId)).toBeUndefined()
    expect([room.heads, room.state]).toEqual([heads, state])
    const rejectedId = room.lastId
    room.message(alice, 'still here')
    expect(room.last.pdu.prev_events).toEqual(heads)
    expect(room.last.pdu.prev_events).not.toContain(rejectedId)
  })

  it('forks and merges', () => {
    const [left, right] = timeline(version).publicChat({ creator: alice, moderator: bob }).fork()
    left.setTopic(alice, 'left')
    right.setTopic(bob, 'right').message(bob, 'and more')
    const topic = stateMapKey('m.room.topic', '')
    expect(left.state.get(topic)).not.toBe(right.state.get(topic))
    // Somebody else's resolution: the right side wins.
    const merged = left.merge(right, ([, second]) => second ?? new Map()).message(alice, 'both')
    expect(merged.last).toMatchObject({ rejected: false, pdu: { prev_events: [left.lastId, right.lastId] } })
    expect(merged.state).toEqual(right.state)
    expect(merged.heads).toEqual([merged.lastId])
    for (const { pdu } of merged.events) {
      for (const id of pdu.auth_events) expect(merged.graph.order(id)).toBeLessThan(merged.graph.order(pdu.event_id))
    }
  })
})
