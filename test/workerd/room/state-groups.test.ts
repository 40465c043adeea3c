/** State groups against what they stand for, plain maps: random histories with forks and merges. */
import { stateMapKey, type StateMapKey } from '#protocol/events/state-map.ts'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { migrations } from '../../../durable-objects/room/migrations.ts'
import { StateGroups } from '../../../durable-objects/room/state-groups.ts'
import type { GroupId, Nid } from '../../../durable-objects/room/stored-event.ts'
import { freshRoomId, roomObject } from './rooms.ts'
import { runInDurableObject } from 'cloudflare:test'
import { seed } from '../../dsl/seed.ts'

type Naive = ReadonlyMap<StateMapKey, Nid>

function withSql(work: (sql: SqlStorage) => void): Promise<void> {
  return runInDurableObject(roomObject(freshRoomId()).stub, (_, { storage }) => {
    for (const migration of migrations) storage.sql.exec(migration)
    work(storage.sql)
  })
}

function key(number: number): StateMapKey {
  return stateMapKey(number % 3 === 0 ? 'm.room.member' : `t${number % 3}`, `@${number}:x`)
}

function after(state: Naive, changes: Naive): Naive {
  const next = new Map([...state, ...changes])
  for (const [place, nid] of changes) if (nid === 0) next.delete(place)
  return next
}

function naiveDiff(left: Naive, right: Naive) {
  const places = new Set([...left.keys(), ...right.keys()])
  const different = [...places].filter((place) => left.get(place) !== right.get(place))
  return new Map(different.map((place) => [place, [left.get(place), right.get(place)]]))
}

/** One step of a history: on which earlier group, and what changes (0 empties a place). */
const step = fc.record({
  // Mostly the newest group: long chains, with a fork now and then.
  parent: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(40) }),
  changes: fc.uniqueArray(fc.tuple(fc.nat(12), fc.nat(30)), { maxLength: 4, selector: ([place]) => place }),
})

test('hold what plain maps hold, through forks and merges, in memory and read anew', () =>
  withSql((sql) => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), (steps) => {
        const groups = new StateGroups(sql)
        const history: { id: GroupId; state: Naive }[] = [{ id: groups.empty(), state: new Map() }]
        for (const { parent, changes } of steps) {
          const base = history[Math.max(0, history.length - 1 - parent)] ?? history[0]
          if (!base) continue
          const delta = new Map(changes.map(([place, nid]) => [key(place), nid]))
          history.push({ id: groups.child(base.id, delta), state: after(base.state, delta) })
        }
        for (const reader of [groups, new StateGroups(sql)]) {
          for (const { id, state } of history) {
            expect(reader.readAll(id)).toEqual(state)
            const places = Array.from({ length: 13 }, (_, place) => key(place))
            expect(reader.readMany(id, places)).toEqual(state)
            for (const place of places) expect(reader.read(id, place)).toBe(state.get(place))
          }
          for (let left = 0; left < history.length; left += 7) {
            for (let right = 0; right < history.length; right += 5) {
              const [a, b] = [history[left], history[right]]
              if (a && b) expect(reader.diff(a.id, b.id)).toEqual(naiveDiff(a.state, b.state))
            }
          }
        }
      }),
      { numRuns: 60, seed },
    )
  }))

describe('a long history', () => {
  test('is read in few rows at any height, and written with one row per change', () =>
    withSql((sql) => {
      const groups = new StateGroups(sql)
      let group = groups.empty()
      for (let height = 1; height <= 3_000; height++) {
        group = groups.child(group, new Map([[key(height % 700), height]]))
        expect(groups.hops(group)).toBeLessThanOrEqual(Math.log2(height) + 2)
      }
      expect(groups.read(group, key(5))).toBe(2_805)
      expect(sql.exec('SELECT count(*) AS n FROM state_groups').one()).toEqual({ n: 3_001 })
    }))

  test('of very many members stays bounded per row, and still is read in few', () =>
    withSql((sql) => {
      const groups = new StateGroups(sql)
      const members = 20_000
      const state = new Map(
        Array.from({ length: members }, (_, at) => [stateMapKey('m.room.member', `@${at}:x`), at + 1]),
      )
      let group = groups.fromMap(state)
      for (let at = 0; at < 5_000; at++) {
        group = groups.child(group, new Map([[stateMapKey('m.room.member', `@late${at}:x`), members + at + 1]]))
      }
      expect(groups.readAll(group).size).toBe(members + 5_000)
      expect(groups.hops(group)).toBeLessThan(40)
      const { longest } = sql.exec<{ longest: number }>('SELECT max(length(delta)) AS longest FROM state_groups').one()
      // Of 2 MB that a value may have, with state keys and types of 255 bytes instead of these.
      expect(longest).toBeLessThan(2_048 * 50)
    }))

  test('is not held hostage by keys that name properties of objects', () =>
    withSql((sql) => {
      const strange = ['__proto__', 'constructor', 'toString'].map((name) => stateMapKey(name, name))
      const groups = new StateGroups(sql)
      const group = groups.fromMap(new Map(strange.map((place, at) => [place, at + 1])))
      const anew = new StateGroups(sql)
      expect(anew.read(group, stateMapKey('__proto__', '__proto__'))).toBe(1)
      expect(anew.read(group, stateMapKey('valueOf', ''))).toBeUndefined()
      expect([...anew.readAll(group).keys()]).toEqual(strange)
    }))
})

test('nothing changed is no new group, and so costs no row', () =>
  withSql((sql) => {
    const groups = new StateGroups(sql)
    const group = groups.child(groups.empty(), new Map([[key(1), 1]]))
    expect(groups.child(group, new Map())).toBe(group)
  }))
