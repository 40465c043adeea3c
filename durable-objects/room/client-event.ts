/**
 * An event as a client gets it.
 *
 * Spec: client-server-api/#room-event-format, data/api/client-server/definitions/client_event.yaml. Built from the stored PDU
 * field by field: nothing that another server put beside them, `unsigned` least of all, is passed on. What stands in
 * `unsigned` is ours, and nothing there shows an event that the reader may not see.
 */
import { stateMapKey } from '#protocol/events/state-map.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, type JsonObject, type JsonValue, own } from '#protocol/json/json.ts'
import { stickyDurationOf, stickyField } from '#protocol/sticky-events.ts'

import { withErasure } from './erasures.ts'
import { stickyUntilOf } from './sticky/sticky-rows.ts'
import type { StoredEvent } from './stored-event.ts'
import type { View } from './visibility.ts'

export interface ClientEvent extends JsonObject {
  readonly type: string
  readonly event_id: EventId
  readonly sender: UserId
  readonly origin_server_ts: number
  readonly content: JsonObject
  readonly state_key?: string
  readonly redacts?: EventId
  /** MSC4354. */
  readonly msc4354_sticky?: JsonObject
  /** Left out of `/sync`, where it is implied. */
  readonly room_id?: RoomId
  readonly unsigned: JsonObject
}

/** What the events of one answer have in common. */
export interface EventFormat {
  /** Milliseconds since 1970. */
  readonly now: number
  /** The device that asks: it gets the transaction IDs of its own events back. */
  readonly deviceId?: string | undefined
  readonly withRoomId: boolean
  /** `federation`: "the raw event as received over federation", with `event_id` and our `unsigned`. */
  readonly as?: 'client' | 'federation'
}

/** An event of the timeline, with all that may be known of it. The caller has checked that the reader may see it. */
export function timelineEvent(view: View, stored: StoredEvent, format: EventFormat): ClientEvent {
  const event = withErasure(view, stored)
  return shaped(event, format, {
    ...unsignedOf(view, event, format),
    membership: view.membershipAfter(event) ?? 'leave',
    ...replaced(view, event),
  })
}

/**
 * An event of a state that is listed as such. The state an event replaced, and who the reader was then, cost a look into
 * the past for each of maybe thousands of members; clients ask for that in timelines only.
 */
export function stateEvent(view: View, stored: StoredEvent, format: EventFormat): ClientEvent {
  const event = withErasure(view, stored)
  return shaped(event, format, unsignedOf(view, event, format))
}

function shaped(event: StoredEvent, format: EventFormat, unsigned: JsonObject): ClientEvent {
  const { pdu } = event
  const sticky = stickyDurationOf(pdu.json)
  const fields: ClientEvent = {
    type: pdu.type,
    ...(pdu.state_key === undefined ? {} : { state_key: pdu.state_key }),
    event_id: pdu.event_id,
    sender: pdu.sender,
    origin_server_ts: pdu.origin_server_ts,
    content: pdu.content,
    ...(sticky === undefined ? {} : stickyField(sticky)),
    ...(format.withRoomId ? { room_id: pdu.room_id } : {}),
    unsigned,
  }
  if (format.as === 'federation') return { ...pdu.json, ...fields }
  return pdu.type === 'm.room.redaction' && pdu.redacts !== undefined ? withRedacts(fields, pdu.redacts) : fields
}

/**
 * Clients look for `redacts` in the event or in its content. "For backwards-compatibility with older clients, servers
 * should add a redacts property to the top level", and for newer ones to the content, whatever the room version.
 * Spec: rooms/v11 "Moving the redacts property".
 */
function withRedacts(event: ClientEvent, redacts: EventId): ClientEvent {
  return { ...event, redacts, content: { ...event.content, redacts } }
}

function unsignedOf(view: View, event: StoredEvent, { now, deviceId, ...rest }: EventFormat): JsonObject {
  const isOwnSend = deviceId !== undefined && event.sender === view.reader && event.txnDevice === deviceId
  const redaction = event.redactedBy === undefined ? undefined : view.room.reader.event(event.redactedBy)
  const isSticky = stickyDurationOf(event.pdu.json) !== undefined
  const stickyUntil = isSticky ? stickyUntilOf(view.room, event, now) : undefined
  return {
    age: now - event.origin_server_ts,
    ...(isOwnSend && event.txnId !== undefined ? { transaction_id: event.txnId } : {}),
    ...(stickyUntil === undefined ? {} : { msc4354_sticky_duration_ttl_ms: stickyUntil - now }),
    // The redaction comes without its own: two redactions may redact each other.
    ...(redaction && view.mayRead(redaction)
      ? { redacted_because: shaped(redaction, { now, ...rest }, { age: now - redaction.origin_server_ts }) }
      : {}),
  }
}

/**
 * "replaces_state … is included regardless of history visibility", `prev_content` only if the reader may see that event. Their
 * own membership they know, also where this server was not in the room yet when they were invited.
 */
function replaced(view: View, event: StoredEvent): Record<string, JsonValue> {
  if (event.state_key === undefined || event.stateBefore === undefined) return {}
  const { groups, reader } = view.room
  const nid = groups.read(event.stateBefore, stateMapKey(event.type, event.state_key))
  if (nid === undefined) return {}
  const before = withErasure(view, reader.eventOf(nid))
  const isOwnMembership = before.type === 'm.room.member' && before.state_key === view.reader
  return {
    replaces_state: before.event_id,
    ...(isOwnMembership || view.mayRead(before)
      ? { prev_content: before.pdu.content, prev_sender: before.sender }
      : {}),
  }
}

/** What stripped state may hold of an event, and nothing else. Spec: client-server-api/#stripped-state. */
export function strippedEvent({ pdu }: StoredEvent): JsonObject {
  return { type: pdu.type, state_key: pdu.state_key ?? '', sender: pdu.sender, content: pdu.content }
}

/** The same of an event that another server sent; undefined where it is no state event. */
export function stripForeign(event: JsonObject): JsonObject | undefined {
  const [type, stateKey, sender, content] = ['type', 'state_key', 'sender', 'content'].map((key) => own(event, key))
  if (typeof type !== 'string' || typeof stateKey !== 'string' || typeof sender !== 'string') return undefined
  if (!isObject(content)) return undefined
  return { type, state_key: stateKey, sender, content }
}
