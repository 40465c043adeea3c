/**
 * State groups: the room's state at every point of its history, as skip-delta chains.
 *
 * A group never changes. It stores what differs from its base, an ancestor that is far away where that pays: the group of
 * height h hangs on the ancestor of height h & (h - 1), so that a chain of n groups is read in at most log2(n) rows.
 *
 *     height   0 ◄── 1     2 ◄── 3     4 ◄── 5     6 ◄── 7     8
 *              ▲           │           │     ▲     │           │      5 = parent of 6, but 6 hangs on 4
 *              ├───────────┘           │     4 ◄───┘           │
 *              ├───────────────────────┘                       │
 *              └───────────────────────────────────────────────┘
 *
 * That ancestor lies on the way from the parent through bases, so making a group reads a few cached rows and writes one.
 * A delta is bounded: where the merged one would be too large, the group hangs on a nearer ancestor. Ways only get more
 * stations by that, so the ancestors above stay reachable.
 */
import type { StateMapKey } from '#protocol/events/state-map.ts'

import { Lru } from '../shared/lru.ts'
import type { GroupId, Nid } from './stored-event.ts'

/** At most 2,048 places of 255 + 255 bytes: half of the 2 MB that a value may have. */
const maxDeltaEntries = 2_048
const cachedEntries = 100_000

/** What a delta says of a place that became empty, as state resolution may make it. */
const nothing: Nid = 0

export type StateNids = ReadonlyMap<StateMapKey, Nid>

interface Group {
  readonly id: GroupId
  readonly base: GroupId | undefined
  readonly height: number
  readonly delta: StateNids
}
type GroupRow = { id: number; base: number | null; height: number; delta: string }

export class StateGroups {
  readonly #sql: SqlStorage
  readonly #groups = new Lru<GroupId, Group>(cachedEntries)
  #root: GroupId | undefined

  constructor(sql: SqlStorage) {
    this.#sql = sql
  }

  /** The group in which nothing is set: the state before the create event. All chains end in it. */
  empty(): GroupId {
    this.#root ??=
      this.#sql.exec<{ id: number }>('SELECT id FROM state_groups WHERE base IS NULL ORDER BY id LIMIT 1').toArray()[0]
        ?.id ?? this.#insert(undefined, 0, new Map())
    return this.#root
  }

  /** The group after `changes` to `parent`; nid 0 empties a place. */
  child(parent: GroupId, changes: StateNids): GroupId {
    if (changes.size <= maxDeltaEntries) return changes.size === 0 ? parent : this.#hang(this.#group(parent), changes)
    const all = [...changes]
    let group = parent
    for (let at = 0; at < all.length; at += maxDeltaEntries) {
      group = this.#hang(this.#group(group), new Map(all.slice(at, at + maxDeltaEntries)))
    }
    return group
  }

  /** The group of a state that was given as a whole, as `send_join` does. */
  fromMap(state: StateNids): GroupId {
    return this.child(this.empty(), state)
  }

  read(group: GroupId, key: StateMapKey): Nid | undefined {
    for (const { delta } of this.#chain(group)) {
      const nid = delta.get(key)
      if (nid !== undefined) return nid === nothing ? undefined : nid
    }
    return undefined
  }

  /** Several places at once; empty ones are left out. */
  readMany(group: GroupId, keys: Iterable<StateMapKey>): Map<StateMapKey, Nid> {
    const wanted = new Set(keys)
    const found = new Map<StateMapKey, Nid>()
    for (const { delta } of this.#chain(group)) {
      if (wanted.size === 0) break
      for (const key of wanted) {
        const nid = delta.get(key)
        if (nid === undefined) continue
        wanted.delete(key)
        if (nid !== nothing) found.set(key, nid)
      }
    }
    return found
  }

