/** Power levels as strings and floats, and those nobody can read, which old room versions let in. */
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '#protocol/json/json.ts'
import { timeline } from '../../dsl/room-timeline.ts'
import { alice, bob, dave, eve } from '../../dsl/users.ts'
import { allowed, numbers, rejectedBy, versions } from './numbers.ts'
import { change, rulesIn, usersOf } from './power-level-changes.ts'

const strings: [string, number][] = [
  ['50', 50],
  ['0050', 50],
  ['+50', 50],
  ['-5', -5],
  [' 50 ', 50],
  ['\t\n +0050\u00a0\u3000', 50],
]

describe.each(versions(1, 9))('levels as strings in version %s', (version) => {
  const rule = rulesIn(version)

  it.each(strings)('%j is %d', (text, level) => {
    const users = usersOf(version, { [dave]: text })
    expect(change(version, bob, { ban: level }, { ban: text })).toEqual(allowed)
    expect(change(version, bob, { ban: 51 }, { ban: text })).toEqual(rejectedBy(rule.current))
    expect(change(version, bob, {}, { users })).toEqual(allowed)
    // Nothing changes when only the writing does.
    expect(change(version, bob, { users: usersOf(version, { [dave]: level }) }, { users })).toEqual(allowed)
  })

  it('are compared as numbers', () => {
    expect(change(version, bob, {}, { ban: '51' })).toEqual(rejectedBy(rule.new))
    expect(change(version, bob, {}, { ban: '9' })).toEqual(allowed)
    expect(change(version, bob, { ban: '100' }, { ban: 0 })).toEqual(rejectedBy(rule.current))
    expect(change(version, bob, { users: usersOf(version, { [bob]: '50', [dave]: '50' }) }, {})).toEqual(
      rejectedBy(rule.currentUser),
    )
  })

  it.each([null, 'x', '', '1.0', [], {}, true])('%j is none', (level) => {
    expect(change(version, alice, {}, { ban: level })).toEqual(rejectedBy(rule.new))
    expect(change(version, alice, {}, { events: { x: level } })).toEqual(rejectedBy(rule.newEntries))
  })

  it.each([null, 'x', 1, []])('%j is no map of them', (value) => {
    expect(change(version, alice, {}, { events: value })).toEqual(rejectedBy(rule.newEntries))
  })
})

describe.each(versions(1, 9))('a first event with levels that nobody can read in version %s', (version) => {
  const rule = rulesIn(version)
  const roomWith = (levels: JsonObject) =>
    timeline(version)
      .create(alice)
      .join(alice)
      .setJoinRule(alice, 'public')
      .join(bob)
      .setPowerLevels(alice, { users: { [alice]: 100 }, ...levels })

  it('is allowed', () => {
    for (const content of [{ ban: 'x' }, { events: null }, { events: { x: [] } }, { users_default: null }]) {
      expect(roomWith(content).last.verdict).toEqual(allowed)
    }
  })

  it('puts what they guard out of reach', () => {
    expect(roomWith({ ban: 'x' }).ban(alice, bob).last.rejected).toBe(true)
    expect(roomWith({ kick: null }).kick(alice, bob).last.rejected).toBe(true)
    expect(roomWith({ invite: {} }).invite(alice, eve).last.rejected).toBe(true)
    expect(roomWith({ events: 7 }).message(alice, 'hello').last.rejected).toBe(true)
    expect(roomWith({ events: { 'm.room.message': 'x' } }).message(alice, 'hello').last.rejected).toBe(true)
    expect(roomWith({ events_default: 'x' }).message(alice, 'hello').last.rejected).toBe(true)
    expect(roomWith({ users_default: 'x' }).message(bob, 'hello').last.rejected).toBe(true)
    expect(roomWith({ ban: 'x' }).message(bob, 'hello').last.verdict).toEqual(allowed)
  })

  it('cannot be mended by anybody', () => {
    const change = (before: JsonObject) =>
      roomWith(before).setPowerLevels(alice, { users: { [alice]: 100 }, ban: 50, events: {} }).last.verdict
    expect(change({ ban: 'x' })).toEqual(rejectedBy(rule.current))
    expect(change({ events: { x: 'x' } })).toEqual(rejectedBy(rule.currentEntry))
    expect(change({ events: null })).toEqual(rejectedBy(numbers[version].requiredLevel))
  })
})

describe.each(versions(6, 9))('a first event with notifications that nobody can read in version %s', (version) => {
  it('cannot be mended by anybody', () => {
    const room = timeline(version).create(alice).join(alice)
    room.setPowerLevels(alice, { users: { [alice]: 100 }, notifications: 'x' })
    expect(room.last.verdict).toEqual(allowed)
    room.setPowerLevels(alice, { users: { [alice]: 100 } })
    expect(room.last.verdict).toEqual(rejectedBy(`${numbers[version].powerLevels}.4`))
  })
})

describe.each(versions(1, 5))('levels as floats in version %s', (version) => {
  const rule = rulesIn(version)

  it('are truncated', () => {
    expect(change(version, bob, {}, { ban: 50.57 })).toEqual(allowed)
    expect(change(version, bob, {}, { ban: 51.01 })).toEqual(rejectedBy(rule.new))
    expect(change(version, bob, { ban: 50.99 }, { ban: 0 })).toEqual(allowed)
    expect(change(version, bob, {}, { users: usersOf(version, { [dave]: 50.9 }) })).toEqual(allowed)
    expect(change(version, bob, { users: usersOf(version, { [dave]: 49.9 }) }, {})).toEqual(allowed)
    // 50.2 and 50.9 are the same level, hence no change.
    expect(
      change(
        version,
        bob,
        { users: usersOf(version, { [dave]: 50.2 }) },
        { users: usersOf(version, { [dave]: 50.9 }) },
      ),
    ).toEqual(allowed)
  })

  it('may be as large as a double', () => {
    expect(change(version, alice, {}, { ban: 1e300 })).toEqual(rejectedBy(rule.new))
    expect(change(version, alice, { ban: 0 }, { ban: -1e300 })).toEqual(allowed)
  })
})
