/**
 * How far each room is known to have come, and how far the holder of a token has heard of it.
 *
 * A room tells that it changed once and is then silent until a slice of it is read, so what is known here may lag behind
 * the room. A row of `marks` says: from position `at` on, the room was known to be at (pos, typing). Reading at position
 * `read` takes every room whose known version is ahead of what the token's holder heard, and its slice brings the holder
 * *at least* that far. So:
 *
 *   Invariant: the holder of a token (read, served) has heard every room up to what was known of it at `read`.
 *
 * Proof by induction over the holder's chain of tokens: a room whose `changed_at` is not after the last token's `read`
 * was known no further then than now, so the holder has heard it; any other room is compared, and served if it is ahead.
 *
 * A slice may go further than was known (or fail, and go nowhere). Then `commitServed` writes a mark with what was truly
 * served, at a new position `served` which goes into the token, and what is known catches up. Such a mark counts for
 * that token only: one commit later the known version covers it, or the room has changed since and is compared again.
 * Hence an old token gives the same again, a new one never gives twice, and devices cannot disturb each other.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { SinceToken } from '#protocol/sync/since-token.ts'

import type { Sql } from '../shared/sql.ts'
import { type ListFacts, noteSticky, type StickyFacts } from './sliding/room-facts.ts'
import { advance, type Stream } from './stream.ts'

export type Membership = 'join' | 'invite' | 'knock' | 'leave' | 'ban'

/**
 * A version of a room. `pos` grows with every event and receipt; `typing` names a list of typing users: later ones have
 * higher numbers, and 0 is the empty list of a room that has just woken.
 */
export interface RoomVersion {
  readonly pos: number
  readonly typing: number
}

/** Sticky events that a holder has not heard of though the room was served beyond them (room/sticky/sticky-slice.ts). */
export interface StickyRest {
  /** Those after this position of the room… */
  readonly after: number
  /** …without these. */
  readonly shown: readonly number[]
}

/** What the holder of a token has heard of a room. */
export interface Heard extends RoomVersion {
  readonly sticky?: StickyRest
}

/** What a room tells; all of it read in one turn of the room. */
export interface RoomChange extends RoomVersion {
  readonly roomId: RoomId
  readonly membership: Membership
  /** For lists of sliding sync. */
  readonly facts?: ListFacts | undefined
}

export interface ServedRoom extends Heard {
  readonly roomId: RoomId
  /** What is sticky there by now. */
  readonly stickyFacts?: StickyFacts | undefined
}

/** A room whose slice could not be read, and where the next slice shall begin: null from the beginning. */
export interface FailedRoom {
  readonly roomId: RoomId
  readonly from: Heard | null
}

// A type alias, since an interface has no index signature and so is no row of the database.
type RoomRow = {
  membership: Membership
  membership_pos: number
  membership_at: number
  pos: number
  typing: number
  changed_at: number
}

function roomRow(sql: Sql, roomId: RoomId): RoomRow | undefined {
  return sql
    .exec<RoomRow>(
      'SELECT membership, membership_pos, membership_at, pos, typing, changed_at FROM rooms WHERE room_id = ?',
      roomId,
    )
    .toArray()[0]
}

/** What is known of a room, and the position at which that became known. */
export function roomKnown(
  sql: Sql,
  roomId: RoomId,
): (RoomVersion & { membership: Membership; changedAt: number }) | undefined {
  const row = roomRow(sql, roomId)
  return row && { pos: row.pos, typing: row.typing, membership: row.membership, changedAt: row.changed_at }
}

/** The membership that a room told last. */
export function membershipIn(sql: Sql, roomId: RoomId): Membership | undefined {
  return roomRow(sql, roomId)?.membership
}

/** The rooms the user is joined to, as far as they have told. */
export function joinedRooms(sql: Sql): RoomId[] {
  return sql
    .exec<{ room_id: RoomId }>("SELECT room_id FROM rooms WHERE membership = 'join' ORDER BY room_id")
    .toArray()
    .map((row) => row.room_id)
}

/**
 * Notes what a room told. False when it is nothing new: calls may come twice, late and out of order, and the room's pos
 * decides which is newer.
 */
