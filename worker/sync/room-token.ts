/**
 * Tokens of `/sync` where a room's own tokens are taken as well: `from` and `to` of `/messages`, `at` of `/members`.
 *
 * Spec: client-server-api/#get_matrixclientv3roomsroomidmessages: "This token can be obtained from a `prev_batch` or
 * `next_batch` token returned by the `/sync` endpoint". A `next_batch` names a place in the user's stream; only the
 * user's object knows which place in the room that is.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import type { Env } from '../env.ts'
import { unwrap } from '../refusal.ts'
import { userSyncOf } from './user-sync.ts'

/** A token as the room understands it: `p<pos>` for a `next_batch`, others unchanged. Refuses with M_INVALID_PARAM. */
export async function roomToken(env: Env, userId: UserId, roomId: RoomId, token: string): Promise<string> {
  if (!token.startsWith('s')) return token
  const { pos } = unwrap(await userSyncOf(env, userId).roomPosition({ roomId, token }))
  return `p${pos}`
}
