/**
 * A user's push rules: account data of a form of its own (protocol/push-rules/stored-rules.ts), from which the Worker makes
 * what clients see. Spec: client-server-api/#push-rules.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import type { RuleFault } from '#protocol/push-rules/rule-set.ts'
import {
  editPushRules,
  type FollowedThreads,
  type PushRuleEdit,
  pushRulesOf,
  type StoredPushRules,
  type RoomPushRules,
  storedPushRules,
  succeedInPushRules,
  withFollowed,
} from '#protocol/push-rules/stored-rules.ts'

import type { Sql } from '../shared/sql.ts'
import { getAccountData, setAccountData } from './account-data.ts'
import type { Stream } from './stream.ts'
import { followedThreads } from './thread-subscriptions.ts'

/** In characters of JSON: the rules go along with every question to a room. */
const maxSize = 64 * 1024
const key = { type: 'm.push_rules' }

export type PushRulesEdited = { readonly ok: true } | { readonly ok: false; readonly fault: RuleFault }

/** Nothing but this file writes account data of this type. */
export function getPushRules(sql: Sql): StoredPushRules {
  return getAccountData(sql, key) ?? {}
}

/** The rules with the threads that the user follows in these rooms: `withFollowed` makes of both what a room needs. */
export function getRoomsPushRules(
  sql: Sql,
  roomIds: readonly RoomId[],
): { readonly pushRules: StoredPushRules; readonly followed: FollowedThreads } {
  if (roomIds.length === 0) return { pushRules: {}, followed: {} }
  const pushRules = getPushRules(sql)
  return { pushRules, followed: pushRules.followsThreads ? followedThreads(sql, roomIds) : {} }
}

/** What one room needs. */
export function getRoomPushRules(sql: Sql, roomId: RoomId): RoomPushRules {
  const { pushRules, followed } = getRoomsPushRules(sql, [roomId])
  return withFollowed(pushRules, followed, roomId)
}

/** A client of the user follows a thread: from now on the rules for threads hold. */
export function notePushRulesForThreads(sql: Sql, stream: Stream): void {
  const stored = getPushRules(sql)
  if (!stored.followsThreads) save(sql, stream, { ...stored, followsThreads: true })
}

/** Makes a change whose form was checked. */
export function changePushRules(
  sql: Sql,
  stream: Stream,
  { userId, edit, pushesEncrypted }: { userId: UserId; edit: PushRuleEdit; pushesEncrypted: boolean },
): PushRulesEdited {
  const before = getPushRules(sql)
  const edited = editPushRules(pushRulesOf(userId, before, pushesEncrypted), edit)
  if (!edited.ok) return edited
  const { followsThreads = false } = before
  const stored = storedPushRules(userId, edited.rules, { followsThreads, pushesEncrypted })
  if (edit.edit !== 'delete' && JSON.stringify(stored).length > maxSize) return { ok: false, fault: 'too_many' }
  save(sql, stream, stored)
  return { ok: true }
}

/** Copies a room's own rule to the room that replaces it. Whether there was one to copy. */
export function copyRoomRule(sql: Sql, stream: Stream, from: RoomId, to: RoomId): boolean {
  const stored = succeedInPushRules(getPushRules(sql), from, to)
  if (stored && JSON.stringify(stored).length <= maxSize) save(sql, stream, stored)
  return stored !== undefined
}

function save(sql: Sql, stream: Stream, stored: StoredPushRules): void {
  const content: JsonObject = JSON.parse(JSON.stringify(stored))
  setAccountData(sql, stream, key, content)
}
