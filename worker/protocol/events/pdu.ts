/**
 * A PDU: an event as it stands in a room's DAG.
 *
 * Spec: server-server-api/#pdus and rooms/vN "event format". Field names are the wire's own. Only envelope fields, which
 * `event-format.ts` has checked, are typed; `content` is whatever its sender wrote and is read lazily, field by field, so
 * that what no rule mentions can never cause a rejection.
 */
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'

export interface Pdu {
  readonly event_id: EventId
  /** In room version 12 the create event carries none on the wire; here it is filled in from its reference hash. */
  readonly room_id: RoomId
  readonly type: string
  /** Present, maybe empty, on state events only. */
  readonly state_key: string | undefined
  readonly sender: UserId
  readonly content: JsonObject
  readonly depth: number
  readonly origin_server_ts: number
  /** Event IDs only: the `[id, hashes]` pairs of v1 and v2 are reduced to IDs. */
  readonly prev_events: readonly EventId[]
  readonly auth_events: readonly EventId[]
  /** What an `m.room.redaction` redacts, from the place where its room version has it. */
  readonly redacts: EventId | undefined
  /** The signed wire form, exactly as it federates, without `unsigned`. */
  readonly json: JsonObject
}

/** Finds an event by ID: a Map in tests, a row in the room. */
export type Lookup = (id: EventId) => Pdu | undefined

/** Finds the event that holds one place of a room's state. */
export type StateLookup = (type: string, stateKey: string) => Pdu | undefined
