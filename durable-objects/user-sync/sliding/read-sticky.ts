/**
 * Rooms of which a client of sliding sync has to hear sticky events: an extension with a token of its own.
 *
 * Spec: MSC4480. "The server MUST include sticky events across all rooms that would be matched by at least one subscription
 * list …, even if the room does not appear in top-N window for that subscription list at this time."
 *
 * A token says up to which position of the stream all is told. A room tells where its newest sticky event stands along with
 * its news (room-facts.ts); where it is newer than the token, the room is asked for those from where it was known to stand
 * then to where it is known to stand now. So what one answer leaves out the next one has, and nothing comes twice. A room that
 * was joined since is asked for all.
 *
 * What does not fit into one answer comes in a round of several: all of them go by the position at which the first was read,
 * and by the rooms' IDs, since what happens meanwhile moves neither. It is told in the next round.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { SlidingParams } from '#protocol/sliding-sync/request.ts'
import { listRooms } from '#protocol/sliding-sync/room-list.ts'
import { parseSticky, type StickyPosition } from '#protocol/sliding-sync/tokens.ts'

import type { Sql } from '../../shared/sql.ts'
import { heardOf } from '../marks.ts'
import { listContext } from './room-index.ts'
import type { SlidingState } from './read-sliding.ts'

/** A room to be asked for sticky events, between two of its positions. */
export interface StickyRoom {
  readonly roomId: RoomId
  readonly after: number
  readonly upTo: number
}

export interface StickyRead {
  /** By their IDs. */
  readonly rooms: readonly StickyRoom[]
  /** There are further ones. */
  readonly isCut: boolean
  /** What the client has been told, and up to where the stream is read for this round. */
  readonly from: StickyPosition
  readonly upTo: number
  readonly epoch: string
}

/** Rooms asked for one answer. */
const mostRooms = 50

type Row = { room_id: RoomId; membership_at: number }

/** Fails with `invalid_param` for a `since` that is none. `now` in ms since 1970. */
export function readSticky(
  state: SlidingState,
  params: SlidingParams,
  { since, now }: { readonly since: string | undefined; readonly now: number },
): Outcome<{ sticky: StickyRead }> {
  const { stream } = state
  const from = since === undefined ? { at: 0 } : parseSticky(since, stream)
  if (!from) {
    return fail('invalid_param', 'extensions.org.matrix.msc4354.sticky_events.since is not a token of this server')
  }
  const read = readRound(state, params, from, now)
  const isOver = from.round !== undefined && read.rooms.length === 0
  return { ok: true, sticky: isOver ? readRound(state, params, { at: from.round.upTo }, now) : read }
}

function readRound(state: SlidingState, params: SlidingParams, from: StickyPosition, now: number): StickyRead {
  const { sql, stream } = state
  const upTo = from.round?.upTo ?? stream.position
  const rows = newSince(sql, from, now)
  const wanted = rows.length === 0 ? new Set() : wantedAmong(state, params, rows)
  const rooms = rows.flatMap((row) => (wanted.has(row.room_id) ? stickyRoom(sql, row, from, upTo) : []))
  return { rooms: rooms.slice(0, mostRooms), isCut: rooms.length > mostRooms, from, upTo, epoch: stream.epoch }
}

function newSince(sql: Sql, { at, round }: StickyPosition, now: number): Row[] {
  return sql
    .exec<Row>(
      `SELECT room_id, membership_at FROM room_facts INDEXED BY sticky_rooms CROSS JOIN rooms USING (room_id)
       WHERE sticky_until > 0 AND sticky_until > ?1 AND membership = 'join' AND max(sticky_at, membership_at) > ?2
         AND room_id >= ?3
       ORDER BY room_id`,
      now,
      at,
      round?.roomId ?? '',
    )
    .toArray()
}

/** The rooms that any list has, in sight or not, and those that are subscribed to. */
function wantedAmong(
  { sql, index }: SlidingState,
  { lists, subscriptions }: SlidingParams,
  rows: readonly Row[],
): ReadonlySet<string> {
  const all = index.rooms()
  const found = rows.flatMap(({ room_id }) => all.get(room_id) ?? [])
  const context = listContext(sql, all)
  const listed = Object.values(lists).flatMap(({ filters }) => listRooms(found, filters, context))
  return new Set([...listed.map(({ roomId }) => roomId), ...Object.keys(subscriptions)])
}

function stickyRoom(
  sql: Sql,
  { room_id: roomId, membership_at }: Row,
  from: StickyPosition,
  end: number,
): StickyRoom[] {
  // Joined since the round began: the next one has it.
  if (membership_at > end) return []
  const knownAt = (read: number) => heardOf(sql, roomId, { read, served: 0, toDevice: 0 })?.pos ?? 0
  const isNew = membership_at > from.at
  const after = from.round?.roomId === roomId ? from.round.after : isNew ? 0 : knownAt(from.at)
  const upTo = knownAt(end)
  return after < upTo ? [{ roomId, after, upTo }] : []
}
