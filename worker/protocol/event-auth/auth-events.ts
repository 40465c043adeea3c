/**
 * The rules about an event's own `auth_events`. They ask nothing of the room's state, so each event is checked once.
 *
 * Spec: rooms/vN "Authorisation rules", rule 2; rules 2 and 3 in version 12.
 */
import { authEventKeys } from '#protocol/events/auth-events-selection.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import { stateMapKey } from '#protocol/events/state-map.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import { createEventIdOf } from '#protocol/identifiers/room-id.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'
import { allow, reject } from './verdict.ts'
import type { Verdict } from './verdict.ts'

/** An event as this server holds it. `rejected`: it failed the checks on receipt of a PDU. */
export interface KnownEvent {
  readonly pdu: Pdu
  readonly rejected: boolean
}

/**
 * Whether an event may cite the auth events it cites. Call it before `checkAuthRules`, with everything the event cites at
 * hand: an auth event that `lookup` does not know leads to rejection. Throws only what `lookup` throws.
 */
export function checkAuthEventsOf(
  rules: RoomVersionRules,
  pdu: Pdu,
  lookup: (id: EventId) => KnownEvent | undefined,
): Verdict {
  // Rule 1 says all there is to say of create events: "the auth_events for the m.room.create event in a room is empty",
  // but no rule rejects one that has some.
  if (pdu.type === 'm.room.create') return allow

  // v12, rule 2: "If the event's room_id is not an event ID for an accepted (not rejected) m.room.create event, with the
  // sigil ! instead of $, reject."
  if (rules.roomIdIsCreateHash) {
    const createId = createEventIdOf(pdu.room_id)
    const create = createId === undefined ? undefined : lookup(createId)
    if (create === undefined || create.rejected || create.pdu.type !== 'm.room.create') {
      return reject(rules, 'roomId', 'the room ID is not that of an accepted create event')
    }
  }

  const entries: KnownEvent[] = []
  for (const id of pdu.auth_events) {
    const entry = lookup(id)
    if (entry === undefined) return reject(rules, 'authEvents', `auth event ${id} is not known`)
    entries.push(entry)
  }

  // "If there are duplicate entries for a given type and state_key pair, reject."
  const cited = new Set<string>()
  for (const { pdu: entry } of entries) {
    // Without a state key it is none of the selected ones, which the next rule sees.
    if (entry.state_key === undefined) continue
    const key = stateMapKey(entry.type, entry.state_key)
    if (cited.has(key)) return reject(rules, 'authEvents.duplicate', `two auth events for ${entry.type}`)
    cited.add(key)
  }

  // "If there are entries whose type and state_key don't match those specified by the auth events selection algorithm,
  // reject." In version 12 that algorithm does not select m.room.create.
  const selected = new Set<string>(authEventKeys(rules, pdu).map(([type, stateKey]) => stateMapKey(type, stateKey)))
  for (const { pdu: entry } of entries) {
    if (entry.state_key === undefined || !selected.has(stateMapKey(entry.type, entry.state_key))) {
      return reject(rules, 'authEvents.notSelected', `${entry.type} is no auth event of ${pdu.type}`)
    }
  }

  // "If there are entries which were themselves rejected under the checks performed on receipt of a PDU, reject."
  const rejected = entries.find((entry) => entry.rejected)
  if (rejected !== undefined) {
    return reject(rules, 'authEvents.rejected', `auth event ${rejected.pdu.event_id} was rejected`)
  }

  // v1–v11: "If there is no m.room.create event among the entries, reject."
  if (!rules.roomIdIsCreateHash && !cited.has(stateMapKey('m.room.create', ''))) {
    return reject(rules, 'authEvents.noCreate', 'no create event among the auth events')
  }

  // "If any event in auth_events has a room_id which does not match that of the event being authorised, reject."
  const foreign = entries.find((entry) => entry.pdu.room_id !== pdu.room_id)
  if (foreign !== undefined) {
    return reject(rules, 'authEvents.otherRoom', `auth event ${foreign.pdu.event_id} is of another room`)
  }

  return allow
}
