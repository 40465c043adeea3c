import { describe, expect, it } from 'vitest'
import { checkAuthEventsOf } from '#protocol/event-auth/auth-events.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import { parseEventId } from '#protocol/identifiers/event-id.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import { type RoomVersion, roomVersions } from '#protocol/room-versions/rules.ts'
import { timeline } from '../../dsl/room-timeline.ts'
import type { RoomTimeline } from '../../dsl/room-timeline.ts'
import { alice, anna, bob, carol } from '../../dsl/users.ts'
import { allowed, numbers, rejectedBy, versions } from './numbers.ts'

function message(room: RoomTimeline, authEvents: readonly EventId[]): Pdu {
  return room.draft('m.room.message', undefined, { body: 'hello' }, bob, { authEvents })
}

function roomOf(version: RoomVersion): RoomTimeline {
  return timeline(version).publicChat({ creator: alice, moderator: bob, members: [carol] })
}

describe.each(roomVersions)('auth events in room version %s', (version) => {
  const rule = numbers[version].authEvents
  const room = roomOf(version)
  const idOf = (type: string, stateKey = '') => room.current(type, stateKey).event_id
  const usual = room.draft('m.room.message', undefined, { body: 'hello' }, bob).auth_events
  const check = (pdu: Pdu, rejected: readonly EventId[] = []) =>
    checkAuthEventsOf(room.rules, pdu, (id) => {
      const known = room.lookupAny(id)
      return known === undefined ? undefined : { pdu: known.pdu, rejected: rejected.includes(id) }
    })

  it('are those of the selection, in any order', () => {
    expect(usual.length).toBe(Number(version) === 12 ? 2 : 3)
    expect(check(message(room, usual))).toEqual(allowed)
    expect(check(message(room, usual.toReversed()))).toEqual(allowed)
  })

  it('may be fewer than the selection: the state decides what the sender may do', () => {
    const create = Number(version) === 12 ? [] : [idOf('m.room.create')]
    expect(check(message(room, create))).toEqual(allowed)
  })

  it(`${rule}.1: are not two for one place`, () => {
    const older = idOf('m.room.power_levels')
    const later = roomOf(version).setPowerLevels(alice, { ...room.current('m.room.power_levels').content, ban: 60 })
    const newer = later.last.pdu
    expect(newer.event_id).not.toBe(older)
    const twice = message(room, [...usual, newer.event_id])
    const verdict = checkAuthEventsOf(room.rules, twice, (id) =>
      id === newer.event_id ? { pdu: newer, rejected: false } : room.lookupAny(id),
    )
    expect(verdict).toEqual(rejectedBy(`${rule}.1`))
  })

  it(`${rule}.1: are not twice the same`, () => {
    expect(check(message(room, [...usual, idOf('m.room.power_levels')]))).toEqual(rejectedBy(`${rule}.1`))
  })

  it.each([
    ['m.room.join_rules', ''],
    ['m.room.member', carol],
  ])(`${rule}.2: are not %s %s for a message of Bob's`, (type, stateKey) => {
    expect(check(message(room, [...usual, idOf(type, stateKey)]))).toEqual(rejectedBy(`${rule}.2`))
  })

  it(`${rule}.2: are not messages`, () => {
    const other = roomOf(version).message(bob, 'no state').last.pdu
    const pdu = message(room, [...usual, other.event_id])
    const verdict = checkAuthEventsOf(room.rules, pdu, (id) =>
      id === other.event_id ? { pdu: other, rejected: false } : room.lookupAny(id),
    )
    expect(verdict).toEqual(rejectedBy(`${rule}.2`))
  })

  it('follow the membership: a join cites the join rules, a leave does not', () => {
    const joinRules = idOf('m.room.join_rules')
    const join = room.draft('m.room.member', bob, { membership: 'join' }, bob)
    expect(join.auth_events).toContain(joinRules)
    expect(check(join)).toEqual(allowed)
    const leave = room.draft('m.room.member', bob, { membership: 'leave' }, bob, { authEvents: [...usual, joinRules] })
    expect(check(leave)).toEqual(rejectedBy(`${rule}.2`))
  })

  it(`${rule}.3: were not rejected`, () => {
    for (const id of usual) expect(check(message(room, usual), [id])).toMatchObject({ ok: false })
    expect(check(message(room, usual), [idOf('m.room.power_levels')])).toEqual(rejectedBy(`${rule}.3`))
  })

  it(`${rule}: are all known`, () => {
    const unknown = parseEventId(Number(version) < 3 ? '$unknown:a.example' : `$${'u'.repeat(43)}`)
    if (unknown === undefined) throw new Error('not an event ID')
    expect(check(message(room, [...usual, unknown]))).toEqual(rejectedBy(rule))
  })

  const otherRoom = Number(version) === 12 ? `${rule}.4` : `${rule}.5`
  it(`${otherRoom}: are of the same room`, () => {
    const elsewhere = parseRoomId(Number(version) === 12 ? `!${'e'.repeat(43)}` : '!elsewhere:a.example')
    if (elsewhere === undefined) throw new Error('not a room ID')
    const levels = idOf('m.room.power_levels')
    const verdict = checkAuthEventsOf(room.rules, message(room, usual), (id) => {
      const known = room.lookupAny(id)
      return known && id === levels ? { pdu: { ...known.pdu, room_id: elsewhere }, rejected: false } : known
    })
    expect(verdict).toEqual(rejectedBy(otherRoom))
  })
})

