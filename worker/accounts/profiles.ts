/**
 * Profiles: a JSON object per user, read whole, changed field by field.
 *
 * Spec: client-server-api/#profiles. "The total profile MUST be under 64 KiB." Every write is one statement, so two
 * changes at once both last.
 */
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, type JsonObject, type JsonValue, own } from '#protocol/json/json.ts'
import { pickProfile, type ProfileFields } from '#protocol/sync/profile-fields.ts'
import { and, eq, sql, type SQL } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import { type Renaming, renaming } from './profile-words.ts'
import { profiles } from './schema.ts'

/** "MUST be under 64 KiB". */
const maxProfileBytes = 65_535

/** What membership events say of their user. */
export interface MemberProfile {
  readonly displayname?: string
  readonly avatar_url?: string
}

/** All fields of a local user; undefined for one who does not exist or was deactivated. */
export async function readProfile({ DB }: Env, userId: UserId): Promise<JsonObject | undefined> {
  const row = await drizzle(DB).select().from(profiles).where(eq(profiles.userId, userId)).get()
  const fields: unknown = row && JSON.parse(row.fields)
  return isObject(fields) ? fields : undefined
}

/** Of so many profiles one query reads, since each may have 64 KiB. */
const atOnce = 100

/** Some fields of the profiles of users; who does not exist or was deactivated is left out. */
export async function readProfiles(
  { DB }: Env,
  userIds: readonly UserId[],
  wanted: ProfileFields,
): Promise<Map<UserId, JsonObject>> {
  const found = new Map<UserId, JsonObject>()
  for (let at = 0; at < userIds.length; at += atOnce) {
    const some = JSON.stringify(userIds.slice(at, at + atOnce))
    const rows = await drizzle(DB)
      .select()
      .from(profiles)
      .where(sql`${profiles.userId} IN (SELECT value FROM json_each(${some}))`)
    for (const row of rows) {
      const fields: unknown = JSON.parse(row.fields)
      if (isObject(fields)) found.set(row.userId, pickProfile(fields, wanted))
    }
  }
  return found
}

/** The profile for membership events; empty for users of other servers. */
export async function profileOf(env: Env, userId: UserId): Promise<MemberProfile> {
  const fields = (await readProfile(env, userId)) ?? {}
  const [name, avatar] = [own(fields, 'displayname'), own(fields, 'avatar_url')]
  return {
    ...(typeof name === 'string' ? { displayname: name } : {}),
    ...(typeof avatar === 'string' ? { avatar_url: avatar } : {}),
  }
}

/** Sets a field. False when the profile would become too large. `name` must be free of quotes, see `profileFieldName`. */
export async function setProfileField(env: Env, userId: UserId, name: string, value: JsonValue): Promise<boolean> {
  const renamed: Renaming | readonly [] =
    name === 'displayname' ? renaming(drizzle(env.DB), userId, typeof value === 'string' ? value : undefined) : []
  return change(
    env,
    userId,
    renamed,
    sql`json_set(${profiles.fields}, ${pathOf(name)}, json(${JSON.stringify(value)}))`,
  )
}

export async function removeProfileField(env: Env, userId: UserId, name: string): Promise<void> {
  const renamed: Renaming | readonly [] = name === 'displayname' ? renaming(drizzle(env.DB), userId, undefined) : []
  await change(env, userId, renamed, sql`json_remove(${profiles.fields}, ${pathOf(name)})`)
}

/** `then`: goes into the same batch. */
async function change({ DB }: Env, userId: UserId, then: Renaming | readonly [], changed: SQL): Promise<boolean> {
  const db = drizzle(DB)
  const update = db
    .update(profiles)
    .set({ fields: changed })
    .where(and(eq(profiles.userId, userId), sql`length(CAST(${changed} AS BLOB)) <= ${maxProfileBytes}`))
    .returning({ userId: profiles.userId })
  const [rows] = await db.batch([update, ...then])
  return rows.length === 1
}

function pathOf(name: string): string {
  return `$."${name}"`
}
