/** Forgets media, row and bytes. The row goes first: what is left over when that is all, `tidy-media.ts` finds. */
import type { MediaId } from '#protocol/identifiers/mxc-uri.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { and, asc, eq, gt, isNotNull, isNull, lt, lte, ne, or, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import { dropBytes } from '../../r2-media/drop-bytes.ts'
import type { Env } from '../env.ts'
import { media, mediaSweep, urlPreviews } from './schema.ts'

export interface MediaRow {
  readonly serverName: ServerName
  readonly mediaId: MediaId
  readonly storageKey: string | null
}

/** What names a row and its bytes. */
export const mediaRow = { serverName: media.serverName, mediaId: media.mediaId, storageKey: media.storageKey }

/** Forgets these. Bytes that another row names stay. */
export async function removeMedia(env: Env, rows: readonly MediaRow[]): Promise<void> {
  if (rows.length === 0) return
  const names = JSON.stringify(rows.map(({ serverName, mediaId }) => [serverName, mediaId]))
  const named = sql`SELECT value ->> 0, value ->> 1 FROM json_each(${names})`
  await drizzle(env.DB)
    .delete(media)
    .where(sql`(${media.serverName}, ${media.mediaId}) IN (${named})`)
  const keys = [...new Set(rows.flatMap(({ storageKey }) => storageKey ?? []))]
  await dropBytes(env.MEDIA, await unnamed(env, keys))
}

/** Those storage keys that no row has. */
export async function unnamed({ DB }: Env, storageKeys: readonly string[]): Promise<string[]> {
  const named = await drizzle(DB)
    .select({ storageKey: media.storageKey })
    .from(media)
    .where(sql`${media.storageKey} IN (SELECT value FROM json_each(${JSON.stringify(storageKeys)}))`)
  const known = new Set(named.map(({ storageKey }) => storageKey))
  return storageKeys.filter((key) => !known.has(key))
}

/** Copies that can be had again and that nobody looked at since: of other servers' media, and pictures of previews. */
export function unusedCopies(env: Env, ourName: ServerName, before: number, limit: number): Promise<MediaRow[]> {
  return drizzle(env.DB)
    .select(mediaRow)
    .from(media)
    .where(
      and(
        isNull(media.uploader),
        lt(media.lastAccessAt, before),
        isNotNull(media.storageKey),
        // Without its row a copy would be fetched again.
        isNull(media.quarantinedBy),
        or(ne(media.serverName, ourName), eq(media.isPreview, true)),
      ),
    )
    .orderBy(asc(media.lastAccessAt))
    .limit(limit)
}

/** Forgets IDs whose upload, or copies whose fetch, never came, and previews that are old. Not what is forbidden. */
export async function forgetExpired({ DB }: Env, now: number, previewsBefore: number): Promise<void> {
  const db = drizzle(DB)
  await db.batch([
    db
      .delete(media)
      .where(
        and(isNull(media.storageKey), isNull(media.quarantinedBy), gt(media.expiresAt, 0), lte(media.expiresAt, now)),
      ),
    db.delete(urlPreviews).where(lt(urlPreviews.expiresAt, previewsBefore)),
  ])
}

/** Where the search through all of R2 goes on. */
export async function sweepPosition({ DB }: Env): Promise<string | undefined> {
  return (await drizzle(DB).select().from(mediaSweep).get())?.after ?? undefined
}

export async function noteSweepPosition({ DB }: Env, after: string | null): Promise<void> {
  await drizzle(DB)
    .insert(mediaSweep)
    .values({ id: 1, after })
    .onConflictDoUpdate({ target: mediaSweep.id, set: { after } })
}
