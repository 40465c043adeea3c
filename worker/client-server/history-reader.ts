/** What reading history takes besides the room: tokens of `/sync`, which only the user's object understands, and whom the user ignores. */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { ignoredIn, withoutSelf } from '#protocol/ignored-users.ts'
import { formatTimelineToken, parseTimelineToken } from '#protocol/sync/timeline-token.ts'

import type { Env } from '../env.ts'
import { unwrap } from '../refusal.ts'
import { userSyncOf } from '../sync/user-sync.ts'

/**
 * A token of the query as the room reads it. "This token can be obtained from a `prev_batch` or `next_batch` token returned
 * by the `/sync` endpoint": the latter is a point in all rooms, and becomes one in this room. M_INVALID_PARAM for others.
 */
export async function pointInRoom(
  env: Env,
  user: UserId,
  roomId: RoomId,
  token: string | null,
): Promise<string | undefined> {
  if (token === null || token === '') return undefined
  if (parseTimelineToken(token)) return token
  const { pos } = unwrap(await userSyncOf(env, user).roomPosition({ roomId, token }))
  return formatTimelineToken({ kind: 'live', pos })
}

/** Spec: client-server-api/#ignoring-users: their events, "with the exception of state events", are not received. */
export async function ignoredBy(env: Env, user: UserId): Promise<readonly string[]> {
  const list = await userSyncOf(env, user).getAccountData({ type: 'm.ignored_user_list' })
  return list.ok ? withoutSelf(ignoredIn(list.content), user) : []
}
