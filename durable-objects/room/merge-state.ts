/**
 * The state after several events: state resolution over state groups.
 *
 * Spec: server-server-api/#room-state-resolution. Groups that hold the same are never resolved.
 */
import type { StateMap, StateMapKey } from '#protocol/events/state-map.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import { resolveState } from '#protocol/state-resolution/resolve-state.ts'

import { authGraph } from './auth-graph.ts'
import type { KnownState } from './merge-memory.ts'
import type { Room } from './room.ts'
import { type GroupId, type Nid, outcomes, type StoredEvent } from './stored-event.ts'

/**
 * The group that holds the resolved state of all `groups`, of which there is at least one. `isRejected`: where that is about
 * to become another outcome than what is stored.
 */
export function mergeState(room: Room, groups: readonly GroupId[], isRejected = isRejectedEvent): GroupId {
  const different = differentStates(room, groups)
  const [newest] = different
  if (newest === undefined) throw new Error('there is no state to merge')
  if (different.length === 1) return newest
  const name = different.join()
  const known = room.merges.groups.get(name)
  if (known !== undefined) return known
  const merged = resolveGroups(room, newest, different, isRejected)
  room.merges.groups.set(name, merged)
  return merged
}

function isRejectedEvent({ outcome }: StoredEvent): boolean {
  return outcome === outcomes.rejected
}

/** Newest first, each state once: two groups may hold the same. */
function differentStates({ groups }: Room, ids: readonly GroupId[]): GroupId[] {
  const different: GroupId[] = []
  for (const id of [...new Set(ids)].sort((a, b) => b - a)) {
    if (different.every((other) => groups.diff(other, id).size > 0)) different.push(id)
  }
  return different
}

/** Resolves, and hangs what comes out on `parent`, the first of the groups. */
function resolveGroups(
  room: Room,
  parent: GroupId,
  ids: readonly GroupId[],
  isRejected: (event: StoredEvent) => boolean,
): GroupId {
  const { reader, groups, crypto, merges } = room
  // Each is told by how it differs from the one before: they share their keys and IDs, and only the first is read whole.
  let near = merges.latest
  const stateSets = ids.map((id) => {
    const state = stateOf(room, id, near)
    near = { group: id, state }
    return state
  })
  const resolved = resolveState({
    rules: reader.rules,
    stateSets,
    // A rejected event never takes part, whoever cites it.
    lookup: (id) => {
      const event = reader.eventById(id)
      return event === undefined || isRejected(event) ? undefined : event.pdu
    },
    graph: authGraph(reader),
    crypto,
  })
  const before = stateSets[0] ?? new Map()
  const changes = new Map<StateMapKey, Nid>()
  for (const [key, eventId] of resolved) if (before.get(key) !== eventId) changes.set(key, nidOf(room, eventId))
  for (const key of before.keys()) if (!resolved.has(key)) changes.set(key, 0)
  const merged = groups.child(parent, changes)
  merges.noteState(merged, resolved)
  return merged
}

function nidOf({ reader }: Room, eventId: EventId): Nid {
  const nid = reader.nidOf(eventId)
  if (nid === undefined) throw new Error(`state resolution chose ${eventId}, which this room does not have`)
  return nid
}

/** The whole state of a group, by event ID: that of a group that was read before, with what is different. */
function stateOf(room: Room, group: GroupId, near: KnownState | undefined): StateMap {
  const { groups } = room
  if (near?.group === group) return near.state
  const state = new Map(near?.state)
  const changes = near
    ? [...groups.diff(near.group, group)].map(([key, [, nid]]) => [key, nid] as const)
    : [...groups.readAll(group)]
  const eventIds = eventIdsOf(
    room,
    changes.map(([, nid]) => nid).filter((nid) => nid !== undefined),
  )
  for (const [key, nid] of changes) {
    const eventId = nid === undefined ? undefined : eventIds.get(nid)
    if (nid === undefined) state.delete(key)
    else if (eventId === undefined) throw new Error(`no event has nid ${nid}`)
    else state.set(key, eventId)
  }
  return state
}

function eventIdsOf({ reader }: Room, nids: readonly Nid[]): Map<Nid, EventId> {
  const query = 'SELECT nid, event_id AS eventId FROM events WHERE nid IN (SELECT value FROM json_each(?))'
  const rows = reader.sql.exec<{ nid: Nid; eventId: EventId }>(query, JSON.stringify(nids))
  return new Map([...rows].map(({ nid, eventId }) => [nid, eventId]))
}
