/** What a room's power levels say, with every default. */
import { describe, expect, it } from 'vitest'
import type { JsonObject, JsonValue } from '#protocol/json/json.ts'
import {
  canBan,
  canInvite,
  canKick,
  canNotify,
  canRedact,
  canSendMessage,
  canSendState,
  canUnban,
} from '#protocol/permissions.ts'
import { creatorOf, creatorsOf, powerLevelsOf, readLevel } from '#protocol/power-levels.ts'
import { roomVersions } from '#protocol/room-versions/rules.ts'
import type { RoomVersion } from '#protocol/room-versions/rules.ts'
import { timeline } from '../dsl/room-timeline.ts'
import { alice, anna, bob, carol, dave, eve } from '../dsl/users.ts'
import { since, versions } from './event-auth/numbers.ts'

function levelsIn(version: RoomVersion, content?: JsonObject, createContent: JsonObject = {}) {
  const room = timeline(version).create(alice, createContent).join(alice)
  if (content !== undefined) room.setPowerLevels(alice, content)
  expect(room.last.rejected).toBe(false)
  return powerLevelsOf(room.rules, room.stateLookup)
}

describe.each(roomVersions)('power levels in version %s', (version) => {
  const creators = since(version, 12) ? Infinity : 100

  it('without an event: the creator has all, others nothing', () => {
    const levels = levelsIn(version)
    expect(levels.userLevel(alice)).toBe(creators)
    expect(levels.userLevel(bob)).toBe(0)
    expect(levels.eventLevel('m.room.message', false)).toBe(0)
    expect(levels.eventLevel('m.room.topic', true)).toBe(50)
    expect(levels).toMatchObject({ ban: 50, kick: 50, redact: 50, invite: 0 })
    expect(levels.notificationLevel('room')).toBe(50)
  })

  it('with an empty event: nobody has anything but creators since version 12', () => {
    const levels = levelsIn(version, {})
    expect(levels.userLevel(alice)).toBe(since(version, 12) ? Infinity : 0)
    expect(levels.userLevel(bob)).toBe(0)
    expect(levels.eventLevel('m.room.message', false)).toBe(0)
    expect(levels.eventLevel('m.room.topic', true)).toBe(50)
    expect(levels).toMatchObject({ ban: 50, kick: 50, redact: 50, invite: 0 })
  })

  it('are what the event says', () => {
    const levels = levelsIn(version, {
      users: { [bob]: 7, [carol]: -3 },
      users_default: 2,
      events: { 'm.room.topic': 11, 'm.room.message': 12 },
      events_default: 13,
      state_default: 14,
      ban: 15,
      kick: 16,
      redact: 17,
      invite: 18,
      notifications: { room: 19 },
    })
    expect([bob, carol, dave].map((who) => levels.userLevel(who))).toEqual([7, -3, 2])
    expect(levels.eventLevel('m.room.topic', true)).toBe(11)
    expect(levels.eventLevel('m.room.message', false)).toBe(12)
    expect(levels.eventLevel('m.reaction', false)).toBe(13)
    expect(levels.eventLevel('m.room.name', true)).toBe(14)
    expect(levels).toMatchObject({ ban: 15, kick: 16, redact: 17, invite: 18 })
    expect(levels.notificationLevel('room')).toBe(19)
    expect(levels.notificationLevel('other')).toBe(50)
  })

  it('are not inherited from what all objects have', () => {
    const levels = levelsIn(version, { users: {}, events: {}, notifications: {} })
    expect(levels.userLevel('constructor')).toBe(0)
    expect(levels.eventLevel('__proto__', true)).toBe(50)
    expect(levels.notificationLevel('toString')).toBe(50)
  })

  it('answer what somebody may do', () => {
    const levels = levelsIn(version, {
      users: { [bob]: 50, [carol]: 50, [dave]: 20 },
      events: { 'm.room.topic': 20 },
      invite: 20,
      kick: 20,
    })
    expect([bob, dave, eve].map((who) => canSendMessage(levels, who, 'm.room.message'))).toEqual([true, true, true])
    expect([bob, dave, eve].map((who) => canSendState(levels, who, 'm.room.topic'))).toEqual([true, true, false])
    expect([bob, dave, eve].map((who) => canSendState(levels, who, 'm.room.name'))).toEqual([true, false, false])
    expect([bob, dave, eve].map((who) => canInvite(levels, who))).toEqual([true, true, false])
    expect([bob, dave, eve].map((who) => canNotify(levels, who, 'room'))).toEqual([true, false, false])
    expect([carol, dave, eve].map((target) => canKick(levels, bob, target))).toEqual([false, true, true])
    expect([carol, dave, eve].map((target) => canBan(levels, bob, target))).toEqual([false, true, true])
    expect([canKick(levels, dave, eve), canBan(levels, dave, eve), canUnban(levels, dave, eve)]).toEqual([
      true,
      false,
      false,
    ])
    expect([canUnban(levels, bob, eve), canUnban(levels, bob, carol)]).toEqual([true, false])
    // Their own server's events, or the redact level.
    expect([canRedact(levels, bob, eve), canRedact(levels, dave, eve), canRedact(levels, dave, dave)]).toEqual([
      true,
      false,
      true,
    ])
    expect(canRedact(levelsIn(version, { users: {} }), anna, alice)).toBe(true)
  })
})

