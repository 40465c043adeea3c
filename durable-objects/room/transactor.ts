/**
 * Every write to a room's rows. What belongs together runs inside `turn`: all of it is stored, or nothing.
 *
 * Each write tells the reader, so that memory and rows agree. SQL texts are constants: the runtime prepares each once.
 */
import type { Pdu } from '#protocol/events/pdu.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import type { SearchText } from '#protocol/search/search-text.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'

import { migrate } from '../shared/migrate.ts'
import { migrations } from './migrations.ts'
import type { CurrentEntry, Header, OutsideMembership, Reader } from './reader.ts'
import {
  type EventOutcome,
  type EventRow,
  type GroupId,
  type Nid,
  type StoredEvent,
  storedEvent,
} from './stored-event.ts'

/** An event about to be stored. */
export interface NewEvent {
  /** `reader.lastNid() + 1`, or the nid of the outlier that this event was so far. */
  readonly nid: Nid
  readonly pdu: Pdu
  readonly outcome: EventOutcome
  readonly pos?: number | undefined
  readonly stateBefore?: GroupId | undefined
  readonly stateAfter?: GroupId | undefined
  readonly auth: readonly Nid[]
  readonly rejectReason?: string | undefined
  readonly txn?: Transaction | undefined
}

/** What makes a send idempotent: a device and the transaction ID its client chose. */
export interface Transaction {
  readonly device: string
  readonly id: string
}

/** How an event that waited ends. */
export interface DelayedEnd {
  readonly at: number
  readonly outcome: 'send' | 'cancel'
  readonly reason: 'delay' | 'action' | 'error'
  readonly eventId?: EventId
  /** JSON. */
  readonly error?: string
}

/** An event that waits to be sent. */
export interface NewDelayed {
  readonly delayId: string
  readonly sender: UserId
  readonly deviceId: string
  readonly txnId: string | undefined
  readonly type: string
  readonly stateKey: string | undefined
  /** JSON. */
  readonly content: string
  readonly delay: number
  readonly sendAt: number
  readonly stickyDuration: number | undefined
}

export interface StoredReceipt {
  readonly user: UserId
  readonly type: string
  /** Empty for a receipt of the whole room. */
  readonly threadId: string
  readonly eventId: EventId
  readonly ts: number
  readonly pos: number
}

const insertEvent =
  'INSERT INTO events(nid, event_id, type, state_key, sender, depth, origin_server_ts, pos, outcome, state_before, ' +
  'state_after, auth, redacted_by, reject_reason, txn_device, txn_id, json) ' +
  'VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, ?, ?)'
const placeOutlier =
  'UPDATE events SET outcome = ?, pos = ?, state_before = ?, state_after = ?, reject_reason = ? WHERE nid = ?'
const updateHeader = 'UPDATE room SET extremities = ?, current_group = ?, pos = ?, told_pos = ?, sticky_until = ?'

export class Transactor {
  readonly #storage: DurableObjectStorage
  readonly #sql: SqlStorage
  readonly #reader: Reader
  readonly #forget: () => void

  /** `forget` drops everything that memory holds of this room's rows. */
  constructor(storage: DurableObjectStorage, reader: Reader, forget: () => void) {
    this.#storage = storage
    this.#sql = storage.sql
    this.#reader = reader
    this.#forget = forget
  }

