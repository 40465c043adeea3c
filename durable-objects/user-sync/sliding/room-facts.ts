/**
 * What is known of each room that lists of sliding sync filter and sort by, so that no list has to ask a room.
 *
 * A room tells it along with its news (room/sliding/list-facts.ts). To a user who listens by sliding sync it tells every
 * change; to all others one, and then it is silent until they read (room/notify.ts): what is known of it may then be old,
 * so it is marked *stale*, and asked for once the user is back.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { RoomAbout } from '#protocol/sliding-sync/room-list.ts'

import type { Sql } from '../../shared/sql.ts'
import { advance, type Stream } from '../stream.ts'

/** Where the newest sticky event stands in a room, and until when any may be sticky, in ms since 1970. */
export interface StickyFacts {
  readonly pos: number
  readonly until: number
}

/** What a room tells, for one user. */
export interface ListFacts {
  /** Time of the last activity that the user may see, in ms since 1970. */
  readonly bump: number
  /** Another number with every change of the room's state. */
  readonly state: number
  /** Who invited, kicked or banned the user. */
  readonly by?: string | undefined
  /** The user was in the room until somebody else ended that, and has not forgotten it. */
  readonly isRemoved?: boolean | undefined
  readonly sticky?: StickyFacts | undefined
  /** Absent where nothing is known of the room's state, or it is no longer the user's to know. */
  readonly about?: RoomAbout | undefined
}

type FactsRow = {
  pos: number
  bump: number
  state: number
  by_user: string | null
  about: string | null
  stale: number
  removed: number
  sticky_pos: number
  sticky_until: number
}

/** Notes what a room told at a position of its own. What is older than what is known is passed over. */
export function noteFacts(
  sql: Sql,
  stream: Stream,
  { roomId, pos, facts }: { readonly roomId: RoomId; readonly pos: number; readonly facts: ListFacts },
  isStale: boolean,
): void {
  const [known] = sql
    .exec<FactsRow>(
      'SELECT pos, bump, state, by_user, about, stale, removed, sticky_pos, sticky_until FROM room_facts WHERE room_id = ?',
      roomId,
    )
    .toArray()
  if (known && known.pos > pos) return
  const about = facts.about === undefined ? (known?.about ?? null) : JSON.stringify(facts.about)
  const by = facts.by ?? null
  const removed = Number(facts.isRemoved === true)
  // What is sticky no more expires by itself.
  const sticky = facts.sticky ?? { pos: known?.sticky_pos ?? 0, until: known?.sticky_until ?? 0 }
  const isStickySame = known ? known.sticky_pos === sticky.pos && known.sticky_until === sticky.until : sticky.pos === 0
  const isSame = isStickySame && known?.bump === facts.bump && known.state === facts.state && known.about === about
  if (isSame && known.by_user === by && known.stale === Number(isStale) && known.removed === removed) return
  const at = advance(sql, stream)
  sql.exec(
    `INSERT INTO room_facts(room_id, pos, bump, bumped_at, state, state_at, by_user, about, stale, removed,
       sticky_pos, sticky_at, sticky_until)
     VALUES (?1, ?2, ?3, ?4, ?5, ?4, ?6, ?7, ?8, ?9, ?10, ?4, ?11)
     ON CONFLICT(room_id) DO UPDATE SET pos = ?2, bump = ?3, bumped_at = iif(bump = ?3, bumped_at, ?4), state = ?5,
       state_at = iif(state = ?5, state_at, ?4), by_user = ?6, about = ?7, stale = ?8,
       removed = ?9, sticky_pos = ?10, sticky_at = iif(sticky_pos = ?10, sticky_at, ?4), sticky_until = ?11`,
    roomId,
    pos,
    facts.bump,
    at,
    facts.state,
    by,
    about,
    Number(isStale),
    removed,
    sticky.pos,
    sticky.until,
  )
}

/**
 * A room was served by `/sync` further than it had told. Where it is known to stand and what is sticky there have to become
 * known together (read-sticky.ts). `at`: the position at which the former did.
 */
export function noteSticky(sql: Sql, roomId: RoomId, at: number, { pos, until }: StickyFacts): void {
  sql.exec(
    'UPDATE room_facts SET sticky_pos = ?2, sticky_at = ?3, sticky_until = ?4 WHERE room_id = ?1 AND sticky_pos < ?2',
    roomId,
    pos,
    at,
    until,
  )
}

/** Rooms that may have moved on without telling, newest activity first. */
export function staleRooms(sql: Sql): RoomId[] {
  return sql
    .exec<{ room_id: RoomId }>('SELECT room_id FROM room_facts WHERE stale = 1 ORDER BY bump DESC')
    .toArray()
    .map(({ room_id }) => room_id)
}

/** A room was asked, and has nothing to tell. */
export function noLongerStale(sql: Sql, roomId: RoomId): void {
  sql.exec('UPDATE room_facts SET stale = 0 WHERE room_id = ?', roomId)
}
