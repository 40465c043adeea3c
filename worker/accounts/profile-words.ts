/**
 * The words by which local users are found, beside their profiles: so that looking for somebody reads the rows of those who
 * are found, and not of everybody. Written in the batch that changes a name.
 */
import { localpartOf, type UserId } from '#protocol/identifiers/user-id.ts'
import { nameWords } from '#protocol/search/name-words.ts'
import { and, eq, type SQL, sql } from 'drizzle-orm'
import type { DrizzleD1Database } from 'drizzle-orm/d1'

import { profileWords } from './schema.ts'

/** Puts the words of a name in place of those before, provided the profile has this name. Undefined: none. */
export function renaming(db: DrizzleD1Database, userId: UserId, displayName: string | undefined) {
  const words = JSON.stringify(nameWords(`${localpartOf(userId)} ${displayName ?? ''}`))
  const isNamed: SQL = sql`EXISTS (SELECT 1 FROM profiles WHERE profiles.user_id = ${userId}
    AND json_extract(fields, '$.displayname') IS ${displayName ?? null})`
  return [
    db.delete(profileWords).where(and(eq(profileWords.userId, userId), isNamed)),
    db.insert(profileWords).select(sql`SELECT value, ${userId} FROM json_each(${words}) WHERE ${isNamed}`),
  ] as const
}

export function forgettingName(db: DrizzleD1Database, userId: UserId) {
  return db.delete(profileWords).where(eq(profileWords.userId, userId))
}

export type Renaming = ReturnType<typeof renaming>
