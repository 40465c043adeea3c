/**
 * Account data: what a user's clients keep here, global or of one room. Tags are account data of type `m.tag`.
 *
 * Spec: client-server-api/#client-config, #room-tagging. It lives with the stream, so that a row and its position cannot
 * disagree. Which types a client may set is the Worker's business.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import { parseUserId, type UserId } from '#protocol/identifiers/user-id.ts'
import {
  inviteListsType,
  invitePermissionTypes,
  inviteVerdict,
  type InviteVerdict,
} from '#protocol/invite-permission.ts'
import { ignoredIn } from '#protocol/ignored-users.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'

import type { Sql } from '../shared/sql.ts'
import { advance, type Stream } from './stream.ts'

/** `roomId` absent: global. */
export interface AccountDataKey {
  readonly roomId?: RoomId | undefined
  readonly type: string
}

/** As `/sync` sends it. */
export interface AccountDataEvent {
  readonly type: string
  readonly content: JsonObject
}

export function setAccountData(sql: Sql, stream: Stream, { roomId, type }: AccountDataKey, content: JsonObject): void {
  sql.exec(
    `INSERT INTO account_data(room_id, type, content, position) VALUES (?, ?, ?, ?)
     ON CONFLICT(room_id, type) DO UPDATE SET content = excluded.content, position = excluded.position`,
    roomId ?? '',
    type,
    JSON.stringify(content),
    advance(sql, stream),
  )
}

/**
 * Takes account data away. MSC3391 (unstable): clients hear of it as of empty content, and what is empty is not there; so the
 * row stays, for those who have not heard.
 */
export function deleteAccountData(sql: Sql, stream: Stream, key: AccountDataKey): boolean {
  if (!getAccountData(sql, key)) return false
  setAccountData(sql, stream, key, {})
  return true
}

const empty = '{}'

/** Undefined for what was never set, and for what was emptied. */
export function getAccountData(sql: Sql, { roomId, type }: AccountDataKey): JsonObject | undefined {
  const [row] = sql
    .exec<{ content: string }>('SELECT content FROM account_data WHERE room_id = ? AND type = ?', roomId ?? '', type)
    .toArray()
  return row === undefined || row.content === empty ? undefined : JSON.parse(row.content)
}

/**
 * Everything that changed after a position, by room; `''` holds the global data. Oldest change first. From the beginning,
 * what is there.
 */
export function accountDataAfter(sql: Sql, position: number): Map<RoomId | '', AccountDataEvent[]> {
  const byRoom = new Map<RoomId | '', AccountDataEvent[]>()
  const rows = sql.exec<{ room_id: RoomId | ''; type: string; content: string }>(
    `SELECT room_id, type, content FROM account_data WHERE position > ?1 AND (?1 > 0 OR content <> '${empty}') ORDER BY position`,
    position,
  )
  for (const { room_id, type, content } of rows.toArray()) {
    const events = byRoom.get(room_id) ?? []
    events.push({ type, content: JSON.parse(content) })
    byRoom.set(room_id, events)
  }
  return byRoom
}

/** All account data of one room. */
export function roomAccountData(sql: Sql, roomId: RoomId): AccountDataEvent[] {
  return sql
    .exec<{ type: string; content: string }>(
      `SELECT type, content FROM account_data WHERE room_id = ? AND content <> '${empty}' ORDER BY position`,
      roomId,
    )
    .toArray()
    .map(({ type, content }) => ({ type, content: JSON.parse(content) }))
}

/** The account data of one room, or (`''`) the global ones, that changed after a position. */
export function roomAccountDataAfter(sql: Sql, roomId: RoomId | '', position: number): AccountDataEvent[] {
  const query =
    'SELECT type, content FROM account_data ' +
    `WHERE room_id = ?1 AND position > ?2 AND (?2 > 0 OR content <> '${empty}') ORDER BY position`
  return sql
    .exec<{ type: string; content: string }>(query, roomId, position)
    .toArray()
    .map(({ type, content }) => ({ type, content: JSON.parse(content) }))
}

/** Users whose events and invites this user does not want. Spec: client-server-api/#ignoring-users. */
export function ignoredUsers(sql: Sql): string[] {
  const content = getAccountData(sql, { type: 'm.ignored_user_list' })
  return content ? ignoredIn(content) : []
}

/** What becomes of an invite: those by ignored users and on certain lists are not shown. Spec: #invite-permission, MSC4155. */
export function inviteVerdictBy(sql: Sql, inviter: UserId): InviteVerdict {
  const permission = invitePermissionTypes.map((type) => getAccountData(sql, { type })).find((content) => content)
  return inviteVerdict(permission, getAccountData(sql, { type: inviteListsType }), inviter)
}

/** Whether invites by a user are kept from the clients. */
export function hiddenInviters(sql: Sql): (inviter: string) => boolean {
  const ignored = new Set(ignoredUsers(sql))
  return (inviter) => {
    const user = parseUserId(inviter)
    return ignored.has(inviter) || (user !== undefined && inviteVerdictBy(sql, user) === 'ignore')
  }
}

/** The tags of a room by name. Spec: client-server-api/#room-tagging. */
export function getTags(sql: Sql, roomId: RoomId): JsonObject {
  const content = getAccountData(sql, { roomId, type: 'm.tag' })
  const tags = content && own(content, 'tags')
  return isObject(tags) ? tags : {}
}

/** Adds, replaces, or (undefined) removes one tag. */
export function setTag(sql: Sql, stream: Stream, roomId: RoomId, tag: string, content: JsonObject | undefined): void {
  const tags = new Map(Object.entries(getTags(sql, roomId)))
  if (content === undefined && !tags.has(tag)) return
  if (content === undefined) tags.delete(tag)
  else tags.set(tag, content)
  setAccountData(sql, stream, { roomId, type: 'm.tag' }, { tags: Object.fromEntries(tags) })
}
