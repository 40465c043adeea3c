/**
 * A user's rooms in memory, for lists: read once while the object is awake, and kept up to date room by room.
 *
 * Only a copy: it may be lost at any time, and every room that changed is read again from its rows.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import { type JsonObject, own } from '#protocol/json/json.ts'
import type { ListContext, ListedRoom } from '#protocol/sliding-sync/room-list.ts'

import type { Sql } from '../../shared/sql.ts'
import { getAccountData, getTags } from '../account-data.ts'
import type { Membership, RoomVersion } from '../marks.ts'

export interface IndexedRoom extends ListedRoom {
  readonly roomId: RoomId
  readonly membership: Membership
  readonly known: RoomVersion
  readonly by: string | undefined
  /** Kicked or banned, and not forgotten. */
  readonly isRemoved: boolean
  /** Position at which the room's state was last known to change. */
  readonly stateAt: number
  /** Position of the newest account data of this room; 0 for none. */
  readonly accountAt: number
}

type Row = {
  room_id: RoomId
  membership: Membership
  pos: number
  typing: number
  bump: number | null
  bumped_at: number | null
  state_at: number | null
  by_user: string | null
  removed: number | null
  about: string | null
  account_at: number | null
}

const query = `SELECT rooms.room_id, membership, rooms.pos, typing, bump, coalesce(bumped_at, changed_at) AS bumped_at,
    coalesce(state_at, membership_at) AS state_at, by_user, about, removed,
    (SELECT max(position) FROM account_data WHERE account_data.room_id = rooms.room_id) AS account_at
  FROM rooms LEFT JOIN room_facts ON room_facts.room_id = rooms.room_id`

export class RoomIndex {
  readonly #sql: Sql
  readonly #changed = new Set<RoomId>()
  #rooms: Map<RoomId, IndexedRoom> | undefined

  constructor(sql: Sql) {
    this.#sql = sql
  }

  /** Something about a room was written. */
  changed(roomId: RoomId): void {
    if (this.#rooms) this.#changed.add(roomId)
  }

  /** All rooms, left ones included. */
  rooms(): ReadonlyMap<RoomId, IndexedRoom> {
    if (!this.#rooms) {
      const rows = this.#sql.exec<Row>(query).toArray()
      this.#rooms = new Map(rows.map((row) => [row.room_id, indexed(row)]))
    }
    for (const roomId of this.#changed) {
      const [row] = this.#sql.exec<Row>(`${query} WHERE rooms.room_id = ?`, roomId).toArray()
      if (row) this.#rooms.set(roomId, indexed(row))
    }
    this.#changed.clear()
    return this.#rooms
  }
}

function indexed(row: Row): IndexedRoom {
  return {
    roomId: row.room_id,
    membership: row.membership,
    known: { pos: row.pos, typing: row.typing },
    bump: row.bump ?? 0,
    bumpedAt: row.bumped_at ?? 0,
    by: row.by_user ?? undefined,
    isRemoved: row.removed === 1,
    about: row.about === null ? undefined : JSON.parse(row.about),
    stateAt: row.state_at ?? 0,
    accountAt: row.account_at ?? 0,
  }
}

/** What the user's account data and rooms say, for filters; each part is read when it is first asked for. */
export function listContext(sql: Sql, rooms: ReadonlyMap<string, IndexedRoom>): ListContext {
  let direct: ReadonlySet<string> | undefined
  const tags = new Map<string, readonly string[]>()
  return {
    isDirect: (roomId) => (direct ??= directRooms(sql)).has(roomId),
    tagsOf(roomId) {
      const room = rooms.get(roomId)
      // Most rooms have no account data at all.
      if (!room || room.accountAt === 0) return []
      const known = tags.get(roomId) ?? Object.keys(getTags(sql, room.roomId))
      tags.set(roomId, known)
      return known
    },
    childrenOf(spaces) {
      const joined = spaces.map((space) => rooms.get(space)).filter((room) => room?.membership === 'join')
      return new Set(joined.flatMap((room) => room?.about?.children ?? []))
    },
  }
}

/** The rooms that `m.direct` names. Spec: client-server-api/#direct-messaging. */
function directRooms(sql: Sql): ReadonlySet<string> {
  const content: JsonObject = getAccountData(sql, { type: 'm.direct' }) ?? {}
  const lists = Object.keys(content).map((user) => own(content, user))
  const rooms = lists.flatMap((list) => (Array.isArray(list) ? list : []))
  return new Set(rooms.filter((room) => typeof room === 'string'))
}
