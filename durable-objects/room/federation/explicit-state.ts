/** State that another server told, as a state group: the state behind a hole in what we know of the DAG. */
import { stateMapKey, type StateMapKey } from '#protocol/events/state-map.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'

import type { Room } from '../room.ts'
import { type GroupId, type Nid, outcomes, type StoredEvent } from '../stored-event.ts'

/**
 * The group that holds these state events. Rejected ones never enter state, whoever says so; neither does what is no state
 * event or not here.
 */
export function groupOf(room: Room, eventIds: readonly EventId[]): GroupId {
  const state = new Map<StateMapKey, Nid>()
  for (const id of eventIds) {
    const event = room.reader.eventById(id)
    if (event && isState(event)) state.set(stateMapKey(event.type, event.state_key), event.nid)
  }
  return groupOfPlaces(room, state)
}

/** The group that holds this and nothing else. */
export function groupOfPlaces({ reader, groups }: Room, state: ReadonlyMap<StateMapKey, Nid>): GroupId {
  const parent = reader.header().currentGroup ?? groups.empty()
  const changes = new Map<StateMapKey, Nid>()
  const before = groups.readAll(parent)
  for (const [key, nid] of state) if (before.get(key) !== nid) changes.set(key, nid)
  for (const key of before.keys()) if (!state.has(key)) changes.set(key, 0)
  return changes.size === 0 ? parent : groups.child(parent, changes)
}

/** The state after an event of which only the state before it is known. */
export function afterEvent({ groups }: Room, before: GroupId, event: StoredEvent | undefined): GroupId {
  if (!event || !isState(event)) return before
  return groups.child(before, new Map([[stateMapKey(event.type, event.state_key), event.nid]]))
}

function isState(event: StoredEvent): event is StoredEvent & { readonly state_key: string } {
  return event.state_key !== undefined && event.outcome !== outcomes.rejected
}
