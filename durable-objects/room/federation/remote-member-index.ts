/**
 * Keeps the list in D1 of which rooms users of other servers are in: so that news of somebody's devices finds those here
 * who share a room with them. What the list misses is only told late, so it may lag behind, and very large rooms are left
 * out of it: nobody there encrypts for single people.
 *
 * Spec: server-server-api/#device-management.
 */
import { membershipOf } from '#protocol/events/fields.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import { memberIn } from '../members.ts'
import type { Room } from '../room.ts'
import { eventColumns, type EventRow } from '../stored-event.ts'

/** Rooms with more members of other servers than this are not listed when they are joined. */
const maxListed = 20_000
/** Positions that a new life of the object has to look through at most, roughly. */
const saveEvery = 500

export interface MemberList {
  /** Replaces what is listed for a room. */
  readonly replace: (roomId: RoomId, users: readonly UserId[]) => Promise<void>
  readonly change: (roomId: RoomId, joined: readonly UserId[], gone: readonly UserId[]) => Promise<void>
}

export class RemoteMemberIndex {
  readonly #room: Room
  readonly #list: MemberList
  /** Up to here the list is right. */
  #pos: number | undefined
  #saved: number | undefined
  #running: Promise<void> | undefined

  constructor(room: Room, list: MemberList) {
    this.#room = room
    this.#list = list
  }

  /** Members became known who came by no event: all are listed anew at the next change. */
  begin(): void {
    this.#pos = undefined
    this.#saved = undefined
    this.#room.reader.sql.exec('DELETE FROM member_list')
  }

  /** The room changed. Rejects when the list could not be written: then it has to be called again. */
  async changed(): Promise<void> {
    const before = this.#running
    if (before) await before.catch(() => undefined)
    this.#running ??= this.#catchUp().finally(() => {
      this.#running = undefined
    })
    await this.#running
  }

  async #catchUp(): Promise<void> {
    const { reader } = this.#room
    if (!reader.isKnown()) return
    const { roomId, pos } = reader.header()
    this.#saved ??= reader.sql.exec<{ pos: number }>('SELECT pos FROM member_list').toArray()[0]?.pos
    const from = this.#pos ?? this.#saved
    if (from === pos) return
    const changed = from === undefined ? [] : this.#membersSince(from)
    const isNew = from === undefined || changed.some((user) => reader.isLocal(user) && this.#cameOrWent(user, from))
    const wrote = isNew ? await this.#replace(roomId) : await this.#change(roomId, changed)
    this.#pos = pos
    if (wrote || pos - (this.#saved ?? 0) > saveEvery) {
      reader.sql.exec('INSERT OR REPLACE INTO member_list(id, pos) VALUES (1, ?)', pos)
      this.#saved = pos
    }
  }

  /**
   * Whether the first of us came since a position, or the last one went: not where somebody merely changed their name, since
   * then the rows of all members would be written again.
   */
  #cameOrWent(user: UserId, pos: number): boolean {
    const { reader } = this.#room
    const isIn = reader.localJoined().has(user)
    if (reader.localJoined().size > (isIn ? 1 : 0)) return false
    const query = `SELECT ${eventColumns} FROM events WHERE pos > ? AND type = 'm.room.member' AND state_key = ? ORDER BY pos LIMIT 1`
    const row = reader.sql.exec<EventRow>(query, pos, user).toArray()[0]
    const group = row?.state_before ?? undefined
    const before = group === undefined ? undefined : memberIn(this.#room, group, user)
    const wasJoined = before !== undefined && membershipOf(before.pdu) === 'join'
    return wasJoined !== isIn
  }

  /** The first of us came, perhaps after an absence: whoever was here meanwhile came by no event. Or nobody of us is left. */
  async #replace(roomId: RoomId): Promise<boolean> {
    const { reader } = this.#room
    const isEmpty = reader.localJoined().size === 0
    const remote = isEmpty ? [] : reader.usersWith('join').filter((user) => !reader.isLocal(user))
    if (remote.length > 0 || this.#saved !== undefined) {
      await this.#list.replace(roomId, remote.length > maxListed ? [] : remote)
    }
    return true
  }

  async #change(roomId: RoomId, changed: readonly UserId[]): Promise<boolean> {
    const { reader } = this.#room
    const remote = changed.filter((user) => !reader.isLocal(user))
    if (remote.length === 0) return false
    const joined = remote.filter((user) => reader.membership(user) === 'join')
    const gone = remote.filter((user) => !joined.includes(user))
    await this.#list.change(roomId, joined, gone)
    return true
  }

  #membersSince(pos: number): UserId[] {
    const query = "SELECT DISTINCT state_key AS user FROM events WHERE pos > ? AND type = 'm.room.member'"
    return this.#room.reader.sql
      .exec<{ user: UserId }>(query, pos)
      .toArray()
      .map(({ user }) => user)
  }
}
