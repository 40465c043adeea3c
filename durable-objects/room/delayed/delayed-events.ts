/**
 * Events that their senders want sent later, unless they say otherwise in time: a call ends for one whose client is gone.
 *
 * MSC4140 (unstable). The rows are the room's, so that sending one and forgetting that it waits are one turn. Whether its
 * sender may send it is judged when it is sent, like any event of theirs; and so is whether their account may. The ID of one is a secret: who knows it may send,
 * restart or cancel it without a token. It names its room, and says nothing else.
 */
import { maxDelayed } from '#protocol/delayed-limits.ts'
import { type Failure, fail, type Outcome } from '#protocol/errors.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'

import type { ServerIdentity } from '../../../worker/server-identity.ts'
import type { Written } from '../author-event.ts'
import type { Room } from '../room.ts'
import { sendEvent } from '../send-event.ts'

export interface DelayRequest {
  readonly delayId: string
  readonly sender: UserId
  readonly deviceId: string
  readonly txnId?: string | undefined
  readonly type: string
  readonly stateKey?: string | undefined
  readonly content: JsonObject
  /** Milliseconds from now. */
  readonly delay: number
  /** How long it is sticky once it is sent, in ms. */
  readonly stickyDuration?: number | undefined
}

export type DelayedAction = 'send' | 'cancel' | 'restart'

/** As its sender sees it. */
export interface DelayedEvent {
  readonly delay_id: string
  readonly room_id: RoomId
  readonly type: string
  readonly state_key?: string
  readonly delay: number
  readonly running_since: number
  /** The same two by their newest names. */
  readonly delay_ms: number
  readonly delayed_since_ts: number
  readonly content: JsonObject
}

/** One that was sent or will not be. */
export interface FinalisedEvent {
  readonly delayed_event: DelayedEvent
  readonly outcome: 'send' | 'cancel'
  readonly reason: 'delay' | 'action' | 'error'
  readonly error?: JsonObject
  readonly event_id?: string
  readonly finalised_ts: number
}

type Row = {
  delay_id: string
  sender: UserId
  device_id: string
  type: string
  state_key: string | null
  content: string
  delay: number
  send_at: number
  finalised_at: number | null
  outcome: 'send' | 'cancel' | null
  reason: 'delay' | 'action' | 'error' | null
  event_id: string | null
  error: string | null
  sticky_duration: number | null
}

const maxContent = 60_000
/** How long it is told what became of one, in ms. */
const remembered = 24 * 60 * 60_000

const columns =
  'delay_id, sender, device_id, type, state_key, content, delay, send_at, finalised_at, outcome, reason, event_id, error, ' +
  'sticky_duration'

/** Notes an event to be sent. The same transaction of the same device is noted once. */
export function delayEvent(room: Room, request: DelayRequest, now: number): Outcome<{ delay_id: string }> {
  const { reader, transactor } = room
  if (!reader.isKnown()) return fail('unknown_room')
  const { sender, deviceId, txnId, type, stateKey, content, delay, delayId, stickyDuration } = request
  if (reader.membership(sender) !== 'join') return fail('not_in_room')
  if (type === 'm.room.create') return fail('event_not_allowed', 'A room is created once')
  const text = JSON.stringify(content)
  if (text.length > maxContent) return fail('too_large')
  return transactor.turn(() => {
    const known = 'SELECT delay_id FROM delayed_events WHERE sender = ? AND device_id = ? AND txn_id = ? AND type = ?'
    const [before] =
      txnId === undefined ? [] : reader.sql.exec<{ delay_id: string }>(known, sender, deviceId, txnId, type).toArray()
    if (before) return { ok: true as const, delay_id: before.delay_id }
    const count = 'SELECT count(*) AS waiting FROM delayed_events WHERE sender = ? AND finalised_at IS NULL'
    if (reader.sql.exec<{ waiting: number }>(count, sender).one().waiting >= maxDelayed) return fail('limit_exceeded')
    transactor.addDelayed({
      delayId,
      sender,
      deviceId,
      txnId,
      type,
      stateKey,
      content: text,
      delay,
      sendAt: now + delay,
      stickyDuration,
    })
    return { ok: true as const, delay_id: delayId }
  })
}

export interface DelayedTurn {
  readonly room: Room
  readonly identity: ServerIdentity
  readonly now: number
  /** Senders who may not send any more; of those whom `sendersOf` names. */
  readonly silenced: ReadonlySet<UserId>
  /** To be called for each event that was sent, after its turn. */
  readonly sent: (written: Written) => void
}

/** The senders of one event that waits, or of all that are due, about whom it has to be asked whether they may still send. */
export function sendersOf(
  { reader }: Room,
  which: { readonly delayId: string } | { readonly dueAt: number },
): UserId[] {
  if (!reader.isKnown()) return []
  const [query, binding] = 'delayId' in which ? ['delay_id = ?', which.delayId] : ['send_at <= ?', which.dueAt]
  const rows = reader.sql.exec<{ sender: UserId }>(
    `SELECT DISTINCT sender FROM delayed_events WHERE finalised_at IS NULL AND ${query}`,
    binding,
  )
  return rows.toArray().map(({ sender }) => sender)
}

