/**
 * The state that goes with a timeline, so that a client which applies both holds the room's state.
 *
 * Spec: client-server-api/#syncing, #get_matrixclientv3sync `state` and `state_after`, #lazy-loading-room-members.
 *
 *      what the client holds ── held ──► ( events left out ) ── start ──► timeline ── end
 *
 * `state_after` is simple: what differs between what is held and `end`. `state` is applied *before* the timeline's own state
 * events, so a place that the timeline changes has to be as it was at `start`, and any other as it is at `end`. The latter
 * is more than the spec's "updates … between since and the start": where branches of the DAG merge within the timeline, the
 * room's state changes in places of which no event of the timeline says anything.
 */
import { splitStateMapKey, type StateMapKey, stateMapKey } from '#protocol/events/state-map.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import { membersIn } from './lazy-members.ts'
import type { Room } from './room.ts'
import { stateOfGroup } from './state-of-group.ts'
import type { GroupId, Nid, StoredEvent } from './stored-event.ts'

/** What the client holds, and how it differs from the state at the end of the timeline. */
export interface Held {
  readonly group: GroupId
  readonly changes: StateDifference
}
export type StateDifference = ReadonlyMap<StateMapKey, readonly [before: Nid | undefined, after: Nid | undefined]>

export interface StateSpan {
  /** Undefined when the client holds no state. */
  readonly held: Held | undefined
  readonly start: GroupId
  readonly end: GroupId
  readonly timeline: readonly StoredEvent[]
  /** For `state_after`, which takes nothing from the timeline. */
  readonly atEnd: boolean
}

export interface LazyLoading {
  /** Whose member events the client needs for what it is shown. */
  readonly users: ReadonlySet<UserId>
  /** Whether the client has a member event already. */
  readonly has: (member: StoredEvent) => boolean
}

/** What a client holds that was given the state of one group, when the room has come to another. */
export function heldState({ groups }: Room, group: GroupId, end: GroupId): Held {
  return { group, changes: group === end ? new Map() : groups.diff(group, end) }
}

/**
 * The places that changed since a position, for a client that loads members lazily: those aside of whom the room learnt only
 * when its state became whole (partial-state.ts). They are very many, and did nothing that the client has heard of.
 */
export function changesFor({ reader }: Room, { changes }: Held, from: number): StateDifference {
  if (reader.partial.isOpen || !reader.partial.wasOpenAt(from)) return changes
  const query = "SELECT nid FROM events WHERE pos > ? AND type = 'm.room.member'"
  const live = new Set([...reader.sql.exec<{ nid: Nid }>(query, from)].map(({ nid }) => nid))
  const isLate = (key: StateMapKey, before: Nid | undefined, now: Nid | undefined) =>
    before === undefined && now !== undefined && !live.has(now) && isMemberPlace(key)
  return new Map([...changes].filter(([key, [before, now]]) => !isLate(key, before, now)))
}

/** The state events to send, before filtering. With lazy loading, members only as far as they are needed or changed. */
export function stateSlice(room: Room, span: StateSpan, lazy: LazyLoading | undefined): StoredEvent[] {
  const inTimeline = span.atEnd ? new Set<StateMapKey>() : placesOf(span.timeline)
  const all = [
    ...(span.held
      ? changedEvents(room, span.held, inTimeline)
      : stateOfGroup(room, span.end, lazy !== undefined).filter((event) => !inTimeline.has(placeOf(event)))),
    ...atStart(room, span, inTimeline, lazy !== undefined),
    ...(lazy ? neededMembers(room, span, inTimeline, lazy) : []),
  ]
  const byNid = new Map(all.map((event) => [event.nid, event]))
  return [...byNid.values()].sort((a, b) => a.nid - b.nid)
}

function changedEvents({ reader }: Room, { changes }: Held, except: ReadonlySet<StateMapKey>): StoredEvent[] {
  const nids = [...changes].filter(([key]) => !except.has(key)).map(([, [, nid]]) => nid)
  return reader.events(nids.filter((nid) => nid !== undefined))
}

/** What stood at the start in places that the timeline changes, where the client does not hold it. */
function atStart(
  { groups, reader }: Room,
  { held, start }: StateSpan,
  places: ReadonlySet<StateMapKey>,
  isLazy: boolean,
): StoredEvent[] {
  const before = groups.readMany(start, places)
  const known = held ? groups.readMany(held.group, places) : new Map<StateMapKey, Nid>()
  const nids = [...before].filter(
    // A client that holds nothing and loads members lazily gets those it needs, no others.
    ([key, nid]) => known.get(key) !== nid && !(isLazy && !held && isMemberPlace(key)),
  )
  return reader.events(nids.map(([, nid]) => nid))
}

function neededMembers(
  room: Room,
  { start, end }: StateSpan,
  inTimeline: ReadonlySet<StateMapKey>,
  { users, has }: LazyLoading,
): StoredEvent[] {
  const changed = [...users].filter((user) => inTimeline.has(stateMapKey('m.room.member', user)))
  const unchanged = [...users].filter((user) => !changed.includes(user))
  return [...membersIn(room, start, changed), ...membersIn(room, end, unchanged)].filter((member) => !has(member))
}

/** Whether the members are others than before, or what decides whether they name the room. */
export function membersChanged({ changes }: Held): boolean {
  return [...changes.keys()].some((key) => isMemberPlace(key) || key === namePlace || key === aliasPlace)
}

const namePlace = stateMapKey('m.room.name', '')
const aliasPlace = stateMapKey('m.room.canonical_alias', '')

function isMemberPlace(key: StateMapKey): boolean {
  return splitStateMapKey(key)[0] === 'm.room.member'
}

function placesOf(events: readonly StoredEvent[]): Set<StateMapKey> {
  return new Set(events.filter(({ state_key }) => state_key !== undefined).map(placeOf))
}

function placeOf({ type, state_key }: StoredEvent): StateMapKey {
  return stateMapKey(type, state_key ?? '')
}
