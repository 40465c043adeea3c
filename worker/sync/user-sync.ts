/** Where a local user's stream is. */
import type { UserId } from '#protocol/identifiers/user-id.ts'

import type { UserSyncDO } from '../../durable-objects/user-sync/user-sync-do.ts'
import type { Env } from '../env.ts'
import { type Remote, remote } from '../remote.ts'

/** The object that keeps what this user has to hear, and their account data. Only for users of this server. */
export function userSyncOf(env: Env, userId: UserId): Remote<UserSyncDO> {
  return remote(env.USER_SYNC, userId)
}