describe('creators', () => {
  it.each(versions(1, 10))('in version %s: whom the content names', (version) => {
    const room = timeline(version).create(alice, { creator: bob, additional_creators: [carol] })
    const create = room.current('m.room.create')
    expect([creatorOf(room.rules, create), [...creatorsOf(room.rules, create)]]).toEqual([bob, [bob]])
    const levels = powerLevelsOf(room.rules, room.stateLookup)
    expect([alice, bob, carol].map((who) => levels.userLevel(who))).toEqual([0, 100, 0])
  })

  it('in version 11: the sender', () => {
    const room = timeline('11').create(alice, { creator: bob, additional_creators: [carol] })
    const create = room.current('m.room.create')
    expect([creatorOf(room.rules, create), [...creatorsOf(room.rules, create)]]).toEqual([alice, [alice]])
    const levels = powerLevelsOf(room.rules, room.stateLookup)
    expect([alice, bob, carol].map((who) => levels.userLevel(who))).toEqual([100, 0, 0])
  })

  it('in version 12: the sender and the additional ones, above every level', () => {
    const createContent = { creator: dave, additional_creators: [bob, carol, bob] }
    const levels = levelsIn('12', { users: { [dave]: Number.MAX_SAFE_INTEGER }, users_default: 5 }, createContent)
    expect([alice, bob, carol].map((who) => levels.userLevel(who))).toEqual([Infinity, Infinity, Infinity])
    expect([dave, eve].map((who) => levels.userLevel(who))).toEqual([Number.MAX_SAFE_INTEGER, 5])
    expect([canKick(levels, bob, dave), canKick(levels, bob, alice)]).toEqual([true, false])
  })
})

describe('a level', () => {
  const cases: [JsonValue, number | undefined, number | undefined, number | undefined][] = [
    // value, versions 1–5, 6–9, 10–12
    [50, 50, 50, 50],
    [0, 0, 0, 0],
    [-50, -50, -50, -50],
    [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
    [50.9, 50, undefined, undefined],
    [-50.9, -50, undefined, undefined],
    [1e20, 1e20, undefined, undefined],
    [Infinity, undefined, undefined, undefined],
    [Number.NaN, undefined, undefined, undefined],
    ['50', 50, 50, undefined],
    ['000100', 100, 100, undefined],
    ['+100', 100, 100, undefined],
    ['-100', -100, -100, undefined],
    [' 00100 ', 100, 100, undefined],
    [' +100 ', 100, 100, undefined],
    [' -100 ', -100, -100, undefined],
    ['\u2003100\u0085', 100, 100, undefined],
    ['9'.repeat(400), undefined, undefined, undefined],
    ['', undefined, undefined, undefined],
    [' ', undefined, undefined, undefined],
    ['50.0', undefined, undefined, undefined],
    ['5e1', undefined, undefined, undefined],
    ['0x32', undefined, undefined, undefined],
    ['5 0', undefined, undefined, undefined],
    ['- 50', undefined, undefined, undefined],
    ['+-50', undefined, undefined, undefined],
    ['5_0', undefined, undefined, undefined],
    ['\u0665\u0660', undefined, undefined, undefined],
    ['fifty', undefined, undefined, undefined],
    [true, undefined, undefined, undefined],
    [null, undefined, undefined, undefined],
    [[50], undefined, undefined, undefined],
    [{}, undefined, undefined, undefined],
  ]
  it.each(cases)('%j is %j up to version 5, %j up to 9, %j after', (value, upTo5, upTo9, after) => {
    const read = (all: RoomVersion[]) => new Set(all.map((version) => readLevel(timeline(version).rules, value)))
    expect(read(versions(1, 5))).toEqual(new Set([upTo5]))
    expect(read(versions(6, 9))).toEqual(new Set([upTo9]))
    expect(read(versions(10, 12))).toEqual(new Set([after]))
  })

  it.each(versions(1, 9))('that cannot be read is nobody’s in version %s', (version) => {
    const levels = levelsIn(version, {
      users: { [bob]: 50 },
      users_default: 'x',
      events: { 'm.room.topic': null },
      state_default: [],
      ban: {},
      invite: null,
    })
    expect([bob, carol].map((who) => levels.userLevel(who))).toEqual([50, -Infinity])
    expect(levels.eventLevel('m.room.topic', true)).toBe(Infinity)
    expect(levels.eventLevel('m.room.name', true)).toBe(Infinity)
    expect(levels.eventLevel('m.room.message', false)).toBe(0)
    expect(levels).toMatchObject({ ban: Infinity, invite: Infinity, kick: 50 })
    expect([canInvite(levels, bob), canSendMessage(levels, carol, 'm.room.message')]).toEqual([false, false])
  })

  it.each(versions(1, 9))('in a map that is none is nobody’s in version %s', (version) => {
    const levels = levelsIn(version, { events: 'x', notifications: 5 })
    expect(levels.eventLevel('m.room.message', false)).toBe(Infinity)
    expect(levels.notificationLevel('room')).toBe(Infinity)
  })
})
