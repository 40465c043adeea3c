/**
 * What a pusher of kind `email` has collected, and when it is time for a letter (protocol/push-rules/mail-throttle.ts).
 *
 * Rows wait in the queue of the pusher; those that were read meanwhile are taken out before anybody looks, so that a letter
 * is only about what is unread, and no alarm is set for the rest.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { PushedEvent } from '#protocol/push-rules/push-body.ts'
import { isForgotten, type MailedRoom, mailDue, mailedAgain } from '#protocol/push-rules/mail-throttle.ts'

import type { Sql } from '../shared/sql.ts'
import { type Pusher, queued } from './pushers.ts'

export interface LetterEvent extends PushedEvent {
  /** When this server heard of it, in ms. */
  readonly at: number
}

/** What a letter says of a room. */
export interface LetterRoom {
  readonly roomId: string
  /** All that is unread there, as far as it was collected, oldest first. */
  readonly events: readonly LetterEvent[]
}

interface DigestRoom extends LetterRoom {
  readonly roomId: RoomId
}

export interface Digest {
  readonly rooms: readonly DigestRoom[]
  /** Rows of the queue that it is made of. */
  readonly queueIds: readonly number[]
}

/** Forgets what was read, and returns what is left. */
export function collectDigest(sql: Sql, { id }: Pick<Pusher, 'id'>): Digest {
  const byRoom = new Map<RoomId, { readonly id: number; readonly event: LetterEvent }[]>()
  for (const row of queued(sql, id)) {
    if (!('notification' in row) || !row.notification) continue
    const roomId = row.notification.room_id
    const rows = byRoom.get(roomId) ?? []
    rows.push({ id: row.id, event: { ...row.notification, at: row.at } })
    byRoom.set(roomId, rows)
  }
  const [rooms, queueIds]: [DigestRoom[], number[]] = [[], []]
  for (const [roomId, rows] of byRoom) {
    // So many events of the room ring and are unread: the newest of them.
    const left = Math.min(unreadIn(sql, roomId), rows.length)
    const [read, unread] = [rows.slice(0, rows.length - left), rows.slice(rows.length - left)]
    drop(
      sql,
      read.map((row) => row.id),
    )
    if (unread.length === 0) continue
    rooms.push({ roomId, events: unread.map(({ event }) => event) })
    queueIds.push(...unread.map((row) => row.id))
  }
  return { rooms, queueIds }
}

/** When the letter about it is due, in ms; undefined for none. */
export function digestDue(sql: Sql, pusher: Pusher, { rooms }: Digest): number | undefined {
  const mailed = mailedRooms(sql, pusher)
  const times = rooms.map(({ roomId, events }) => mailDue(events[0]?.at ?? Infinity, mailed.get(roomId)))
  return times.length === 0 ? undefined : Math.max(pusher.nextAt, Math.min(...times))
}

/** A carrier took the letter. */
export function noteDigest(sql: Sql, pusher: Pusher, { rooms, queueIds }: Digest, now: number): void {
  drop(sql, queueIds)
  const mailed = mailedRooms(sql, pusher)
  for (const [roomId, room] of mailed) {
    if (!isForgotten(room, now)) continue
    sql.exec('DELETE FROM mailed_rooms WHERE pusher_id = ? AND room_id = ?', pusher.id, roomId)
  }
  for (const { roomId } of rooms) {
    const { sentAt, gap } = mailedAgain(mailed.get(roomId), now)
    sql.exec(
      'INSERT OR REPLACE INTO mailed_rooms(pusher_id, room_id, sent_at, gap) VALUES (?, ?, ?, ?)',
      pusher.id,
      roomId,
      sentAt,
      gap,
    )
  }
  if (pusher.failures > 0) sql.exec('UPDATE pushers SET failures = 0, next_at = 0 WHERE id = ?', pusher.id)
}

function mailedRooms(sql: Sql, { id }: Pusher): Map<RoomId, MailedRoom> {
  const query = 'SELECT room_id AS roomId, sent_at AS sentAt, gap FROM mailed_rooms WHERE pusher_id = ?'
  const rows = sql.exec<{ roomId: RoomId } & { sentAt: number; gap: number }>(query, id).toArray()
  return new Map(rows.map(({ roomId, ...room }) => [roomId, room]))
}

function unreadIn(sql: Sql, roomId: RoomId): number {
  const query = 'SELECT unread FROM push_rooms WHERE room_id = ?'
  return sql.exec<{ unread: number }>(query, roomId).toArray()[0]?.unread ?? 0
}

function drop(sql: Sql, queueIds: readonly number[]): void {
  if (queueIds.length === 0) return
  sql.exec('DELETE FROM push_queue WHERE id IN (SELECT value FROM json_each(?))', JSON.stringify(queueIds))
}
