/**
 * The format of events: the first of the checks on receipt. What passes is a PDU whose envelope can be trusted to have
 * the right types; nothing is said about signatures, hashes or authorisation, and `content` is not looked into.
 *
 * Spec: rooms/vN "Event format", client-server-api/#size-limits, server-server-api/#checks-performed-on-receipt-of-a-pdu.
 */
import { fitsIdentifier, utf8Length } from '#protocol/identifiers/characters.ts'
import { parseEventId, serverNameOfEventId } from '#protocol/identifiers/event-id.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import { isHashRoomId, parseRoomId, roomIdOfCreate } from '#protocol/identifiers/room-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import { parseUserId } from '#protocol/identifiers/user-id.ts'
import { CanonicalJsonError, canonicalJson, canonicalJsonLoose } from '#protocol/json/canonical-json.ts'
import { isObject, own } from '#protocol/json/json.ts'
import type { JsonObject, JsonValue } from '#protocol/json/json.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'
import type { Crypto } from '#protocol/signing/crypto.ts'
import { eventIdOf } from '#protocol/signing/reference-hash.ts'
import type { Pdu } from './pdu.ts'

/** Bytes of an event in canonical JSON, signatures included. */
export const maxEventBytes = 65_536
export const maxPrevEvents = 20
export const maxAuthEvents = 10
/** `depth` stops here and does not wrap. */
export const maxDepth = Number.MAX_SAFE_INTEGER

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
export type FormatResult = { readonly ok: true; readonly pdu: Pdu } | FormatRefusal

/** Judges what claims to be an event and computes its ID. Never throws. */
export function parsePdu(rules: RoomVersionRules, json: unknown, crypto: Crypto): FormatResult {
  if (!isObject(json)) return refuse('not_an_object', 'an event is a JSON object')
  const { unsigned: _, ...signed } = json
  const fault = sizeFault(rules, signed) ?? envelopeFault(rules, signed)
  if (fault !== undefined) return fault
  return { ok: true, pdu: pduFromStored(rules, signed, eventIdOf(rules, signed, crypto)) }
}

/** The PDU of an event that `parsePdu` has accepted before: reads, does not judge. Throws if that was not so. */
export function pduFromStored(rules: RoomVersionRules, json: JsonObject, eventId: EventId): Pdu {
  const type = own(json, 'type')
  const stateKey = own(json, 'state_key')
  const sender = parseUserId(own(json, 'sender'))
  const content = own(json, 'content')
  const depth = own(json, 'depth')
  const originServerTs = own(json, 'origin_server_ts')
  const roomId = roomIdOf(rules, json, eventId)
  const prevEvents = eventIdsIn(rules, own(json, 'prev_events'))
  const authEvents = eventIdsIn(rules, own(json, 'auth_events'))
  if (
    typeof type !== 'string' ||
    sender === undefined ||
    !isObject(content) ||
    typeof depth !== 'number' ||
    typeof originServerTs !== 'number' ||
    roomId === undefined ||
    prevEvents === undefined ||
    authEvents === undefined
  ) {
    throw new TypeError(`stored event ${eventId} is malformed`)
  }
  return {
    event_id: eventId,
    room_id: roomId,
    type,
    state_key: typeof stateKey === 'string' ? stateKey : undefined,
    sender,
    content,
    depth,
    origin_server_ts: originServerTs,
    prev_events: prevEvents,
    auth_events: authEvents,
    redacts: redactsOf(rules, type, json, content),
    json,
  }
}

/** An event in the canonical JSON of its room version: how it is measured and stored. Throws CanonicalJsonError. */
export function canonicalEvent(rules: RoomVersionRules, json: JsonObject): string {
  return rules.strictCanonicalJson ? canonicalJson(json) : canonicalJsonLoose(json)
}

/** Spec: client-server-api/#size-limits; rooms/v6 "Canonical JSON". */
function sizeFault(rules: RoomVersionRules, json: JsonObject): FormatRefusal | undefined {
  try {
    const text = canonicalEvent(rules, json)
    // No character takes more than three bytes for each UTF-16 unit.
    if (text.length * 3 <= maxEventBytes || utf8Length(text) <= maxEventBytes) return undefined
    return refuse('event_too_large', `an event has at most ${maxEventBytes} bytes`)
  } catch (error) {
    if (error instanceof CanonicalJsonError) return refuse('not_canonical_json', error.message)
    throw error
  }
}

function envelopeFault(rules: RoomVersionRules, json: JsonObject): FormatRefusal | undefined {
  return (
    textFault(rules, json) ??
    roomIdFault(rules, json) ??
    integerFault(json) ??
    objectFault(json) ??
    referencesFault(rules, json)
  )
}

/** Spec: client-server-api/#size-limits. Identifiers and the two halves of a state key: 255 bytes of UTF-8 at most. */
function textFault(rules: RoomVersionRules, json: JsonObject): FormatRefusal | undefined {
  for (const key of ['type', 'state_key', 'sender', 'room_id', 'event_id'] as const) {
    const value = own(json, key)
    if (value === undefined) continue
    if (typeof value !== 'string') return refuse('bad_field', `${key} must be a string`)
    if (!fitsIdentifier(value)) return refuse('field_too_long', `${key} has at most 255 bytes`)
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

/** Up to v11 a room ID names a server. In v12 it is a hash, and the create event has none. */
function roomIdFault(rules: RoomVersionRules, json: JsonObject): FormatRefusal | undefined {
  const value = own(json, 'room_id')
  if (isV12Create(rules, json)) {
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
function eventIdsIn(rules: RoomVersionRules, value: JsonValue | undefined): EventId[] | undefined {
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

function roomIdOf(rules: RoomVersionRules, json: JsonObject, eventId: EventId): RoomId | undefined {
  return isV12Create(rules, json) ? roomIdOfCreate(eventId) : parseRoomId(own(json, 'room_id'))
}

function isV12Create(rules: RoomVersionRules, json: JsonObject): boolean {
  return rules.roomIdIsCreateHash && own(json, 'type') === 'm.room.create'
}

function redactsOf(rules: RoomVersionRules, type: string, json: JsonObject, content: JsonObject): EventId | undefined {
  if (type !== 'm.room.redaction') return undefined
  return parseEventId(own(rules.redactsInContent ? content : json, 'redacts'))
}

function isString(value: unknown): boolean {
  return typeof value === 'string'
}

function isMapOf(object: JsonObject, test: (value: unknown) => boolean): boolean {
  return Object.values(object).every(test)
}

function refuse(reason: FormatReason, message: string): FormatRefusal {
  return { ok: false, reason, message }
}
