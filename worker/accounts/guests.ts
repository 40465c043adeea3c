/** Which accounts are guests. Spec: client-server-api/#guest-access. */
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { and, eq, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import { users } from './schema.ts'

/** The guests among these users of this server. */
export async function guestsAmong({ DB }: Env, userIds: readonly UserId[]): Promise<UserId[]> {
  // One parameter however many there are: D1 takes a hundred.
  const listed = sql`${users.userId} IN (SELECT value FROM json_each(${JSON.stringify(userIds)}))`
  const rows = await drizzle(DB)
    .select({ userId: users.userId })
    .from(users)
    .where(and(eq(users.isGuest, true), listed))
  return rows.map(({ userId }) => userId)
}