export function applyRoomChange(sql: Sql, stream: Stream, change: RoomChange): boolean {
  const row = roomRow(sql, change.roomId)
  if (!row) {
    const at = advance(sql, stream)
    sql.exec(
      `INSERT INTO rooms(room_id, membership, membership_pos, membership_at, pos, typing, changed_at)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
      change.roomId,
      change.membership,
      change.pos,
      at,
      change.pos,
      change.typing,
      at,
    )
    insertMark(sql, change.roomId, at, change)
    return true
  }
  const isNewest = change.pos >= row.membership_pos
  const moved = isNewest && change.membership !== row.membership
  const pos = Math.max(row.pos, change.pos)
  const typing = typingAfter(row, change)
  const membershipPos = isNewest ? change.pos : row.membership_pos
  if (!moved && pos === row.pos && typing === row.typing) {
    // Nothing to tell, but a later call with an older membership must lose.
    if (membershipPos > row.membership_pos) {
      sql.exec('UPDATE rooms SET membership_pos = ? WHERE room_id = ?', membershipPos, change.roomId)
    }
    return false
  }
  const at = advance(sql, stream)
  sql.exec(
    `UPDATE rooms SET membership = ?, membership_pos = ?, membership_at = ?, pos = ?, typing = ?, changed_at = ?
     WHERE room_id = ?`,
    moved ? change.membership : row.membership,
    membershipPos,
    moved ? at : row.membership_at,
    pos,
    typing,
    at,
    change.roomId,
  )
  insertMark(sql, change.roomId, at, { pos, typing })
  return true
}

/**
 * The typing list that stands after a room told `change`. A room's lists have growing numbers, so of two at one position
 * the higher is newer; a room that lost its list with its memory says 0, but tells that at a later position only.
 */
function typingAfter(row: RoomVersion, change: RoomVersion): number {
  if (change.pos !== row.pos) return change.pos > row.pos ? change.typing : row.typing
  return Math.max(row.typing, change.typing)
}

function insertMark(sql: Sql, roomId: RoomId, at: number, known: RoomVersion, served?: Heard): void {
  sql.exec(
    'INSERT INTO marks(room_id, at, pos, typing, served_pos, served_typing, served_sticky) VALUES (?, ?, ?, ?, ?, ?, ?)',
    roomId,
    at,
    known.pos,
    known.typing,
    served?.pos ?? null,
    served?.typing ?? null,
    served?.sticky ? JSON.stringify(served.sticky) : null,
  )
}

/** What the holder of a token has heard of a room; null for nothing. */
export function heardOf(sql: Sql, roomId: RoomId, token: SinceToken): Heard | null {
  if (token.served !== 0) {
    const [own] = sql
      .exec<{ pos: number | null; typing: number | null; sticky: string | null }>(
        'SELECT served_pos AS pos, served_typing AS typing, served_sticky AS sticky FROM marks WHERE room_id = ? AND at = ?',
        roomId,
        token.served,
      )
      .toArray()
    if (own && own.pos !== null && own.typing !== null) {
      const sticky = own.sticky === null ? {} : { sticky: JSON.parse(own.sticky) }
      return own.pos < 0 ? null : { pos: own.pos, typing: own.typing, ...sticky }
    }
  }
  const [known] = sql
    .exec<{ pos: number; typing: number }>(
      'SELECT pos, typing FROM marks WHERE room_id = ? AND at <= ? ORDER BY at DESC LIMIT 1',
      roomId,
      token.read,
    )
    .toArray()
  return known ?? null
}

/**
 * Writes marks for rooms whose slices differ from what was known when the answer was read at `read`. Returns their
 * position, for the token. Nothing here may be left out by the Worker because it seems unimportant: see the invariant.
 */
export function commitServed(
  sql: Sql,
  stream: Stream,
  { read, served, failed }: { read: number; served: readonly ServedRoom[]; failed: readonly FailedRoom[] },
): number {
  const at = advance(sql, stream)
  for (const slice of served) {
    const row = roomRow(sql, slice.roomId)
    if (!row) continue
    const pos = Math.max(row.pos, slice.pos)
    // What a room told since may be newer than the slice. The typing list has no order, so then what was told stands,
    // and the holder will compare again: the room's change lies after `read`.
    const typing = row.changed_at > read ? row.typing : slice.typing
    // With a rest of sticky events the holder has to ask again, though it has heard the room to its end.
    if (pos !== row.pos || slice.typing !== row.typing || slice.sticky) {
      sql.exec('UPDATE rooms SET pos = ?, typing = ?, changed_at = ? WHERE room_id = ?', pos, typing, at, slice.roomId)
    }
    insertMark(sql, slice.roomId, at, { pos, typing }, slice)
    if (slice.stickyFacts) noteSticky(sql, slice.roomId, at, slice.stickyFacts)
  }
  for (const { roomId, from } of failed) {
    const row = roomRow(sql, roomId)
    if (!row) continue
    sql.exec('UPDATE rooms SET changed_at = ? WHERE room_id = ?', at, roomId)
    // Nothing but the membership was new: only a slice from the beginning is sure to be asked for again.
    const behind = from !== null && (from.pos < row.pos || from.typing !== row.typing || from.sticky !== undefined)
    insertMark(sql, roomId, at, row, behind ? from : { pos: -1, typing: 0 })
  }
  return at
}
