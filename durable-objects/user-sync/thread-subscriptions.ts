/**
 * The threads that a user follows, or does not follow any more.
 *
 * Spec: MSC4306, MSC4308. Each change takes a position of the user's stream. A client subscribes by itself when something
 * gives cause; that must not undo what the person decided after the cause.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { FollowedThreads } from '#protocol/push-rules/stored-rules.ts'

import type { Sql } from '../shared/sql.ts'
import { advance, type Stream } from './stream.ts'

export interface Thread {
  readonly roomId: RoomId
  readonly root: EventId
}

export interface ThreadSubscription extends Thread {
  readonly position: number
  readonly isSubscribed: boolean
  readonly isAutomatic: boolean
}

type Row = {
  room_id: RoomId
  root: EventId
  position: number
  subscribed: number
  automatic: number
  ended_at: number
}

/** Threads of one room that ring. */
const maxFollowed = 1_000

const columns = 'room_id, root, position, subscribed, automatic, ended_at'

function rowOf(sql: Sql, { roomId, root }: Thread): Row | undefined {
  const query = `SELECT ${columns} FROM thread_subscriptions WHERE room_id = ? AND root = ?`
  return sql.exec<Row>(query, roomId, root).toArray()[0]
}

/** The subscription to a thread, if there is one. */
export function subscriptionTo(sql: Sql, thread: Thread): { readonly isAutomatic: boolean } | undefined {
  const row = rowOf(sql, thread)
  return row?.subscribed === 1 ? { isAutomatic: row.automatic === 1 } : undefined
}

/**
 * Subscribes; automatically with the position of the cause in its room. Changes nothing where that is so already, or where a
 * person subscribed. Fails with `conflicting_unsubscription` where the unsubscription came after the cause.
 */
export function subscribe(
  sql: Sql,
  stream: Stream,
  { causedAt, ...thread }: Thread & { readonly causedAt: number | null },
): Outcome<{ changed: boolean }> {
  const row = rowOf(sql, thread)
  const isAutomatic = causedAt !== null
  if (row?.subscribed === 1 && (isAutomatic || row.automatic === 0)) return { ok: true, changed: false }
  if (row?.subscribed === 0 && isAutomatic && causedAt <= row.ended_at) return fail('conflicting_unsubscription')
  put(sql, stream, thread, { isSubscribed: true, isAutomatic, endedAt: 0 })
  return { ok: true, changed: true }
}

/** Unsubscribes; `endedAt` is where the room stands. Returns whether that changes anything. */
export function unsubscribe(
  sql: Sql,
  stream: Stream,
  { endedAt, ...thread }: Thread & { readonly endedAt: number },
): boolean {
  if (rowOf(sql, thread)?.subscribed !== 1) return false
  put(sql, stream, thread, { isSubscribed: false, isAutomatic: false, endedAt })
  return true
}

function put(
  sql: Sql,
  stream: Stream,
  { roomId, root }: Thread,
  to: { readonly isSubscribed: boolean; readonly isAutomatic: boolean; readonly endedAt: number },
): void {
  sql.exec(
    `INSERT OR REPLACE INTO thread_subscriptions(${columns}) VALUES (?, ?, ?, ?, ?, ?)`,
    roomId,
    root,
    advance(sql, stream),
    Number(to.isSubscribed),
    Number(to.isAutomatic),
    to.endedAt,
  )
}

/** The threads of these rooms that the user follows, by room; rooms without any are left out. */
export function followedThreads(sql: Sql, roomIds: readonly RoomId[]): FollowedThreads {
  if (roomIds.length === 0) return {}
  const rows = sql.exec<{ room_id: RoomId; root: EventId }>(
    `SELECT room_id, root FROM thread_subscriptions
     WHERE subscribed = 1 AND room_id IN (SELECT value FROM json_each(?)) ORDER BY position DESC`,
    JSON.stringify(roomIds),
  )
  const followed = new Map<RoomId, EventId[]>()
  for (const { room_id: roomId, root } of rows.toArray()) {
    const roots = followed.get(roomId) ?? []
    // They go along with every question to the room; the newest count.
    if (roots.length < maxFollowed) roots.push(root)
    followed.set(roomId, roots)
  }
  return Object.fromEntries(followed)
}

/** The newest changes after one position up to another, newest first. */
export function subscriptionsBetween(
  sql: Sql,
  { after, upTo }: { readonly after: number; readonly upTo: number },
  limit: number,
): ThreadSubscription[] {
  const query = `SELECT ${columns} FROM thread_subscriptions WHERE position > ? AND position <= ?
    ORDER BY position DESC LIMIT ?`
  return sql
    .exec<Row>(query, after, upTo, limit)
    .toArray()
    .map((row) => ({
      roomId: row.room_id,
      root: row.root,
      position: row.position,
      isSubscribed: row.subscribed === 1,
      isAutomatic: row.automatic === 1,
    }))
}
