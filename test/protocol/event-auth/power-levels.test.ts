/** Who may change `m.room.power_levels`, and to what. */
import { describe, expect, it } from 'vitest'
import type { JsonObject, JsonValue } from '#protocol/json/json.ts'
import { roomVersions } from '#protocol/room-versions/rules.ts'
import { timeline } from '../../dsl/room-timeline.ts'
import { alice, bob, carol, dave, eve } from '../../dsl/users.ts'
import { allowed, numbers, rejectedBy, since, versions } from './numbers.ts'
import { admin, change, rulesIn, usersOf } from './power-level-changes.ts'

describe.each(roomVersions)('power levels in version %s', (version) => {
  const rule = rulesIn(version)

  it('take the level of their type first', () => {
    expect(change(version, carol, {}, {})).toEqual(rejectedBy(numbers[version].requiredLevel))
    expect(change(version, bob, {}, {})).toEqual(allowed)
  })

  describe(`${rule.users}: users`, () => {
    it.each([[{}], [{ [eve]: 0 }], [{ '@Historical User:e.example': -1 }], [{ '@:e.example:8448': 0 }]])(
      'may be %j',
      (users) => {
        expect(change(version, alice, {}, { users: usersOf(version, users) })).toEqual(allowed)
      },
    )

    it('need not be there', () => {
      const room = timeline(version).create(alice).join(alice)
      expect(room.setPowerLevels(alice, {}).last.verdict).toEqual(allowed)
    })

    it.each([null, 1, 'x', [], [bob], true])('is not %j', (users) => {
      expect(change(version, alice, {}, { users })).toEqual(rejectedBy(rule.users))
    })

    it.each(['', 'bob', '@bob', '@bob:', '@bob:b example', '!bob:b.example', ' @bob:b.example', '@a:b:c'])(
      'does not list %j',
      (key) => {
        expect(change(version, alice, {}, { users: usersOf(version, { [key]: 0 }) })).toEqual(rejectedBy(rule.users))
      },
    )

    it.each([null, true, '', 'x', '5x', '0x10', '1e2', '1.5', '--1', '+ 1', '1 2', '٣', 'Infinity', [5], {}])(
      'gives nobody level %j',
      (level) => {
        expect(change(version, alice, {}, { users: usersOf(version, { [eve]: level }) })).toEqual(
          rejectedBy(rule.users),
        )
      },
    )

    it('is checked in the first event of a room as well', () => {
      const room = timeline(version).create(alice).join(alice)
      expect(room.setPowerLevels(alice, { users: { bob: 0 } }).last.verdict).toEqual(rejectedBy(rule.users))
      expect(room.setPowerLevels(alice, { users: null }).last.verdict).toEqual(rejectedBy(rule.users))
    })
  })

  it('may be anything when they are the first', () => {
    const room = timeline(version).create(alice).join(alice)
    const content = { users: usersOf(version, { [eve]: 1000 }), ban: 1000, events: { 'm.room.name': 1000 } }
    expect(room.setPowerLevels(alice, content).last.verdict).toEqual(allowed)
  })

  describe.each(['users_default', 'events_default', 'state_default', 'ban', 'redact', 'kick', 'invite'])(
    'of %s',
    (name) => {
      it(`${rule.current}: cannot be taken from above the sender`, () => {
        expect(change(version, bob, { [name]: 50 }, { [name]: 0 })).toEqual(allowed)
        expect(change(version, bob, { [name]: 51 }, { [name]: 50 })).toEqual(rejectedBy(rule.current))
        expect(change(version, bob, { [name]: 51 }, {})).toEqual(rejectedBy(rule.current))
      })

      it(`${rule.new}: cannot be set above the sender`, () => {
        expect(change(version, bob, { [name]: 0 }, { [name]: 50 })).toEqual(allowed)
        expect(change(version, bob, { [name]: 0 }, { [name]: 51 })).toEqual(rejectedBy(rule.new))
        expect(change(version, bob, {}, { [name]: 50 })).toEqual(allowed)
        expect(change(version, bob, {}, { [name]: 51 })).toEqual(rejectedBy(rule.new))
      })

      it('may stay above the sender', () => {
        expect(change(version, bob, { [name]: 51 }, { [name]: 51 })).toEqual(allowed)
      })

      it('may be negative', () => {
        expect(change(version, bob, { [name]: 50 }, { [name]: -5 })).toEqual(allowed)
        expect(change(version, bob, { [name]: -5 }, { [name]: 50 })).toEqual(allowed)
      })
    },
  )

  it('that are absent have their defaults, to be taken or left', () => {
    const low = { events: { 'm.room.power_levels': 40 }, users: usersOf(version, { [carol]: 40 }) }
    for (const name of ['state_default', 'ban', 'redact', 'kick']) {
      // 50 without saying so: out of Carol's reach, in both directions.
      expect(change(version, carol, low, { ...low, [name]: 0 })).toEqual(rejectedBy(rule.current))
      expect(change(version, carol, { ...low, [name]: 0 }, low)).toEqual(rejectedBy(rule.new))
    }
    for (const name of ['users_default', 'events_default', 'invite']) {
      expect(change(version, carol, low, { ...low, [name]: 40 })).toEqual(allowed)
      expect(change(version, carol, { ...low, [name]: 40 }, low)).toEqual(allowed)
    }
  })

  const maps = since(version, 6) ? ['events', 'notifications'] : ['events']
  describe.each(maps)('of an entry in %s', (map) => {
    const entries = (levels: JsonObject): JsonObject =>
      map === 'events' ? { events: { 'm.room.power_levels': 50, ...levels } } : { notifications: levels }

    it(`${rule.currentEntry}: cannot be taken from above the sender`, () => {
      expect(change(version, bob, entries({ x: 50 }), entries({ x: 0 }))).toEqual(allowed)
      expect(change(version, bob, entries({ x: 50 }), entries({}))).toEqual(allowed)
      expect(change(version, bob, entries({ x: 51 }), entries({ x: 50 }))).toEqual(rejectedBy(rule.currentEntry))
      expect(change(version, bob, entries({ x: 51 }), entries({}))).toEqual(rejectedBy(rule.currentEntry))
      expect(change(version, bob, entries({ x: 51 }), entries({ x: 52 }))).toEqual(rejectedBy(rule.currentEntry))
    })

    it(`${rule.newEntry}: cannot be set above the sender`, () => {
      expect(change(version, bob, entries({ x: 0 }), entries({ x: 50 }))).toEqual(allowed)
      expect(change(version, bob, entries({}), entries({ x: 50 }))).toEqual(allowed)
      expect(change(version, bob, entries({ x: 0 }), entries({ x: 51 }))).toEqual(rejectedBy(rule.newEntry))
      expect(change(version, bob, entries({}), entries({ x: 51 }))).toEqual(rejectedBy(rule.newEntry))
      expect(change(version, bob, entries({}), entries({ ['__proto__']: 51 }))).toEqual(rejectedBy(rule.newEntry))
    })

    it('may stay above the sender', () => {
      expect(change(version, bob, entries({ x: 51, y: 0 }), entries({ x: 51, y: 1 }))).toEqual(allowed)
    })
  })

  describe('of a user', () => {
    const users = (levels: JsonObject): JsonObject => ({ users: usersOf(version, levels) })

    it(`${rule.currentUser}: cannot be taken unless it is below the sender's`, () => {
      expect(change(version, bob, users({ [dave]: 49 }), users({ [dave]: 0 }))).toEqual(allowed)
      expect(change(version, bob, users({ [dave]: 49 }), users({}))).toEqual(allowed)
      expect(change(version, bob, users({ [dave]: 50 }), users({ [dave]: 0 }))).toEqual(rejectedBy(rule.currentUser))
      expect(change(version, bob, users({ [dave]: 50 }), users({}))).toEqual(rejectedBy(rule.currentUser))
      expect(change(version, bob, users({ [dave]: 51 }), users({ [dave]: 50 }))).toEqual(rejectedBy(rule.currentUser))
    })

    it(`${rule.newUser}: cannot be set above the sender's`, () => {
      expect(change(version, bob, users({}), users({ [dave]: 50 }))).toEqual(allowed)
      expect(change(version, bob, users({ [dave]: 0 }), users({ [dave]: 50 }))).toEqual(allowed)
      expect(change(version, bob, users({}), users({ [dave]: 51 }))).toEqual(rejectedBy(rule.newUser))
      expect(change(version, bob, users({ [dave]: 0 }), users({ [dave]: 51 }))).toEqual(rejectedBy(rule.newUser))
    })

    it('may be given away by its owner, but not raised', () => {
      expect(change(version, bob, users({}), users({ [bob]: 0 }))).toEqual(allowed)
      expect(change(version, bob, users({}), users({ [bob]: 51 }))).toEqual(rejectedBy(rule.newUser))
      const { [bob]: _, ...without } = usersOf(version)
      expect(change(version, bob, {}, { users: without })).toEqual(allowed)
    })

    it('may stay as high as it is', () => {
      expect(change(version, bob, users({ [dave]: 1000 }), users({ [dave]: 1000, [eve]: 1 }))).toEqual(allowed)
    })

    it('who gets users_default is nobody to be protected', () => {
      const before = { users_default: 50, ...users({}) }
      expect(change(version, bob, before, { users_default: 50, ...users({ [dave]: 0 }) })).toEqual(allowed)
    })
  })

  it('are judged by those of the room, also under another state key and under none', () => {
    const room = timeline(version).publicChat({ creator: alice, members: [bob] })
    room.setPowerLevels(alice, { events: { 'm.room.power_levels': 50 }, users: usersOf(version) })
    for (const stateKey of ['', 'elsewhere', bob, undefined]) {
      const judge = (users: JsonObject) =>
        room.judge(room.draft('m.room.power_levels', stateKey, { users, events: { 'm.room.power_levels': 50 } }, bob))
      expect(judge(usersOf(version, { [eve]: 50 }))).toEqual(allowed)
      expect(judge(usersOf(version, { [eve]: 51 }))).toEqual(rejectedBy(rule.newUser))
    }
  })
})

