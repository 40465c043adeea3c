/**
 * The reference hash names an event: it covers what redaction keeps, the content hash included.
 *
 * Spec: server-server-api/#calculating-the-reference-hash-for-an-event; rooms/v1, v3, v4 "Event IDs".
 */
import { parseEventId } from '#protocol/identifiers/event-id.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import { own } from '#protocol/json/json.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'
import { encodeBase64Unpadded, encodeBase64UrlUnpadded } from './base64.ts'
import type { Crypto } from './crypto.ts'
import { eventSignedBytes } from './signed-bytes.ts'

/** Unpadded base64, of the URL-safe kind from room version 4 on. Throws CanonicalJsonError. */
export function referenceHash(rules: RoomVersionRules, json: JsonObject, crypto: Crypto): string {
  return printReferenceHash(rules, crypto.sha256(eventSignedBytes(rules, json)))
}

/** The event's ID: its reference hash, or in room versions 1 and 2 the one it carries. Throws if that one is malformed. */
export function eventIdOf(rules: RoomVersionRules, json: JsonObject, crypto: Crypto): EventId {
  const id = rules.eventId === 'in-event' ? own(json, 'event_id') : `$${referenceHash(rules, json, crypto)}`
  const eventId = parseEventId(id)
  if (eventId === undefined) throw new TypeError('an event without an event_id')
  return eventId
}

/** A SHA-256 hash in the alphabet of a room version's event IDs. */
export function printReferenceHash(rules: RoomVersionRules, hash: Uint8Array): string {
  return rules.eventId === 'hash-url-safe' ? encodeBase64UrlUnpadded(hash) : encodeBase64Unpadded(hash)
}
