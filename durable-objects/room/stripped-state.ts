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

/** The state at a member event of this room, as clients are told: the room's, that event, and who sent it. */
export function strippedStateAt(room: Room, member: StoredEvent): JsonObject[] {
  return stateAt(room, member).map(strippedEvent)
}

/** The same as events, for another server. Spec: server-server-api/#put_matrixfederationv1send_knockroomideventid. */
export function toldStateAt(room: Room, member: StoredEvent): JsonObject[] {
  return stateAt(room, member).map(({ pdu }) => pdu.json)
}

function stateAt({ groups, reader }: Room, member: StoredEvent): StoredEvent[] {
  const group = member.stateAfter
  if (group === undefined) return [member]
  const keys = [...types.map((type) => stateMapKey(type, '')), stateMapKey('m.room.member', member.sender)]
  const nids = [...groups.readMany(group, keys).values()].filter((nid) => nid !== member.nid)
  return [...reader.events(nids.sort((a, b) => a - b)), member]
}

/**
 * The same for an invite that is not in the room yet: full events, which whoever is invited can verify.
 * Spec: server-server-api/#put_matrixfederationv2inviteroomideventid.
 */
export function toldStateForInvite({ reader }: Room, sender: string): JsonObject[] {
  const places = [...types.map((type) => [type, ''] as const), ['m.room.member', sender] as const]
  return places.flatMap(([type, stateKey]) => {
    const event = reader.current(type, stateKey)
    return event ? [event.pdu.json] : []
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
export function strippedForeign(state: unknown): JsonObject[] {
  return (Array.isArray(state) ? state : [])
    .map((event) => (isObject(event) ? stripForeign(event) : undefined))
    .filter((event) => event !== undefined)
}