describe.each(versions(1, 5))('notifications in version %s', (version) => {
  it.each<JsonValue>([{ room: 1000 }, { room: 'x' }, null, 'x', []])('are not looked at: %j', (notifications) => {
    expect(change(version, bob, {}, { notifications })).toEqual(allowed)
    expect(change(version, bob, { notifications }, {})).toEqual(allowed)
  })

  it('also not in content that cannot be read otherwise', () => {
    expect(change(version, bob, { notifications: { room: 1000 } }, { notifications: null })).toEqual(allowed)
  })
})

describe.each(versions(10, 12))('levels that are no integers in version %s', (version) => {
  const rule = rulesIn(version)
  const wrong = ['50', ' 50', '', null, true, [50], {}]

  it.each(wrong)(`${rule.integers}: %j is none by itself`, (level) => {
    for (const name of ['users_default', 'events_default', 'state_default', 'ban', 'redact', 'kick', 'invite']) {
      expect(change(version, alice, {}, { [name]: level })).toEqual(rejectedBy(rule.integers))
      const first = timeline(version)
        .create(alice)
        .join(alice)
        .setPowerLevels(alice, { [name]: level })
      expect(first.last.verdict).toEqual(rejectedBy(rule.integers))
    }
  })

  it.each(wrong)(`${rule.maps}: %j is none in events and notifications`, (level) => {
    for (const map of ['events', 'notifications']) {
      expect(change(version, alice, {}, { [map]: { x: level } })).toEqual(rejectedBy(rule.maps))
    }
  })

  it.each([null, 'x', 1, [], true])(`${rule.maps}: %j is no map of them`, (value) => {
    for (const map of ['events', 'notifications']) {
      expect(change(version, alice, {}, { [map]: value })).toEqual(rejectedBy(rule.maps))
    }
    const first = timeline(version).create(alice).join(alice).setPowerLevels(alice, { events: value })
    expect(first.last.verdict).toEqual(rejectedBy(rule.maps))
  })

  it.each(wrong)(`${rule.users}: %j is none of a user`, (level) => {
    expect(change(version, alice, {}, { users: usersOf(version, { [eve]: level }) })).toEqual(rejectedBy(rule.users))
  })

  it('what no rule mentions may be anything', () => {
    expect(change(version, bob, {}, { 'org.example.level': '50', historical: null })).toEqual(allowed)
  })
})

