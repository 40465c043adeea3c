/**
 * Who has a pusher with which pushkey. Spec: client-server-api/#post_matrixclientv3pushersset, `append`.
 *
 * The pushers themselves are in their users' objects; this index only tells whose they are, so that a phone which changes
 * hands stops ringing for the one before. A row too many does no harm.
 */
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { and, eq, ne } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import type { PusherKey } from '../../durable-objects/user-sync/pushers.ts'
import type { Env } from '../env.ts'
import { pushers } from './schema.ts'

/** Notes that a user has this pusher. Without `append` it is nobody else's any more: returns who had it. */
export async function claimPushkey(
  { DB }: Env,
  userId: UserId,
  { appId, pushkey }: PusherKey,
  append: boolean,
): Promise<UserId[]> {
  const db = drizzle(DB)
  const add = db.insert(pushers).values({ appId, pushkey, userId }).onConflictDoNothing()
  if (append) {
    await add
    return []
  }
  const others = and(eq(pushers.appId, appId), eq(pushers.pushkey, pushkey), ne(pushers.userId, userId))
  const [before] = await db.batch([db.delete(pushers).where(others).returning({ userId: pushers.userId }), add])
  return before.map((row) => row.userId)
}

/** These pushers of a user are no more. */
export async function forgetPushers({ DB }: Env, userId: UserId, keys: readonly PusherKey[]): Promise<void> {
  const db = drizzle(DB)
  for (const { appId, pushkey } of keys) {
    await db
      .delete(pushers)
      .where(and(eq(pushers.appId, appId), eq(pushers.pushkey, pushkey), eq(pushers.userId, userId)))
  }
}
