/**
 * The state after several events: state resolution over state groups.
 *
 * Spec: server-server-api/#room-state-resolution. Groups that hold the same are never resolved, and what was resolved once
 * is kept: a fork that stays open costs one resolution, not one per event.
 */
import type { StateMap, StateMapKey } from '#protocol/events/state-map.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import { resolveState } from '#protocol/state-resolution/resolve-state.ts'

import { authGraph } from './auth-graph.ts'
import type { Room } from './room.ts'
import type { StateNids } from './state-groups.ts'
import { type GroupId, type Nid, outcomes } from './stored-event.ts'

/** The group that holds the resolved state of all `groups`, of which there is at least one. */
export function mergeState(room: Room, groups: readonly GroupId[]): GroupId {
  const different = differentStates(room, groups)
  const [newest] = different
  if (newest === undefined) throw new Error('there is no state to merge')
  if (different.length === 1) return newest
  const name = different.join()
  const known = room.merged.get(name)
  if (known !== undefined) return known
  const merged = resolveGroups(room, newest, different)
  room.merged.set(name, merged)
  return merged
}

/** Newest first, each state once: two groups may hold the same. */
function differentStates({ groups }: Room, ids: readonly GroupId[]): GroupId[] {
  const different: GroupId[] = []
  for (const id of [...new Set(ids)].sort((a, b) => b - a)) {
    if (different.every((other) => groups.diff(other, id).size > 0)) different.push(id)
  }
  return different
}

function resolveGroups(room: Room, parent: GroupId, ids: readonly GroupId[]): GroupId {
  const { reader, groups, crypto } = room
  const states = ids.map((id) => groups.readAll(id))
  const eventIds = eventIdsOf(room, states)
  const resolved = resolveState({
    rules: reader.rules,
    stateSets: states.map((state) => withEventIds(state, eventIds)),
    // A rejected event never takes part, whoever cites it.
    lookup: (id) => {
      const event = reader.eventById(id)
      return event === undefined || event.outcome === outcomes.rejected ? undefined : event.pdu
    },
    graph: authGraph(reader),
    crypto,
  })
  const before = states[0] ?? new Map()
  const changes = new Map<StateMapKey, Nid>()
  for (const [key, eventId] of resolved) {
    const nid = reader.nidOf(eventId)
    if (nid === undefined) throw new Error(`state resolution chose ${eventId}, which this room does not have`)
    if (before.get(key) !== nid) changes.set(key, nid)
  }
  for (const key of before.keys()) if (!resolved.has(key)) changes.set(key, 0)
  return groups.child(parent, changes)
}

function eventIdsOf({ reader }: Room, states: readonly StateNids[]): Map<Nid, EventId> {
  const nids = new Set(states.flatMap((state) => [...state.values()]))
  const query = 'SELECT nid, event_id AS eventId FROM events WHERE nid IN (SELECT value FROM json_each(?))'
  const rows = reader.sql.exec<{ nid: Nid; eventId: EventId }>(query, JSON.stringify([...nids]))
  return new Map([...rows].map(({ nid, eventId }) => [nid, eventId]))
}

function withEventIds(state: StateNids, eventIds: ReadonlyMap<Nid, EventId>): StateMap {
  return new Map(
    [...state].map(([key, nid]) => {
      const eventId = eventIds.get(nid)
      if (eventId === undefined) throw new Error(`no event has nid ${nid}`)
      return [key, eventId]
    }),
  )
}
