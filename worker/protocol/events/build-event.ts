/**
 * The only place that makes events.
 *
 * Spec: rooms/vN "Event format", server-server-api/#adding-hashes-and-signatures-to-outgoing-events. A template from
 * another server (`make_join`) is never signed: its fields are read and an event is built here from our own.
 */
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { CanonicalJsonError } from '#protocol/json/canonical-json.ts'
import type { JsonObject, JsonValue } from '#protocol/json/json.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'
import { decodeBase64, encodeBase64UrlUnpadded } from '#protocol/signing/base64.ts'
import { contentHash } from '#protocol/signing/content-hash.ts'
import type { Crypto, SigningKey } from '#protocol/signing/crypto.ts'
import { signEvent } from '#protocol/signing/event-signatures.ts'
import { referenceHash } from '#protocol/signing/reference-hash.ts'
import { stickyField } from '#protocol/sticky-events.ts'
import { maxDepth, oversizedField, parsePdu } from './event-format.ts'
import type { FormatResult } from './event-format.ts'
import type { Lookup } from './pdu.ts'

export interface EventToBuild {
  readonly rules: RoomVersionRules
  /** Undefined for the create event of room version 12, and for that one only. */
  readonly roomId: RoomId | undefined
  readonly type: string
  /** Undefined for message events. */
  readonly stateKey?: string | undefined
  readonly sender: UserId
  readonly content: JsonObject
  /** For `m.room.redaction`: written to the place where the room version has it. */
  readonly redacts?: EventId | undefined
  /** How long the event is sticky, in ms (sticky-events.ts). */
  readonly stickyDuration?: number | undefined
  readonly prevEvents: readonly { readonly event_id: EventId; readonly depth: number }[]
  readonly authEvents: readonly EventId[]
  /** Milliseconds since 1970. */
  readonly originServerTs: number
  /** Room versions 1 and 2: finds the events whose hashes stand beside their IDs. What it does not find has no hash. */
  readonly lookup?: Lookup | undefined
}

/**
 * A complete event: hashed, signed by `serverName`, judged by `parsePdu`. Refusals are the content's fault (floats, too
 * large) or that of fields too long; whether the room allows the event is not asked here.
 */
export function buildEvent(input: EventToBuild, serverName: string, key: SigningKey, crypto: Crypto): FormatResult {
  const { rules } = input
  try {
    const json = unsignedEvent(input, crypto)
    const named = rules.eventId === 'in-event' ? { ...json, event_id: newEventId(json, serverName, crypto) } : json
    const parsed = parsePdu(rules, signEvent(rules, named, serverName, key, crypto), crypto)
    const oversized = parsed.ok ? oversizedField(parsed.pdu) : undefined
    return oversized === undefined
      ? parsed
      : { ok: false, reason: 'field_too_long', message: `${oversized} has at most 255 bytes` }
  } catch (error) {
    if (!(error instanceof CanonicalJsonError)) throw error
    return { ok: false, reason: 'not_canonical_json', message: error.message }
  }
}

function unsignedEvent(input: EventToBuild, crypto: Crypto): JsonObject {
  const { rules, roomId, type, stateKey, redacts, stickyDuration } = input
  const hasNoRoomId = rules.roomIdIsCreateHash && type === 'm.room.create'
  return {
    ...(roomId === undefined || hasNoRoomId ? {} : { room_id: roomId }),
    type,
    ...(stateKey === undefined ? {} : { state_key: stateKey }),
    sender: input.sender,
    content: redacts !== undefined && rules.redactsInContent ? { ...input.content, redacts } : input.content,
    ...(redacts === undefined || rules.redactsInContent ? {} : { redacts }),
    ...(stickyDuration === undefined ? {} : stickyField(stickyDuration)),
    origin_server_ts: input.originServerTs,
    depth: depthAfter(input.prevEvents),
    prev_events: references(
      input,
      input.prevEvents.map((event) => event.event_id),
      crypto,
    ),
    auth_events: references(input, input.authEvents, crypto),
  }
}

/** "The maximum depth of the prev_events, plus one"; at the limit it stays there. */
function depthAfter(prevEvents: readonly { readonly depth: number }[]): number {
  return Math.min(prevEvents.reduce((depth, event) => Math.max(depth, event.depth), 0) + 1, maxDepth)
}

/** Room versions 1 and 2: `[event ID, {sha256: reference hash}]`. Later: the event ID, which is that hash. */
function references(input: EventToBuild, ids: readonly EventId[], crypto: Crypto): JsonValue {
  const { rules, lookup } = input
  if (rules.eventId !== 'in-event') return ids
  return ids.map((id) => {
    const event = lookup?.(id)
    return [id, event === undefined ? {} : { sha256: referenceHash(rules, event.json, crypto) }]
  })
}

/** Room versions 1 and 2: "a locally-unique string". The event's own hash is that, and needs no randomness. */
function newEventId(json: JsonObject, serverName: string, crypto: Crypto): string {
  const hash = decodeBase64(contentHash(json, crypto)) ?? new Uint8Array()
  return `$${encodeBase64UrlUnpadded(hash.subarray(0, 18))}:${serverName}`
}
