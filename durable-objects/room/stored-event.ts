/**
 * An event as a room keeps it: the PDU, and what this server made of it.
 *
 * The PDU is parsed from its JSON when somebody first looks at it: a page of events that a reader may not see costs none.
 */
import { pduFromStored } from '#protocol/events/event-format.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'

/** Order of arrival, greater than that of every auth event. Never 0. */
export type Nid = number
export type GroupId = number

/** What the checks on receipt of a PDU came to. An outlier's place in the DAG is not known: it has no state. */
export const outcomes = { accepted: 0, softFailed: 1, rejected: 2, outlier: 3 } as const
export type EventOutcome = (typeof outcomes)[keyof typeof outcomes]

export interface StoredEvent {
  readonly nid: Nid
  readonly event_id: EventId
  readonly type: string
  readonly state_key: string | undefined
  readonly sender: UserId
  readonly depth: number
  readonly origin_server_ts: number
  /** Position in the live timeline; undefined for what sync never shows. */
  readonly pos: number | undefined
  readonly outcome: EventOutcome
  /** Undefined for outliers. */
  readonly stateBefore: GroupId | undefined
  readonly stateAfter: GroupId | undefined
  readonly auth: readonly Nid[]
  /** 0: no event, but its age (retention/expiry.ts). */
  readonly redactedBy: Nid | undefined
  readonly rejectReason: string | undefined
  /** The device whose client sent it, with its transaction ID: for `unsigned.transaction_id` of that device's view. */
  readonly txnDevice: string | undefined
  readonly txnId: string | undefined
  /** The redacted form, once the event is redacted. */
  readonly pdu: Pdu
}

// A type alias, since an interface has no index signature and so is no row of the database.
export type EventRow = {
  nid: number
  event_id: EventId
  type: string
  state_key: string | null
  sender: UserId
  depth: number
  origin_server_ts: number
  pos: number | null
  outcome: EventOutcome
  state_before: number | null
  state_after: number | null
  auth: string
  redacted_by: number | null
  reject_reason: string | null
  txn_device: string | null
  txn_id: string | null
  json: string
}

/** What to SELECT for an `EventRow`. */
export const eventColumns =
  'nid, event_id, type, state_key, sender, depth, origin_server_ts, pos, outcome, state_before, state_after, auth, ' +
  'redacted_by, reject_reason, txn_device, txn_id, json'

/** `parsed` is the row's PDU, where it is at hand. */
export function storedEvent(rules: RoomVersionRules, row: EventRow, parsed?: Pdu): StoredEvent {
  let pdu = parsed
  return {
    nid: row.nid,
    event_id: row.event_id,
    type: row.type,
    state_key: row.state_key ?? undefined,
    sender: row.sender,
    depth: row.depth,
    origin_server_ts: row.origin_server_ts,
    pos: row.pos ?? undefined,
    outcome: row.outcome,
    stateBefore: row.state_before ?? undefined,
    stateAfter: row.state_after ?? undefined,
    auth: JSON.parse(row.auth),
    redactedBy: row.redacted_by ?? undefined,
    rejectReason: row.reject_reason ?? undefined,
    txnDevice: row.txn_device ?? undefined,
    txnId: row.txn_id ?? undefined,
    get pdu() {
      pdu ??= pduFromStored(rules, JSON.parse(row.json), row.event_id)
      return pdu
    },
  }
}
