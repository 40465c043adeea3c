/**
 * How far each room was looked through for what rings, and how many events are unread in it: only while there are pushers.
 *
 * A room without a row is one that came after the pushers: all since the user came to it is news. Those that were there
 * before begin where they are (`begin`).
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'

import type { PushNews, PushNewsRequest } from '../room/push-news.ts'
import type { Sql } from '../shared/sql.ts'
import { hiddenInviters } from './account-data.ts'

/** The first pusher was set: every room that is known begins with what comes next. */
export function beginRooms(sql: Sql): void {
  sql.exec(
    `INSERT OR IGNORE INTO push_rooms(room_id, pos, unread, rules_at)
       SELECT room_id, -1, 0, 0 FROM rooms WHERE membership IN ('join', 'invite')`,
  )
}

type Row = { pos: number; unread: number; rules_at: number }

function row(sql: Sql, roomId: RoomId): Row | undefined {
  return sql.exec<Row>('SELECT pos, unread, rules_at FROM push_rooms WHERE room_id = ?', roomId).toArray()[0]
}

/** Whether a position of a room lies beyond what was looked through. */
export function isAhead(sql: Sql, roomId: RoomId, pos: number): boolean {
  const known = row(sql, roomId)
  return known === undefined || known.pos < pos
}

/** From where to look, and what is known to be unread there. */
export function pushStart(sql: Sql, roomId: RoomId): Pick<PushNewsRequest, 'after' | 'unread'> {
  const known = row(sql, roomId)
  if (!known) return { after: 'membership' }
  if (known.pos < 0) return { after: 'now' }
  return { after: known.pos, ...(known.rules_at === rulesAt(sql, roomId) ? { unread: known.unread } : {}) }
}

/** Notes how far a room was looked through. `judgedAt`: `rulesAt` when it was asked. */
export function notePushNews(sql: Sql, roomId: RoomId, news: Pick<PushNews, 'pos' | 'unread'>, judgedAt: number): void {
  sql.exec(
    'INSERT OR REPLACE INTO push_rooms(room_id, pos, unread, rules_at) VALUES (?, ?, ?, ?)',
    roomId,
    news.pos,
    news.unread,
    judgedAt,
  )
}

/** Names the rules by which is counted: the position of their newest change, or of the room's threads that are followed. */
export function rulesAt(sql: Sql, roomId: RoomId): number {
  const query = `SELECT max(
    (SELECT coalesce(max(position), 0) FROM account_data
      WHERE room_id = '' AND type IN ('m.push_rules', 'm.ignored_user_list')),
    (SELECT coalesce(max(position), 0) FROM thread_subscriptions WHERE room_id = ?)) AS at`
  return sql.exec<{ at: number }>(query, roomId).toArray()[0]?.at ?? 0
}

/** Where a room stands to which the user was invited by somebody whose invites are not shown. */
export function hiddenInvite(sql: Sql, roomId: RoomId): { readonly pos: number } | undefined {
  const query = `SELECT rooms.pos, by_user AS inviter FROM rooms JOIN room_facts USING (room_id)
    WHERE room_id = ? AND membership = 'invite' AND by_user IS NOT NULL`
  const [row] = sql.exec<{ pos: number; inviter: string }>(query, roomId).toArray()
  return row && hiddenInviters(sql)(row.inviter) ? { pos: row.pos } : undefined
}

/** Rooms that may have moved on from what was looked through: after a restart, when memory of it is lost. */
export function roomsToLookThrough(sql: Sql): RoomId[] {
  const query = `SELECT rooms.room_id AS roomId FROM rooms LEFT JOIN push_rooms ON push_rooms.room_id = rooms.room_id
    WHERE coalesce(push_rooms.pos, -1) < rooms.pos AND (push_rooms.unread > 0 OR rooms.membership IN ('join', 'invite'))`
  return sql
    .exec<{ roomId: RoomId }>(query)
    .toArray()
    .map(({ roomId }) => roomId)
}