describe.each(versions(1, 11))('the create event in room version %s', (version) => {
  const room = roomOf(version)
  const create = room.current('m.room.create').event_id

  it('2.4: is among the auth events', () => {
    const usual = room.draft('m.room.message', undefined, {}, bob).auth_events
    expect(usual).toContain(create)
    expect(room.judge(message(room, usual))).toEqual(allowed)
    expect(
      room.judge(
        message(
          room,
          usual.filter((id) => id !== create),
        ),
      ),
    ).toEqual(rejectedBy('2.4'))
    expect(room.judge(message(room, []))).toEqual(rejectedBy('2.4'))
  })
})

describe.each(versions(12, 12))('the create event in room version %s', (version) => {
  const room = roomOf(version)
  const create = room.current('m.room.create').event_id
  const pdu = room.draft('m.room.message', undefined, {}, bob)

  it('3.2: is not among the auth events', () => {
    expect(room.judge(pdu)).toEqual(allowed)
    expect(room.judge(message(room, [...pdu.auth_events, create]))).toEqual(rejectedBy('3.2'))
  })

  it('2: is what the room ID names', () => {
    const checkIn = (roomId: string) => {
      const room_id = parseRoomId(roomId)
      if (room_id === undefined) throw new Error('not a room ID')
      return checkAuthEventsOf(room.rules, { ...pdu, room_id }, room.lookupAny)
    }
    expect(checkIn(room.roomId)).toEqual(allowed)
    // Nobody knows that one.
    expect(checkIn(`!${'n'.repeat(43)}`)).toEqual(rejectedBy('2'))
    // An event, but no create event.
    expect(checkIn(`!${room.current('m.room.power_levels').event_id.slice(1)}`)).toEqual(rejectedBy('2'))
    // The room IDs of other versions name none.
    expect(checkIn('!room:a.example')).toEqual(rejectedBy('2'))
  })

  it('2: was not rejected', () => {
    const verdict = checkAuthEventsOf(room.rules, pdu, (id) => {
      const known = room.lookupAny(id)
      return known && { pdu: known.pdu, rejected: id === create }
    })
    expect(verdict).toEqual(rejectedBy('2'))
  })
})

describe.each(versions(8, 12))('who lets somebody into a restricted room of version %s', (version) => {
  it('is among the auth events of that join, and of no other event', () => {
    const room = timeline(version).publicChat({ creator: alice, moderator: bob })
    room.setJoinRule(alice, 'restricted')
    const join = room.draft(
      'm.room.member',
      carol,
      { membership: 'join', join_authorised_via_users_server: alice },
      carol,
    )
    expect(join.auth_events).toContain(room.current('m.room.member', alice).event_id)
    expect(room.judge(join)).toEqual(allowed)
    const plain = room.draft('m.room.member', anna, { membership: 'join' }, anna, { authEvents: join.auth_events })
    expect(room.judge(plain)).toEqual(rejectedBy(`${numbers[version].authEvents}.2`))
  })
})
