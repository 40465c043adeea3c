/**
 * Copies of other servers' media, and who is fetching one: what many ask for at the same time is fetched once.
 *
 * A row without bytes whose `expires_at` is to come is somebody's claim; one that has run out may be taken over.
 */
import type { MxcUri } from '#protocol/identifiers/mxc-uri.ts'
import { and, eq, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import { settingsOf } from '../settings.ts'
import { equalBytes, keepOnce } from './equal-bytes.ts'
import type { StoredMedia } from './media.ts'
import { media } from './schema.ts'

const target = [media.serverName, media.mediaId]
/** Neither there nor forbidden. */
const isMissing = sql`${media.storageKey} IS NULL AND ${media.quarantinedBy} IS NULL`

/** True for one caller at a time, who then has until then to fetch it. */
export async function claimFetch({ DB }: Env, uri: MxcUri, now: number, expiresAt: number): Promise<boolean> {
  const claimed = await drizzle(DB)
    .insert(media)
    .values({ ...uri, contentType: '', size: 0, createdAt: now, expiresAt })
    .onConflictDoUpdate({ target, set: { expiresAt }, setWhere: sql`${isMissing} AND ${media.expiresAt} <= ${now}` })
    .returning({ mediaId: media.mediaId })
  return claimed.length === 1
}

/** Ends a claim without a copy. */
export async function dropClaim({ DB }: Env, uri: MxcUri, expiresAt: number): Promise<void> {
  const { serverName, mediaId } = uri
  await drizzle(DB)
    .delete(media)
    .where(and(eq(media.serverName, serverName), eq(media.mediaId, mediaId), isMissing, eq(media.expiresAt, expiresAt)))
}

/** Notes a copy that is stored, claimed or not. False where there is one already, or where it is forbidden. */
export async function addCopy(env: Env, uri: MxcUri, stored: StoredMedia): Promise<boolean> {
  const now = Date.now()
  const needsToken = settingsOf(env).freezesUnauthenticatedMedia
  const file = { ...stored, storageKey: equalBytes(stored), expiresAt: null, lastAccessAt: now, needsToken }
  const [made] = await drizzle(env.DB)
    .insert(media)
    .values({ ...uri, ...file, createdAt: now })
    .onConflictDoUpdate({ target, set: file, setWhere: isMissing })
    .returning({ storageKey: media.storageKey })
  await keepOnce(env, stored.storageKey, made?.storageKey)
  return made !== undefined
}