  /** The whole state. In a room of 100,000 members that is some 15 MB: for state resolution, not for reads. */
  readAll(group: GroupId): Map<StateMapKey, Nid> {
    const state = overlay(this.#chain(group))
    for (const [key, nid] of state) if (nid === nothing) state.delete(key)
    return state
  }

  /** The places in which two groups differ, with what each holds there. */
  diff(left: GroupId, right: GroupId): Map<StateMapKey, readonly [left: Nid | undefined, right: Nid | undefined]> {
    const leftChain = [...this.#chain(left)]
    const ancestors = new Set(leftChain.map(({ id }) => id))
    const rightOnly: Group[] = []
    let common: GroupId | undefined
    for (const group of this.#chain(right)) {
      if (ancestors.has(group.id)) {
        common = group.id
        break
      }
      rightOnly.push(group)
    }
    const inLeft = overlay(
      leftChain.slice(
        0,
        leftChain.findIndex(({ id }) => id === common),
      ),
    )
    const inRight = overlay(rightOnly)
    const oneSided = [...inLeft.keys(), ...inRight.keys()].filter((key) => !inLeft.has(key) || !inRight.has(key))
    const before = common === undefined ? new Map<StateMapKey, Nid>() : this.readMany(common, oneSided)
    const valueOf = (side: StateNids, key: StateMapKey) => {
      const nid = side.get(key) ?? before.get(key)
      return nid === nothing ? undefined : nid
    }
    const difference = new Map<StateMapKey, readonly [Nid | undefined, Nid | undefined]>()
    for (const key of new Set([...inLeft.keys(), ...inRight.keys()])) {
      const values = [valueOf(inLeft, key), valueOf(inRight, key)] as const
      if (values[0] !== values[1]) difference.set(key, values)
    }
    return difference
  }

  /** How many rows it takes to read a place that is not set: for tests of the bound. */
  hops(group: GroupId): number {
    return [...this.#chain(group)].length
  }

  /** Rows are no longer what this object wrote: a turn was rolled back. */
  forget(): void {
    this.#groups.clear()
    this.#root = undefined
  }

  #hang(parent: Group, changes: StateNids): GroupId {
    const height = parent.height + 1
    const farthest = height & (height - 1)
    const delta = new Map(changes)
    let base = parent
    while (base.height > farthest && base.base !== undefined && delta.size + base.delta.size <= maxDeltaEntries) {
      for (const [key, nid] of base.delta) if (!delta.has(key)) delta.set(key, nid)
      base = this.#group(base.base)
    }
    if (base.base === undefined) for (const [key, nid] of delta) if (nid === nothing) delta.delete(key)
    return this.#insert(base.id, height, delta)
  }

  #insert(base: GroupId | undefined, height: number, delta: StateNids): GroupId {
    const query = 'INSERT INTO state_groups(base, height, delta) VALUES (?, ?, ?) RETURNING id'
    const { id } = this.#sql.exec<{ id: number }>(query, base ?? null, height, JSON.stringify([...delta])).one()
    this.#groups.set(id, { id, base, height, delta }, delta.size + 1)
    return id
  }

  #group(id: GroupId): Group {
    const cached = this.#groups.get(id)
    if (cached) return cached
    const row = this.#sql.exec<GroupRow>('SELECT id, base, height, delta FROM state_groups WHERE id = ?', id).one()
    const pairs: [StateMapKey, Nid][] = JSON.parse(row.delta)
    const group = { id, base: row.base ?? undefined, height: row.height, delta: new Map(pairs) }
    this.#groups.set(id, group, pairs.length + 1)
    return group
  }

  /** A group and its bases, nearest first. */
  *#chain(id: GroupId): Iterable<Group> {
    for (let group = this.#group(id); ; group = this.#group(group.base)) {
      yield group
      if (group.base === undefined) return
    }
  }
}

/** What a chain of deltas, nearest first, sets: the nearest wins. */
function overlay(chain: Iterable<Group>): Map<StateMapKey, Nid> {
  const set = new Map<StateMapKey, Nid>()
  for (const { delta } of chain) for (const [key, nid] of delta) if (!set.has(key)) set.set(key, nid)
  return set
}
