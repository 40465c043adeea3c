/** The accounts of this server, page by page, for its admins. */
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { and, asc, count, eq, isNull, or, type SQL, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import { profiles, users } from './schema.ts'

export interface UserQuery {
  /** Part of the user ID or display name. */
  readonly text: string | undefined
  readonly withGuests: boolean
  readonly withDeactivated: boolean
  /** Only admins, or only others. */
  readonly isAdmin: boolean | undefined
  readonly from: number
  readonly limit: number
}

export type ListedUser = typeof users.$inferSelect & { readonly profile: string | null }

/** By user ID; and how many there are in all. */
export async function listUsers({ DB }: Env, query: UserQuery): Promise<{ page: ListedUser[]; total: number }> {
  const { text, withGuests, withDeactivated, isAdmin, from, limit } = query
  const wanted = and(
    text === undefined ? undefined : contains(text),
    withGuests ? undefined : eq(users.isGuest, false),
    withDeactivated ? undefined : isNull(users.deactivatedAt),
    isAdmin === undefined ? undefined : eq(users.isAdmin, isAdmin),
  )
  const db = drizzle(DB)
  const joined = eq(profiles.userId, users.userId)
  const [page, [counted]] = await db.batch([
    db
      .select({ user: users, profile: profiles.fields })
      .from(users)
      .leftJoin(profiles, joined)
      .where(wanted)
      .orderBy(asc(users.userId))
      .limit(limit)
      .offset(from),
    db.select({ total: count() }).from(users).leftJoin(profiles, joined).where(wanted),
  ])
  return { page: page.map(({ user, profile }) => ({ ...user, profile })), total: counted?.total ?? 0 }
}

/** instr and not LIKE: what somebody looks for is no pattern. */
function contains(text: string): SQL | undefined {
  const name = sql`json_extract(${profiles.fields}, '$.displayname')`
  return or(sql`instr(lower(${users.userId}), lower(${text})) > 0`, sql`instr(lower(${name}), lower(${text})) > 0`)
}

export async function setAdmin({ DB }: Env, userId: UserId, isAdmin: boolean): Promise<void> {
  await drizzle(DB).update(users).set({ isAdmin }).where(eq(users.userId, userId))
}
