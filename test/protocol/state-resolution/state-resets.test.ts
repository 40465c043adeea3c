/**
 * State resets: states that no honest server has, told by one that lost part of the room or lies, and what resolving them
 * with the true state makes of the room. The two scenarios are those of MSC4297, by which room version 12 came to
 * resolve otherwise than versions 2 to 11.
 */
import { describe, expect, it } from 'vitest'
import type { StateMap } from '#protocol/events/state-map.ts'
import { stateMapKey } from '#protocol/events/state-map.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import { resolveState } from '#protocol/state-resolution/resolve-state.ts'
import { outcomeOf } from '../../dsl/resolve-every-way.ts'
import type { Outcome } from '../../dsl/resolve-every-way.ts'
import { crypto, timeline } from '../../dsl/room-timeline.ts'
import type { RoomTimeline } from '../../dsl/room-timeline.ts'
import { alice, bob, carol, eve, user } from '../../dsl/users.ts'

const zara = user('@zara:z.example')

/** The state with some places taken by other events. */
function claim(state: StateMap, events: Readonly<Record<string, EventId>>): StateMap {
  const claimed = new Map(state)
  for (const [type, id] of Object.entries(events)) claimed.set(stateMapKey(type, ''), id)
  return claimed
}

function resolved(room: RoomTimeline, ...stateSets: readonly StateMap[]): Outcome {
  const { rules, lookup, graph } = room
  const state = resolveState({ rules, stateSets, lookup, graph, crypto })
  expect(resolveState({ rules, stateSets: stateSets.toReversed(), lookup, graph, crypto })).toEqual(state)
  return outcomeOf(state, room)
}

/** Alice opens a room, makes Bob an admin, closes the room and leaves. */
function closedByAliceWhoLeft(version: '11' | '12') {
  const users = version === '12' ? { [bob]: 100 } : { [alice]: 100, [bob]: 100 }
  const room = timeline(version).create(alice).join(alice).setPowerLevels(alice, { users })
  const opened = room.setJoinRule(alice, 'public').lastId
  const closed = room.join(bob).setJoinRule(alice, 'invite').lastId
  room.leave(alice)
  return { room, opened, closed }
}

describe('old join rules, when those who set them have left', () => {
  it('room version 11 loses the join rules: their senders are not in the state it starts from', () => {
    const { room, opened } = closedByAliceWhoLeft('11')
    const after = resolved(room, room.state, claim(room.state, { 'm.room.join_rules': opened }))
    expect(after.current('m.room.join_rules')).toBeUndefined()
  })

  it('room version 12 keeps the newer ones: it starts from nothing, and goes by what each event cites', () => {
    const { room, opened, closed } = closedByAliceWhoLeft('12')
    const after = resolved(room, room.state, claim(room.state, { 'm.room.join_rules': opened }))
    expect(after.current('m.room.join_rules')?.event_id).toBe(closed)
    expect(after.membership(alice)).toBe('leave')
    expect(after.membership(bob)).toBe('join')
  })
})

/**
 * Alice promotes Bob, Bob promotes Carol, Eve joins. Then Eve changes her name, citing the power levels from before the
 * promotions, and a server claims that these are in force again. On the true side Zara joins.
 */
function renamedUnderOldLevels(version: '11' | '12') {
  const creator = version === '12' ? {} : { [alice]: 100 }
  const room = timeline(version).create(alice).join(alice)
  const oldLevels = room.setPowerLevels(alice, { users: creator }).lastId
  const joinRules = room.setJoinRule(alice, 'public').lastId
  room
    .join(bob)
    .join(carol)
    .setPowerLevels(alice, { users: { ...creator, [bob]: 50 } })
  const newLevels = room.setPowerLevels(bob, { users: { ...creator, [bob]: 50, [carol]: 50 } }).lastId
  const [dodgy, sensible] = room.fork()
  const firstJoin = dodgy.join(eve).lastId
  // In version 12 the room ID stands for the create event.
  const create = version === '12' ? [] : [dodgy.current('m.room.create').event_id]
  const cited = [...create, oldLevels, joinRules, firstJoin]
  dodgy.send('m.room.member', eve, { membership: 'join', displayname: 'Evelyn' }, eve, { authEvents: cited })
  expect(dodgy.last.rejected).toBe(false)
  sensible.join(zara)
  return { dodgy, sensible, oldLevels, newLevels, firstJoin }
}

describe('power levels from before two promotions, cited by a later event', () => {
  it('room version 11 goes back to them: nothing in conflict tells how Bob came by his level', () => {
    const { dodgy, sensible, oldLevels } = renamedUnderOldLevels('11')
    const after = resolved(dodgy, claim(dodgy.state, { 'm.room.power_levels': oldLevels }), sensible.state)
    expect(after.current('m.room.power_levels')?.event_id).toBe(oldLevels)
    expect(after.membership(zara)).toBe('join')
  })

  it('room version 12 replays what lies between the conflicting events, and keeps the newest levels', () => {
    const { dodgy, sensible, oldLevels, newLevels, firstJoin } = renamedUnderOldLevels('12')
    const after = resolved(dodgy, claim(dodgy.state, { 'm.room.power_levels': oldLevels }), sensible.state)
    expect(after.current('m.room.power_levels')?.event_id).toBe(newLevels)
    // The rename belongs to the epoch of the old levels, so it is replayed before the join, which has the last word.
    expect(after.current('m.room.member', eve)?.event_id).toBe(firstJoin)
    expect(after.membership(zara)).toBe('join')
  })
})
