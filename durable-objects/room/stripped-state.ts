/**
 * What somebody who is invited to a room, or knocks on it, is told of it.
 *
 * Spec: client-server-api/#stripped-state. The state is the one at the invite or knock: what happens afterwards is not for
 * those who are not in the room.
 */
import { stateMapKey } from '#protocol/events/state-map.ts'
import { isObject, type JsonObject, type JsonValue } from '#protocol/json/json.ts'

import { stripForeign, strippedEvent } from './client-event.ts'
import type { OutsideMembership } from './reader.ts'
import type { Room } from './room.ts'
import type { StoredEvent } from './stored-event.ts'

const types = [
  'm.room.create',
  'm.room.name',
  'm.room.avatar',
  'm.room.topic',
  'm.room.join_rules',
  'm.room.canonical_alias',
  'm.room.encryption',
]

/** The stripped state at a member event of this room: the room's, that event, and who sent it. */
export function strippedStateAt({ groups, reader }: Room, member: StoredEvent): JsonObject[] {
  const group = member.stateAfter
  if (group === undefined) return [strippedEvent(member)]
  const keys = [...types.map((type) => stateMapKey(type, '')), stateMapKey('m.room.member', member.sender)]
  const nids = [...groups.readMany(group, keys).values()].filter((nid) => nid !== member.nid)
  return [...reader.events(nids.sort((a, b) => a - b)), member].map(strippedEvent)
}

/** The same for an invite that is not in the room yet. Spec: server-server-api/#put_matrixfederationv2inviteroomideventid. */
export function strippedStateForInvite({ reader }: Room, sender: string): JsonObject[] {
  const places = [...types.map((type) => [type, ''] as const), ['m.room.member', sender] as const]
  return places.flatMap(([type, stateKey]) => {
    const event = reader.current(type, stateKey)
    return event ? [strippedEvent(event)] : []
  })
}

/** The same for a room this server is not in, of which it has what the other server sent with the invite. */
export function strippedStateFromOutside(
  { reader }: Room,
  { eventNid, strippedState }: OutsideMembership,
): JsonObject[] {
  const given: JsonValue = JSON.parse(strippedState)
  const member = strippedEvent(reader.eventOf(eventNid))
  const others = strippedForeign(given).filter(
    (event) => event['type'] !== member['type'] || event['state_key'] !== member['state_key'],
  )
  return [...others, member]
}

/** What another server sent as stripped state: of each event what such an event may hold. */
export function strippedForeign(state: JsonValue | undefined): JsonObject[] {
  return (Array.isArray(state) ? state : [])
    .map((event) => (isObject(event) ? stripForeign(event) : undefined))
    .filter((event) => event !== undefined)
}
