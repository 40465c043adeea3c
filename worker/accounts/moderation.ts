/**
 * Locking and suspending accounts. Spec: client-server-api/#account-moderation.
 *
 * D1 has the word. Isolates believe a token for some seconds, so the user's object is told of locks as well: it refuses
 * syncs, which are believed longest, at once.
 */
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { and, eq, isNotNull, or, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import { remote } from '../remote.ts'
import { listDevices } from './devices.ts'
import { users } from './schema.ts'
import { forgetTokens } from './token-cache.ts'

/** Suspends an account, or ends that. */
export async function setSuspended({ DB }: Env, userId: UserId, isSuspended: boolean): Promise<void> {
  await drizzle(DB).update(users).set({ isSuspended }).where(eq(users.userId, userId))
  forgetTokens(userId)
}

/** Those of these users of ours who may not send: suspended, locked or deactivated. */
export async function silencedAmong({ DB }: Pick<Env, 'DB'>, userIds: readonly UserId[]): Promise<ReadonlySet<UserId>> {
  if (userIds.length === 0) return new Set()
  const rows = await drizzle(DB)
    .select({ userId: users.userId })
    .from(users)
    .where(
      and(
        sql`${users.userId} IN (SELECT value FROM json_each(${JSON.stringify(userIds)}))`,
        or(eq(users.isSuspended, true), eq(users.isLocked, true), isNotNull(users.deactivatedAt)),
      ),
    )
  return new Set(rows.map(({ userId }) => userId))
}

/** Locks an account, or unlocks it. "Servers SHOULD NOT invalidate access tokens on locked accounts." */
export async function setLocked(env: Env, userId: UserId, isLocked: boolean): Promise<void> {
  await drizzle(env.DB).update(users).set({ isLocked }).where(eq(users.userId, userId))
  forgetTokens(userId)
  const deviceIds = (await listDevices(env, userId)).map(({ deviceId }) => deviceId)
  await remote(env.USER_SYNC, userId).setLocked({ isLocked, deviceIds })
}
