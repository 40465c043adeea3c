/**
 * The format of events: the first of the checks on receipt. What passes is a PDU whose envelope can be trusted to have
 * the right types; nothing is said about signatures, hashes or authorisation, and `content` is not looked into.
 *
 * Spec: rooms/vN "Event format", client-server-api/#size-limits, server-server-api/#checks-performed-on-receipt-of-a-pdu.
 */
import { utf8Length } from '#protocol/identifiers/characters.ts'
import { parseEventId } from '#protocol/identifiers/event-id.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import { parseRoomId, roomIdOfCreate } from '#protocol/identifiers/room-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import { parseUserId } from '#protocol/identifiers/user-id.ts'
import { CanonicalJsonError, canonicalJson, canonicalJsonLoose } from '#protocol/json/canonical-json.ts'
import { isObject, own } from '#protocol/json/json.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'
import type { Crypto } from '#protocol/signing/crypto.ts'
import { eventIdOf } from '#protocol/signing/reference-hash.ts'
import { createsItsRoomId, envelopeFault, eventIdsIn, refuse } from './event-envelope.ts'
import type { FormatRefusal } from './event-envelope.ts'
import type { Pdu } from './pdu.ts'

export { maxAuthEvents, maxPrevEvents, oversizedField } from './event-envelope.ts'
export type { FormatReason, FormatRefusal } from './event-envelope.ts'

/** Bytes of an event in canonical JSON, signatures included. */
export const maxEventBytes = 65_536
/** `depth` stops here and does not wrap. */
export const maxDepth = Number.MAX_SAFE_INTEGER

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

function roomIdOf(rules: RoomVersionRules, json: JsonObject, eventId: EventId): RoomId | undefined {
  return createsItsRoomId(rules, json) ? roomIdOfCreate(eventId) : parseRoomId(own(json, 'room_id'))
}

function redactsOf(rules: RoomVersionRules, type: string, json: JsonObject, content: JsonObject): EventId | undefined {
  if (type !== 'm.room.redaction') return undefined
  return parseEventId(own(rules.redactsInContent ? content : json, 'redacts'))
}
