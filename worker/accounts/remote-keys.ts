/**
 * Keys of other servers' users as their servers told them last: for the time when a server cannot be asked.
 *
 * Spec: client-server-api/#post_matrixclientv3keysquery. Never given where the server answers, so never older than need be;
 * a change that comes as `m.device_list_update` lets clients ask again. Written only when the keys are others than before.
 */
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, type JsonObject } from '#protocol/json/json.ts'
import { and, gt, inArray, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import { remoteKeys } from './schema.ts'

/** Characters of a user's keys as JSON: some hundred devices. More is not kept. */
const maxSize = 256 * 1024
const perBatch = 50

/** A value of one bound parameter: D1 binds at most 100. */
const among = (values: readonly string[]) => sql`(SELECT value FROM json_each(${JSON.stringify(values)}))`

/** What was told last of these users; of those whose keys changed since it is not known. */
export async function rememberedKeys({ DB }: Env, users: readonly UserId[]): Promise<Map<UserId, JsonObject>> {
  if (users.length === 0) return new Map()
  const rows = await drizzle(DB)
    .select()
    .from(remoteKeys)
    .where(and(inArray(remoteKeys.userId, among(users)), gt(remoteKeys.toldAt, remoteKeys.changedAt)))
  return new Map(
    rows.flatMap(({ userId, json }) => {
      const keys: unknown = JSON.parse(json)
      return isObject(keys) ? [[userId, keys] as const] : []
    }),
  )
}

/**
 * Notes that keys of a user changed, of those with whom somebody here shares an encrypted room: what is known is not given
 * any more, since a client that got it would take it for the newest and not ask again.
 */
export async function noteRemoteKeyChange({ DB }: Env, userId: UserId, now: number): Promise<void> {
  await DB.prepare(
    `INSERT INTO remote_keys(user_id, json, changed_at) SELECT ?1, '{}', ?2 FROM remote_members WHERE user_id = ?1 LIMIT 1
     ON CONFLICT(user_id) DO UPDATE SET changed_at = excluded.changed_at`,
  )
    .bind(userId, now)
    .run()
}

/** Keeps what was told of users who were asked about at `askedAt`, of those with whom somebody here shares an encrypted room. */
export async function rememberKeys({ DB }: Env, told: ReadonlyMap<UserId, JsonObject>, askedAt: number): Promise<void> {
  const texts = new Map([...told].map(([userId, keys]) => [userId, JSON.stringify(keys)]))
  const known = await drizzle(DB)
    .select()
    .from(remoteKeys)
    .where(inArray(remoteKeys.userId, among([...texts.keys()])))
  for (const { userId, json, toldAt, changedAt } of known) {
    if (texts.get(userId) === json && toldAt > changedAt) texts.delete(userId)
  }
  const statements = [...texts].map(([userId, json]) =>
    json.length > maxSize
      ? DB.prepare('DELETE FROM remote_keys WHERE user_id = ?').bind(userId)
      : DB.prepare(
          `INSERT INTO remote_keys(user_id, json, told_at) SELECT ?1, ?2, ?3 FROM remote_members WHERE user_id = ?1 LIMIT 1
           ON CONFLICT(user_id) DO UPDATE SET json = excluded.json, told_at = excluded.told_at
           WHERE told_at < excluded.told_at`,
        ).bind(userId, json, askedAt),
  )
  for (let from = 0; from < statements.length; from += perBatch) await DB.batch(statements.slice(from, from + perBatch))
}
