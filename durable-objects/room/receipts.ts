/**
 * Receipts: how far each member has read.
 *
 * Spec: client-server-api/#receipts. Per user, type and thread there is one, and it only moves forward. A receipt is for an
 * event that its sender may see, in a room where they are joined (CVE-2023-42453). `m.read.private` goes to nobody else.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import { parseEventId, type EventId } from '#protocol/identifiers/event-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'

import { visibleEvent } from './event-by-id.ts'
import { viewIfInside } from './room-access.ts'
import type { Room } from './room.ts'
import type { StoredEvent } from './stored-event.ts'
import type { View } from './visibility.ts'

export type ReceiptType = 'm.read' | 'm.read.private'

export interface ReceiptRequest {
  readonly user: UserId
  readonly type: ReceiptType
  readonly eventId: EventId
  /** `main`, or the ID of a thread's root; none for a receipt of the whole room. */
  readonly threadId?: string
}

/**
 * Moves a receipt. `moved` is false where it stood there or further on. Fails with `not_in_room`, `unknown_event`, or
 * `invalid_param` ("The event_id is not related to the thread_id").
 */
export function setReceipt(room: Room, request: ReceiptRequest, now: number): Outcome<{ moved: boolean }> {
  const view = viewIfInside(room, request.user)
  if (view?.standing.kind !== 'joined') return fail('not_in_room')
  const event = visibleEvent(view, request.eventId)
  if (!event) return fail('unknown_event')
  const seen = (id: EventId) => visibleEvent(view, id)
  if (request.threadId !== undefined && !isInThread(event, request.threadId, seen)) {
    return fail('invalid_param', 'The event is not in that thread')
  }
  return room.transactor.turn(() => ({ ok: true, moved: storeReceipt(room, request, event, now) }))
}

/** Stores a receipt that has been checked, unless it stood there or further on already. Runs inside a turn. */
export function storeReceipt(
  { reader, transactor }: Room,
  { user, type, threadId = '' }: Omit<ReceiptRequest, 'eventId'>,
  event: StoredEvent,
  ts: number,
): boolean {
  const [before] = reader.sql
    .exec<{ event_id: EventId }>(
      'SELECT event_id FROM receipts WHERE user_id = ? AND receipt_type = ? AND thread_id = ?',
      user,
      type,
      threadId,
    )
    .toArray()
  const at = before && reader.eventById(before.event_id)
  if (at && !isFurther(event, at)) return false
  transactor.setReceipt({ user, type, threadId, eventId: event.event_id, ts, pos: transactor.nextPos() })
  return true
}

/** Whether an event that is here comes after another, or that other is not here. For markers that are kept elsewhere. */
export function isAhead({ reader }: Room, eventId: EventId, than: EventId): boolean {
  const [event, before] = [reader.eventById(eventId), reader.eventById(than)]
  return !event || !before || isFurther(event, before)
}

/** In order of arrival where both have it: that is the order in which clients were shown them. */
function isFurther(event: StoredEvent, than: StoredEvent): boolean {
  if (event.pos !== undefined && than.pos !== undefined) return event.pos > than.pos
  return event.depth > than.depth || (event.depth === than.depth && event.nid > than.nid)
}

/** "Implementations should not recurse infinitely: a maximum of 3 hops is recommended to cover indirect relationships." */
const maxHops = 3

/**
 * Whether an event belongs to a thread: `main` has what is in no thread, thread roots and what relates to them; a thread
 * has its events and, so that a thread can be read to its beginning, its root with what relates to that.
 * Spec: client-server-api/#threaded-read-receipts.
 */
export function isInThread(
  event: StoredEvent,
  threadId: string,
  lookup: (id: EventId) => StoredEvent | undefined,
): boolean {
  let at: StoredEvent | undefined = event
  for (let hops = 0; at && hops <= maxHops; hops++) {
    const relation: JsonObject | undefined = relationOf(at)
    const parent = relation && parseEventId(own(relation, 'event_id'))
    if (relation && own(relation, 'rel_type') === 'm.thread') return parent === threadId
    if (at.event_id === threadId) return true
    at = parent && lookup(parent)
  }
  return threadId === 'main'
}

function relationOf({ pdu }: StoredEvent): JsonObject | undefined {
  const relation = own(pdu.content, 'm.relates_to')
  return isObject(relation) && typeof own(relation, 'rel_type') === 'string' ? relation : undefined
}

/** An event outside the DAG, as `/sync` has it. */
export type EphemeralEvent = { readonly type: string; readonly content: JsonObject }

type ReceiptRow = {
  user_id: UserId
  receipt_type: string
  thread_id: string
  event_id: EventId
  ts: number
}

/** Receipts that a client gets with a room it knows nothing of: the newest, and all of its own. */
const maxReceipts = 1000

/**
 * The `m.receipt` events for what changed after a position, one per thread since a user may have receipts of several
 * threads at one event. Leaves out what points to events that the reader may not see, and receipts of those they ignore.
 */
export function receiptEvents(view: View, after: number, ignoredUsers: readonly string[]): EphemeralEvent[] {
  const { reader: sqlReader } = view.room
  const query = `SELECT user_id, receipt_type, thread_id, event_id, ts FROM receipts
    WHERE pos > ?1 AND (receipt_type = 'm.read' OR user_id = ?2) ORDER BY user_id = ?2 DESC, pos DESC LIMIT ?3`
  const rows = sqlReader.sql.exec<ReceiptRow>(query, after, view.reader, maxReceipts).toArray()
  const threads = new Map<string, Map<EventId, Map<string, Map<UserId, JsonObject>>>>()
  for (const { user_id, receipt_type, thread_id, event_id, ts } of rows) {
    if (ignoredUsers.includes(user_id)) continue
    // Unknown events are those of another server that have not come yet.
    const event = sqlReader.eventById(event_id)
    if (event && !view.mayKnowOf(event)) continue
    const receipt = thread_id === '' ? { ts } : { ts, thread_id }
    inner(inner(inner(threads, thread_id), event_id), receipt_type).set(user_id, receipt)
  }
  return [...threads.values()].map((events) => ({
    type: 'm.receipt',
    content: toObject(events, (types) => toObject(types, (users) => toObject(users, (receipt) => receipt))),
  }))
}

function inner<K, K2, V>(map: Map<K, Map<K2, V>>, key: K): Map<K2, V> {
  const found = map.get(key) ?? new Map<K2, V>()
  map.set(key, found)
  return found
}

function toObject<V>(map: ReadonlyMap<string, V>, shape: (value: V) => JsonObject): JsonObject {
  return Object.fromEntries([...map].map(([key, value]) => [key, shape(value)]))
}
