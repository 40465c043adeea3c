/**
 * What an event says of the state it was sent in, by its `auth_events`. State resolution looks here wherever the resolved
 * state has no answer yet.
 *
 * Spec: rooms/v2 "State resolution" ("when looking at their respective auth_events", "the m.room.power_levels event in the
 * auth_events").
 */
import type { Lookup, Pdu, StateLookup } from '#protocol/events/pdu.ts'
import { stateMapKey } from '#protocol/events/state-map.ts'
import type { StateMapKey } from '#protocol/events/state-map.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import { createEventIdOf } from '#protocol/identifiers/room-id.ts'
import { powerLevelsOf } from '#protocol/power-levels.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'

/** The auth events of an event, among them the create event that its room ID implies in room version 12. */
export function citedEvents(rules: RoomVersionRules, pdu: Pdu): readonly EventId[] {
  if (!rules.roomIdIsCreateHash || pdu.type === 'm.room.create') return pdu.auth_events
  const createId = createEventIdOf(pdu.room_id)
  return createId === undefined ? pdu.auth_events : [...pdu.auth_events, createId]
}

/** The state which an event's auth events make up; undefined if one of them is nowhere to be found. */
export function citedState(rules: RoomVersionRules, pdu: Pdu, lookup: Lookup): StateLookup | undefined {
  const cited = new Map<StateMapKey, Pdu>()
  for (const id of citedEvents(rules, pdu)) {
    const auth = lookup(id)
    if (auth === undefined) return undefined
    if (auth.state_key !== undefined) cited.set(stateMapKey(auth.type, auth.state_key), auth)
  }
  return (type, stateKey) => cited.get(stateMapKey(type, stateKey))
}

/** The power level of an event's sender, going by its auth events; 0 if one of them is nowhere to be found. */
export function senderLevel(rules: RoomVersionRules, pdu: Pdu, lookup: Lookup): number {
  const state = citedState(rules, pdu, lookup)
  return state === undefined ? 0 : powerLevelsOf(rules, state).userLevel(pdu.sender)
}

/** The `m.room.power_levels` event among an event's auth events. */
export function citedPowerLevels(pdu: Pdu, lookup: Lookup): EventId | undefined {
  return pdu.auth_events.find((id) => {
    const auth = lookup(id)
    return auth?.type === 'm.room.power_levels' && auth.state_key === ''
  })
}
