/** What admins see of media and forbid: per file, per user, and how much each user has. */
import type { MediaId, MxcUri } from '#protocol/identifiers/mxc-uri.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { and, asc, count, countDistinct, desc, eq, gte, isNotNull, isNull, lte, or, sql, sum } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import { type MediaRow, mediaRow } from './media-removal.ts'
import { media, profiles } from './schema.ts'

export type MediaFacts = typeof media.$inferSelect

export interface Page {
  readonly from: number
  readonly limit: number
  readonly backwards: boolean
}

export const mediaOrders = {
  media_id: media.mediaId,
  upload_name: media.fileName,
  created_ts: media.createdAt,
  last_access_ts: media.lastAccessAt,
  media_length: media.size,
  media_type: media.contentType,
  quarantined_by: media.quarantinedBy,
  safe_from_quarantine: media.isProtected,
} as const
export type MediaOrder = keyof typeof mediaOrders

export async function mediaFacts({ DB }: Env, { serverName, mediaId }: MxcUri): Promise<MediaFacts | undefined> {
  const at = and(eq(media.serverName, serverName), eq(media.mediaId, mediaId))
  return drizzle(DB).select().from(media).where(at).get()
}

/** What a user has uploaded, a page of it, and how many files there are in all. */
export async function mediaOfUser(
  { DB }: Env,
  uploader: UserId,
  { orderBy, from, limit, backwards }: Page & { readonly orderBy: MediaOrder },
): Promise<{ page: MediaFacts[]; total: number }> {
  const db = drizzle(DB)
  const theirs = and(eq(media.uploader, uploader), isNotNull(media.storageKey))
  const column = mediaOrders[orderBy]
  const order = backwards ? desc(column) : asc(column)
  const [page, [counted]] = await db.batch([
    db.select().from(media).where(theirs).orderBy(order, asc(media.mediaId)).limit(limit).offset(from),
    db.select({ total: count() }).from(media).where(theirs),
  ])
  return { page, total: counted?.total ?? 0 }
}

/** Forbids files, but for those that are protected. Copies that are not here yet will not be fetched. Says how many. */
export async function quarantine(
  { DB }: Env,
  uris: readonly MxcUri[],
  by: UserId,
  ourName: ServerName,
): Promise<number> {
  const db = drizzle(DB)
  const now = Date.now()
  const foreign = JSON.stringify(pairs(uris.filter(({ serverName }) => serverName !== ourName)))
  const changed = await db
    .update(media)
    .set({ quarantinedBy: by })
    .where(and(among(uris), eq(media.isProtected, false), isNull(media.quarantinedBy)))
    .returning({ mediaId: media.mediaId })
  const made = await db.all(
    sql`INSERT INTO media(server_name, media_id, content_type, size, created_at, quarantined_by)
      SELECT value ->> 0, value ->> 1, '', 0, ${now}, ${by} FROM json_each(${foreign}) WHERE true
      ON CONFLICT DO NOTHING RETURNING media_id`,
  )
  return changed.length + made.length
}

/** The same for all that a user has uploaded. */
export async function quarantineUser({ DB }: Env, uploader: UserId, by: UserId): Promise<number> {
  const changed = await drizzle(DB)
    .update(media)
    .set({ quarantinedBy: by })
    .where(and(eq(media.uploader, uploader), eq(media.isProtected, false), isNull(media.quarantinedBy)))
    .returning({ mediaId: media.mediaId })
  return changed.length
}

/** Allows a file again. A row that only forbade a copy goes. */
export async function endQuarantine({ DB }: Env, uri: MxcUri): Promise<void> {
  const db = drizzle(DB)
  await db.batch([
    db.delete(media).where(and(among([uri]), isNull(media.storageKey), isNull(media.expiresAt))),
    db
      .update(media)
      .set({ quarantinedBy: null })
      .where(among([uri])),
  ])
}

export async function setProtected({ DB }: Env, uri: MxcUri, isProtected: boolean): Promise<void> {
  await drizzle(DB)
    .update(media)
    .set({ isProtected })
    .where(among([uri]))
}

/** Which of these are here: rows to remove. */
export function mediaAmong({ DB }: Env, uris: readonly MxcUri[]): Promise<MediaRow[]> {
  return drizzle(DB)
    .select(mediaRow)
    .from(media)
    .where(and(among(uris), isNotNull(media.storageKey)))
}

export const usageOrders = ['user_id', 'displayname', 'media_length', 'media_count'] as const

export interface UsageQuery extends Page {
  readonly orderBy: (typeof usageOrders)[number]
  /** Files made within these, milliseconds. */
  readonly since: number | undefined
  readonly until: number | undefined
  /** Part of a user ID or display name. */
  readonly text: string | undefined
}

export interface Usage {
  readonly userId: UserId | null
  readonly displayName: string | null
  readonly files: number
  readonly bytes: number
}

/** How much each user has uploaded. */
export async function usagePerUser({ DB }: Env, query: UsageQuery): Promise<{ page: Usage[]; total: number }> {
  const db = drizzle(DB)
  const displayName = sql<string | null>`json_extract(${profiles.fields}, '$.displayname')`
  const text = query.text?.toLowerCase()
  const wanted = and(
    isNotNull(media.uploader),
    isNotNull(media.storageKey),
    query.since === undefined ? undefined : gte(media.createdAt, query.since),
    query.until === undefined ? undefined : lte(media.createdAt, query.until),
    text === undefined
      ? undefined
      : or(sql`instr(lower(${media.uploader}), ${text}) > 0`, sql`instr(lower(${displayName}), ${text}) > 0`),
  )
  const [files, bytes] = [count(), sum(media.size)]
  const orders = { user_id: media.uploader, displayname: displayName, media_length: bytes, media_count: files }
  const column = orders[query.orderBy]
  const joined = eq(profiles.userId, media.uploader)
  const [page, [counted]] = await db.batch([
    db
      .select({ userId: media.uploader, displayName, files, bytes })
      .from(media)
      .leftJoin(profiles, joined)
      .where(wanted)
      .groupBy(media.uploader)
      .orderBy(query.backwards ? desc(column) : asc(column), asc(media.uploader))
      .limit(query.limit)
      .offset(query.from),
    db
      .select({ total: countDistinct(media.uploader) })
      .from(media)
      .leftJoin(profiles, joined)
      .where(wanted),
  ])
  return { page: page.map((row) => ({ ...row, bytes: Number(row.bytes ?? 0) })), total: counted?.total ?? 0 }
}

function pairs(uris: readonly MxcUri[]): [ServerName, MediaId][] {
  return uris.map(({ serverName, mediaId }) => [serverName, mediaId])
}

function among(uris: readonly MxcUri[]) {
  const names = JSON.stringify(pairs(uris))
  return sql`(${media.serverName}, ${media.mediaId}) IN (SELECT value ->> 0, value ->> 1 FROM json_each(${names}))`
}