/** Does to a waiting event what somebody asks who knows its ID. */
export function updateDelayed(turn: DelayedTurn, delayId: string, action: DelayedAction): Outcome {
  const { room, now } = turn
  if (!room.reader.isKnown()) return fail('not_found', 'There is no such delayed event')
  const [row] = room.reader.sql.exec<Row>(`SELECT ${columns} FROM delayed_events WHERE delay_id = ?`, delayId).toArray()
  if (!row) return fail('not_found', 'There is no such delayed event')
  if (row.finalised_at !== null) {
    return row.outcome === action ? { ok: true } : fail('already_decided', 'That event was sent or cancelled already')
  }
  if (action === 'restart') room.transactor.restartDelayed(delayId, now + row.delay)
  else if (action === 'cancel') room.transactor.endDelayed(delayId, { at: now, outcome: 'cancel', reason: 'action' })
  else return sendDelayed(turn, row, 'action')
  return { ok: true }
}

/** Sends what is due, the oldest first. */
export function sendDueEvents(turn: DelayedTurn): void {
  const { room, now } = turn
  const due = `SELECT ${columns} FROM delayed_events WHERE finalised_at IS NULL AND send_at <= ? ORDER BY send_at`
  for (const row of room.reader.sql.exec<Row>(due, now).toArray()) sendDelayed(turn, row, 'delay')
  room.transactor.forgetDelayed(now - remembered)
}

/** When the next one is due; undefined when none waits. */
export function nextDelayed({ reader }: Room): number | undefined {
  const query = 'SELECT min(send_at) AS at FROM delayed_events WHERE finalised_at IS NULL'
  return reader.sql.exec<{ at: number | null }>(query).one().at ?? undefined
}

/** An event whose sending fails will not be sent later either: whatever is wrong, its sender has to look at it. */
function sendDelayed(
  { room, identity, now, silenced, sent }: DelayedTurn,
  row: Row,
  reason: 'delay' | 'action',
): Outcome {
  const { delay_id: delayId, sender, type, state_key: stateKey } = row
  const content: JsonObject = JSON.parse(row.content)
  const done = room.transactor.turn((): Outcome<{ written: Outcome<Written> }> => {
    const stickyDuration = row.sticky_duration ?? undefined
    const state = stateKey === null ? {} : { stateKey }
    const request = { sender, deviceId: row.device_id, type, content, stickyDuration, ...state }
    const written = silenced.has(sender)
      ? fail('forbidden', 'Who wanted it sent may not send any more')
      : sendEvent(room, identity, request, now)
    const end = written.ok
      ? { outcome: 'send' as const, reason, eventId: written.event_id }
      : { outcome: 'cancel' as const, reason: 'error' as const, error: errorOf(written) }
    room.transactor.endDelayed(delayId, { at: now, ...end })
    return { ok: true, written }
  })
  if (!done.ok) return done
  if (done.written.ok && done.written.isNew) sent(done.written)
  return done.written.ok ? { ok: true } : done.written
}

function errorOf({ reason, message }: Failure): string {
  return JSON.stringify({ errcode: reason === 'too_large' ? 'M_TOO_LARGE' : 'M_FORBIDDEN', error: message ?? reason })
}

/** A user's events that wait, the next one first. */
export function delayedOf({ reader }: Room, user: UserId): DelayedEvent[] {
  if (!reader.isKnown()) return []
  const query = `SELECT ${columns} FROM delayed_events WHERE sender = ? AND finalised_at IS NULL ORDER BY send_at`
  const { roomId } = reader.header()
  return reader.sql
    .exec<Row>(query, user)
    .toArray()
    .map((row) => shown(roomId, row))
}

/** What became of a user's events lately, the latest first. */
export function finalisedOf({ reader }: Room, user: UserId): FinalisedEvent[] {
  if (!reader.isKnown()) return []
  const query =
    `SELECT ${columns} FROM delayed_events WHERE sender = ? AND finalised_at IS NOT NULL ` +
    `ORDER BY finalised_at DESC LIMIT ${maxDelayed}`
  const { roomId } = reader.header()
  return reader.sql
    .exec<Row>(query, user)
    .toArray()
    .map((row) => ({
      delayed_event: shown(roomId, row),
      outcome: row.outcome ?? 'cancel',
      reason: row.reason ?? 'error',
      ...(row.error === null ? {} : { error: JSON.parse(row.error) }),
      ...(row.event_id === null ? {} : { event_id: row.event_id }),
      finalised_ts: row.finalised_at ?? 0,
    }))
}

function shown(roomId: RoomId, row: Row): DelayedEvent {
  return {
    delay_id: row.delay_id,
    room_id: roomId,
    type: row.type,
    ...(row.state_key === null ? {} : { state_key: row.state_key }),
    delay: row.delay,
    running_since: row.send_at - row.delay,
    delay_ms: row.delay,
    delayed_since_ts: row.send_at - row.delay,
    content: JSON.parse(row.content),
  }
}