describe.each(versions(12, 12))('creators in the power levels of version %s', (version) => {
  const roomWith = (createContent: JsonObject) =>
    timeline(version).create(alice, createContent).join(alice).setJoinRule(alice, 'public').join(bob).join(admin)

  it('10.4: are not listed', () => {
    const room = roomWith({ additional_creators: [bob, carol] })
    for (const creator of [alice, bob, carol]) {
      for (const level of [100, 0, -1]) {
        expect(room.setPowerLevels(alice, { users: { [creator]: level } }).last.verdict).toEqual(rejectedBy('10.4'))
      }
    }
    expect(room.setPowerLevels(alice, { users: { [dave]: 100 } }).last.verdict).toEqual(allowed)
    expect(room.setPowerLevels(alice, { users: { [dave]: 100, [bob]: 100 } }).last.verdict).toEqual(rejectedBy('10.4'))
  })

  it('may do anything with them', () => {
    const room = roomWith({ additional_creators: [bob] })
    const max = Number.MAX_SAFE_INTEGER
    room.setPowerLevels(alice, { users: { [dave]: max }, ban: max, events: { 'm.room.power_levels': max } })
    expect(room.last.verdict).toEqual(allowed)
    expect(room.setPowerLevels(bob, { users: { [dave]: 0 }, ban: 0 }).last.verdict).toEqual(allowed)
  })

  it('are the only ones with power before there are any', () => {
    const room = roomWith({})
    expect(room.setPowerLevels(admin, { users: {} }).last.verdict).toEqual(rejectedBy('8'))
    expect(room.setPowerLevels(alice, { users: {} }).last.verdict).toEqual(allowed)
  })
})
