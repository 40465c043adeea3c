/**
 * The envelope of an event: every field but `content`, each of the type and size its room version asks for.
 *
 * Spec: rooms/vN "Event format", client-server-api/#size-limits. Fields that no room version knows are not looked at; they
 * are signed like the others and stay.
 */
import { fitsCharacters, fitsIdentifier } from '#protocol/identifiers/characters.ts'
import { parseEventId, serverNameOfEventId } from '#protocol/identifiers/event-id.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import { isHashRoomId, parseRoomId } from '#protocol/identifiers/room-id.ts'
import { parseUserId } from '#protocol/identifiers/user-id.ts'
import { isObject, own } from '#protocol/json/json.ts'
import type { JsonObject, JsonValue } from '#protocol/json/json.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'
import type { Pdu } from './pdu.ts'

export const maxPrevEvents = 20
export const maxAuthEvents = 10

export type FormatReason =
  | 'not_an_object'
  | 'not_canonical_json'
  | 'event_too_large'
  | 'field_too_long'
  | 'bad_field'
  | 'bad_room_id'
  | 'too_many_prev_events'
  | 'too_many_auth_events'

export type FormatRefusal = { readonly ok: false; readonly reason: FormatReason; readonly message: string }
/** What is wrong with an event's envelope, if anything is. */
export function envelopeFault(rules: RoomVersionRules, json: JsonObject): FormatRefusal | undefined {
  return (
    textFault(rules, json) ??
    roomIdFault(rules, json) ??
    integerFault(json) ??
    objectFault(json) ??
    referencesFault(rules, json)
  )
}

/**
 * Spec: client-server-api/#size-limits. Identifiers and the two halves of a state key: 255 bytes of UTF-8 at most.
 *
 * Before room version 11 servers counted characters in type and state key. In old rooms there are events that others build
 * on and that are longer in bytes: such an event is well-formed here and rejected where it is judged (`oversizedField`),
 * since a dropped one would leave a hole that nothing can fill.
 */
function textFault(rules: RoomVersionRules, json: JsonObject): FormatRefusal | undefined {
  for (const key of ['type', 'state_key', 'sender', 'room_id', 'event_id'] as const) {
    const value = own(json, key)
    if (value === undefined) continue
    if (typeof value !== 'string') return refuse('bad_field', `${key} must be a string`)
    const isLenient = !rules.strictFieldBytes && (key === 'type' || key === 'state_key')
    if (!fitsIdentifier(value) && !(isLenient && fitsCharacters(value)))
      return refuse('field_too_long', `${key} has at most 255 bytes`)
  }
  if (own(json, 'type') === undefined) return refuse('bad_field', 'type is missing')
  if (parseUserId(own(json, 'sender')) === undefined) return refuse('bad_field', 'sender must be a user ID')
  // rooms/v1: the event carries its ID. rooms/v3: "the event_id field is no longer included".
  if (rules.eventId === 'in-event') {
    const eventId = parseEventId(own(json, 'event_id'))
    // Its server must sign, so there has to be one.
    if (eventId === undefined || serverNameOfEventId(eventId) === undefined) {
      return refuse('bad_field', 'event_id must be an event ID')
    }
  } else if (own(json, 'event_id') !== undefined) {
    return refuse('bad_field', 'event_id must not be there')
  }
  return undefined
}

/** The field by which a well-formed event of an old room is too long all the same. */
export function oversizedField({ type, state_key }: Pick<Pdu, 'type' | 'state_key'>): string | undefined {
  if (!fitsIdentifier(type)) return 'type'
  return state_key !== undefined && !fitsIdentifier(state_key) ? 'state_key' : undefined
}

/** Up to v11 a room ID names a server. In v12 it is a hash, and the create event has none. */
function roomIdFault(rules: RoomVersionRules, json: JsonObject): FormatRefusal | undefined {
  const value = own(json, 'room_id')
  if (createsItsRoomId(rules, json)) {
    if (value !== undefined) return refuse('bad_room_id', 'the create event must not have a room_id')
    return own(json, 'state_key') === '' ? undefined : refuse('bad_field', 'the state_key of the create event is empty')
  }
  const roomId = parseRoomId(value)
  if (roomId === undefined || isHashRoomId(roomId) !== rules.roomIdIsCreateHash) {
    return refuse('bad_room_id', `not a room ID of room version ${rules.version}`)
  }
  return undefined
}

function integerFault(json: JsonObject): FormatRefusal | undefined {
  const depth = own(json, 'depth')
  // Number.isSafeInteger would let a string through the types, not through the test.
  if (typeof depth !== 'number' || !Number.isSafeInteger(depth) || depth < 0) {
    return refuse('bad_field', 'depth must be an integer from 0 to 2^53-1')
  }
  const originServerTs = own(json, 'origin_server_ts')
  if (typeof originServerTs !== 'number' || !Number.isSafeInteger(originServerTs)) {
    return refuse('bad_field', 'origin_server_ts must be an integer')
  }
  return undefined
}

function objectFault(json: JsonObject): FormatRefusal | undefined {
  if (!isObject(own(json, 'content'))) return refuse('bad_field', 'content must be an object')
  const hashes = own(json, 'hashes')
  if (!isObject(hashes) || !isMapOf(hashes, isString) || own(hashes, 'sha256') === undefined) {
    return refuse('bad_field', 'hashes must be an object of strings with sha256')
  }
  const signatures = own(json, 'signatures')
  if (!isObject(signatures) || !isMapOf(signatures, (of) => isObject(of) && isMapOf(of, isString))) {
    return refuse('bad_field', 'signatures must be an object of objects of strings')
  }
  return undefined
}

function referencesFault(rules: RoomVersionRules, json: JsonObject): FormatRefusal | undefined {
  const prevEvents = eventIdsIn(rules, own(json, 'prev_events'))
  if (prevEvents === undefined) return refuse('bad_field', 'prev_events must be a list of events')
  if (prevEvents.length > maxPrevEvents) return refuse('too_many_prev_events', `at most ${maxPrevEvents} prev_events`)
  const authEvents = eventIdsIn(rules, own(json, 'auth_events'))
  if (authEvents === undefined) return refuse('bad_field', 'auth_events must be a list of events')
  if (authEvents.length > maxAuthEvents) return refuse('too_many_auth_events', `at most ${maxAuthEvents} auth_events`)
  return undefined
}

/** Room versions 1 and 2 have `[event ID, hashes]` pairs, later ones plain IDs. The hashes of pairs mean nothing. */
export function eventIdsIn(rules: RoomVersionRules, value: JsonValue | undefined): EventId[] | undefined {
  if (!Array.isArray(value)) return undefined
  const ids: EventId[] = []
  for (const item of value) {
    const eventId = parseEventId(rules.eventId === 'in-event' ? idOfPair(item) : item)
    if (eventId === undefined) return undefined
    ids.push(eventId)
  }
  return ids
}

function idOfPair(item: unknown): unknown {
  return Array.isArray(item) && item.length === 2 && isObject(item[1]) ? item[0] : undefined
}

/** Room version 12: the ID of the create event is the ID of the room. */
export function createsItsRoomId(rules: RoomVersionRules, json: JsonObject): boolean {
  return rules.roomIdIsCreateHash && own(json, 'type') === 'm.room.create'
}

function isString(value: unknown): boolean {
  return typeof value === 'string'
}

function isMapOf(object: JsonObject, test: (value: unknown) => boolean): boolean {
  return Object.values(object).every(test)
}

export function refuse(reason: FormatReason, message: string): FormatRefusal {
  return { ok: false, reason, message }
}