  /** Runs `work` as one transaction, which is rolled back when it throws or answers `ok: false`. */
  turn<T extends { readonly ok: boolean }>(work: () => T): T {
    const refused: { answer?: T } = {}
    try {
      return this.#storage.transactionSync(() => {
        const answer = work()
        if (answer.ok) return answer
        refused.answer = answer
        throw new Error('refused')
      })
    } catch (error) {
      this.#forget()
      if (refused.answer === undefined) throw error
      return refused.answer
    }
  }

  /** Makes the tables and the header of a room that is not known yet. */
  beginRoom(roomId: RoomId, rules: RoomVersionRules): void {
    migrate(this.#storage, migrations)
    const query = "INSERT INTO room(id, room_id, room_version, extremities, pos, told_pos) VALUES (1, ?, ?, '[]', 0, 0)"
    this.#sql.exec(query, roomId, rules.version)
    this.#reader.noteHeader({
      roomId,
      rules,
      extremities: [],
      currentGroup: undefined,
      pos: 0,
      toldPos: 0,
      stickyUntil: 0,
    })
  }

  setHeader(change: Partial<Omit<Header, 'roomId' | 'rules'>>): void {
    const header = { ...this.#reader.header(), ...change }
    const extremities = JSON.stringify(header.extremities)
    const { pos, toldPos, stickyUntil } = header
    this.#sql.exec(updateHeader, extremities, header.currentGroup ?? null, pos, toldPos, stickyUntil)
    this.#reader.noteHeader(header)
  }

  /** Gives out the next position: to a receipt or another change that is no event. */
  nextPos(): number {
    const pos = this.#reader.header().pos + 1
    this.setHeader({ pos })
    return pos
  }

  insertEvent(event: NewEvent): StoredEvent {
    const row = rowOf(event)
    this.#sql.exec(
      insertEvent,
      row.nid,
      row.event_id,
      row.type,
      row.state_key,
      row.sender,
      row.depth,
      row.origin_server_ts,
      row.pos,
      row.outcome,
      row.state_before,
      row.state_after,
      row.auth,
      row.reject_reason,
      row.txn_device,
      row.txn_id,
      row.json,
    )
    return this.#note(row, event.pdu)
  }

  /** Gives an outlier its place in the DAG. Its auth events, and so its nid, stay. */
  placeOutlier(event: NewEvent, outlier: StoredEvent): StoredEvent {
    // Stays redacted, if it was.
    const row = { ...rowOf({ ...event, pdu: outlier.pdu }), redacted_by: outlier.redactedBy ?? null }
    const { outcome, pos, state_before, state_after, reject_reason, nid } = row
    this.#sql.exec(placeOutlier, outcome, pos, state_before, state_after, reject_reason, nid)
    return this.#note(row, outlier.pdu)
  }

  /** Gives an outlier that was stored before its auth events a place after them. */
  moveOutlier(outlier: StoredEvent, nid: Nid, auth: readonly Nid[]): void {
    this.#sql.exec('UPDATE events SET nid = ?, auth = ? WHERE nid = ?', nid, JSON.stringify(auth), outlier.nid)
    this.#sql.exec('UPDATE outside_memberships SET event_nid = ? WHERE event_nid = ?', nid, outlier.nid)
    this.#reader.noteMoved(outlier, nid)
    this.#reader.noteOutsideMembers()
  }

  /** What an event comes to by better knowledge. */
  judgeAnew({ nid }: StoredEvent, verdict: Omit<NewEvent, 'nid' | 'pdu' | 'auth' | 'txn'>): void {
    const { outcome, pos, stateBefore, stateAfter, rejectReason } = verdict
    const states = [stateBefore ?? null, stateAfter ?? null]
    this.#sql.exec(placeOutlier, outcome, pos ?? null, ...states, rejectReason ?? null, nid)
    this.#reader.forgetEvent(nid)
  }

  rejectOutlier(nid: Nid, reason: string): void {
    this.#sql.exec('UPDATE events SET outcome = 2, reject_reason = ? WHERE nid = ?', reason, nid)
    this.#reader.forgetEvent(nid)
  }

  /** Overwrites what an event said by its redacted form. What it related to went with the rest. */
  redactEvent(event: StoredEvent, by: Nid, redacted: JsonObject): void {
    this.#sql.exec('UPDATE events SET redacted_by = ?, json = ? WHERE nid = ?', by, JSON.stringify(redacted), event.nid)
    this.#sql.exec('DELETE FROM relations WHERE child = ?', event.nid)
    this.#reader.forgetEvent(event.nid)
  }

  addRelation({ nid, depth }: StoredEvent, parent: string, relType: string): void {
    const query = 'INSERT OR REPLACE INTO relations(child, parent, rel_type, child_depth) VALUES (?, ?, ?, ?)'
    this.#sql.exec(query, nid, parent, relType, depth)
  }

  removeRelation({ nid }: StoredEvent): void {
    this.#sql.exec('DELETE FROM relations WHERE child = ?', nid)
  }

  /** Puts what an event says into the search index, in place of what was there. */
  setSearchText(rowId: number, { body, name, topic }: SearchText): void {
    const query = 'INSERT OR REPLACE INTO search(rowid, body, name, topic) VALUES (?, ?, ?, ?)'
    this.#sql.exec(query, rowId, body, name, topic)
  }

  removeSearchText(rowId: number): void {
    this.#sql.exec('DELETE FROM search WHERE rowid = ?', rowId)
  }

  /** All events from this nid on are in the search index. */
  noteSearchProgress(below: Nid): void {
    this.#sql.exec('UPDATE search_progress SET below = ?', below)
  }

  addDelayed(event: NewDelayed): void {
    const { delayId, sender, deviceId, txnId, type, stateKey, content, delay, sendAt, stickyDuration } = event
    this.#sql.exec(
      'INSERT INTO delayed_events(delay_id, sender, device_id, txn_id, type, state_key, content, delay, send_at, ' +
        'sticky_duration) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
      delayId,
      sender,
      deviceId,
      txnId ?? null,
      type,
      stateKey ?? null,
      content,
      delay,
      sendAt,
      stickyDuration ?? null,
    )
  }

  restartDelayed(delayId: string, sendAt: number): void {
    this.#sql.exec('UPDATE delayed_events SET send_at = ? WHERE delay_id = ?', sendAt, delayId)
  }

  endDelayed(delayId: string, { at, outcome, reason, eventId, error }: DelayedEnd): void {
    const query =
      'UPDATE delayed_events SET finalised_at = ?, outcome = ?, reason = ?, event_id = ?, error = ? WHERE delay_id = ?'
    this.#sql.exec(query, at, outcome, reason, eventId ?? null, error ?? null, delayId)
  }

  /** Others' events that wait to set this state will not be sent. */
  cancelDelayedState({ type, sender, origin_server_ts: at }: StoredEvent, stateKey: string): void {
    const query =
      "UPDATE delayed_events SET finalised_at = ?, outcome = 'cancel', reason = 'error' " +
      'WHERE type = ? AND state_key = ? AND finalised_at IS NULL AND state_key IS NOT NULL AND sender <> ?'
    this.#sql.exec(query, at, type, stateKey, sender)
  }

  forgetDelayed(before: number): void {
    this.#sql.exec('DELETE FROM delayed_events WHERE finalised_at < ?', before)
  }

  waitForRedacted(eventId: EventId, redaction: Nid): void {
    this.#sql.exec('INSERT OR IGNORE INTO waiting_redactions(event_id, nid) VALUES (?, ?)', eventId, redaction)
  }

  /** Takes the redactions that waited for an event. */
  takeWaitingRedactions(eventId: EventId): Nid[] {
    const query = 'DELETE FROM waiting_redactions WHERE event_id = ? RETURNING nid'
    return this.#sql
      .exec<{ nid: number }>(query, eventId)
      .toArray()
      .map(({ nid }) => nid)
      .sort((a, b) => a - b)
  }

  addMissing(eventId: EventId, depth: number): void {
    this.#sql.exec('INSERT OR IGNORE INTO missing_events(event_id, depth) VALUES (?, ?)', eventId, depth)
  }

  /** The room's state after the event at `pos`, where that is not the state after the event: see `state-at.ts`. */
  noteMergedState(pos: number, group: GroupId): void {
    this.#sql.exec('INSERT INTO merged_states(pos, state_group) VALUES (?, ?)', pos, group)
  }

  /** Events before the live one at `pos` are missing. */
  noteTimelineGap(pos: number): void {
    this.#sql.exec('INSERT INTO timeline_gaps(pos) VALUES (?)', pos)
  }

  /** True if the event was missing: others cite it already. */
  endMissing(eventId: EventId): boolean {
    return (
      this.#sql.exec('DELETE FROM missing_events WHERE event_id = ? RETURNING 1 AS found', eventId).toArray().length > 0
    )
  }

  setCurrent(type: string, stateKey: string, entry: CurrentEntry | undefined): void {
    if (type === 'm.room.member') {
      this.#reader.tally.note(stateKey, this.#reader.currentEntry(type, stateKey), entry)
    }
    if (entry) {
      this.#sql.exec(
        'INSERT OR REPLACE INTO current_state(type, state_key, event_nid, membership) VALUES (?, ?, ?, ?)',
        type,
        stateKey,
        entry.nid,
        entry.membership ?? null,
      )
    } else this.#sql.exec('DELETE FROM current_state WHERE type = ? AND state_key = ?', type, stateKey)
    this.#reader.noteCurrent(type, stateKey, entry)
  }

  /** A local user's membership in a room this server is not in. */
  setOutsideMember(user: UserId, { membership, eventNid, pos, strippedState }: OutsideMembership): void {
    this.#sql.exec(
      'INSERT OR REPLACE INTO outside_memberships(user_id, membership, event_nid, pos, stripped_state) VALUES (?, ?, ?, ?, ?)',
      user,
      membership,
      eventNid,
      pos,
      strippedState,
    )
    this.#reader.noteOutsideMembers()
  }

  removeOutsideMember(user: UserId): void {
    this.#sql.exec('DELETE FROM outside_memberships WHERE user_id = ?', user)
    this.#reader.noteOutsideMembers()
  }

  forgetRoom(user: UserId): void {
    this.#sql.exec('INSERT OR IGNORE INTO forgotten(user_id) VALUES (?)', user)
  }

  rememberRoom(user: UserId): void {
    this.#sql.exec('DELETE FROM forgotten WHERE user_id = ?', user)
  }

  setReceipt({ user, type, threadId, eventId, ts, pos }: StoredReceipt): void {
    const query =
      'INSERT OR REPLACE INTO receipts(user_id, receipt_type, thread_id, event_id, ts, pos) VALUES (?, ?, ?, ?, ?, ?)'
    this.#sql.exec(query, user, type, threadId, eventId, ts, pos)
  }

  addQuiet(users: readonly UserId[]): void {
    this.#sql.exec('INSERT OR IGNORE INTO quiet(user_id) SELECT value FROM json_each(?)', JSON.stringify(users))
  }

  removeQuiet(user: UserId): void {
    this.#sql.exec('DELETE FROM quiet WHERE user_id = ?', user)
  }

  addRinging(user: UserId): void {
    this.#sql.exec('INSERT OR IGNORE INTO ringing(user_id) VALUES (?)', user)
  }

  removeRinging(user: UserId): void {
    this.#sql.exec('DELETE FROM ringing WHERE user_id = ?', user)
  }

  /** The first time counts. */
  eraseSender(sender: UserId, group: GroupId): void {
    this.#sql.exec('INSERT OR IGNORE INTO erased_senders(user_id, state_group) VALUES (?, ?)', sender, group)
  }

  #note(row: EventRow, pdu: Pdu): StoredEvent {
    const event = storedEvent(this.#reader.rules, row, pdu)
    this.#reader.noteEvent(event, row.json.length)
    return event
  }
}

function rowOf(event: NewEvent): EventRow {
  const { pdu } = event
  return {
    nid: event.nid,
    event_id: pdu.event_id,
    type: pdu.type,
    state_key: pdu.state_key ?? null,
    sender: pdu.sender,
    depth: pdu.depth,
    origin_server_ts: pdu.origin_server_ts,
    pos: event.pos ?? null,
    outcome: event.outcome,
    state_before: event.stateBefore ?? null,
    state_after: event.stateAfter ?? null,
    auth: JSON.stringify(event.auth),
    redacted_by: null,
    reject_reason: event.rejectReason ?? null,
    txn_device: event.txn?.device ?? null,
    txn_id: event.txn?.id ?? null,
    json: JSON.stringify(pdu.json),
  }
}
