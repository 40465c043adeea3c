/** What is known of media: who uploaded it, what it is called, where its bytes lie. Spec: client-server-api/#content-repository. */
import type { MxcUri } from '#protocol/identifiers/mxc-uri.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { and, count, eq, gt, isNull, lt, lte, sum } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import type { PictureLook } from '../../r2-media/picture-look.ts'
import type { Env } from '../env.ts'
import { settingsOf } from '../settings.ts'
import { equalBytes, keepOnce } from './equal-bytes.ts'
import { media } from './schema.ts'

const day = 86_400_000

/** What a file is and where it lies. */
export interface StoredMedia {
  readonly storageKey: string
  readonly contentType: string
  readonly fileName: string | null
  /** Bytes. */
  readonly size: number
  /** Unpadded URL-safe base64. */
  readonly sha256: string
  /** Undefined until somebody wanted a thumbnail. */
  readonly look?: PictureLook | undefined
}

export interface KeptMedia extends StoredMedia {
  /** Up to a day behind. */
  readonly lastAccessAt: number
  /** False: uploaded before the freeze of the paths that need no token. */
  readonly needsToken: boolean
}

export type FoundMedia =
  | { readonly kind: 'stored'; readonly media: KeptMedia }
  /** An admin forbade it: it is not given out, nor fetched or uploaded again. */
  | { readonly kind: 'quarantined' }
  /** An ID was given out, nothing is uploaded yet; or somebody is fetching a copy. */
  | { readonly kind: 'awaited'; readonly uploader: UserId | null }

/** Undefined as well for an ID whose time to upload has run out. */
export async function findMedia({ DB }: Env, uri: MxcUri): Promise<FoundMedia | undefined> {
  const row = await drizzle(DB).select().from(media).where(at(uri)).get()
  if (!row) return undefined
  const { storageKey, sha256, contentType, fileName, size, expiresAt, uploader, lastAccessAt, needsToken } = row
  if (row.quarantinedBy !== null) return { kind: 'quarantined' }
  if (storageKey !== null && sha256 !== null) {
    const look: PictureLook | undefined = row.picture === null ? undefined : JSON.parse(row.picture)
    const stored = { storageKey, contentType, fileName, size, sha256, look, lastAccessAt, needsToken }
    return { kind: 'stored', media: stored }
  }
  return expiresAt !== null && expiresAt > Date.now() ? { kind: 'awaited', uploader } : undefined
}

/** Notes media that was uploaded here and is stored; equal bytes that were here before take its place. False where the URI is taken. */
export async function addMedia(env: Env, uri: MxcUri, stored: StoredMedia, uploader: UserId): Promise<boolean> {
  const now = Date.now()
  const needsToken = settingsOf(env).freezesUnauthenticatedMedia
  const file = { ...stored, storageKey: equalBytes(stored) }
  const [made] = await drizzle(env.DB)
    .insert(media)
    .values({ ...uri, ...file, uploader, createdAt: now, lastAccessAt: now, needsToken })
    .onConflictDoNothing()
    .returning({ storageKey: media.storageKey })
  await keepOnce(env, stored.storageKey, made?.storageKey)
  return made !== undefined
}

/** How many uploads of this user are awaited. Forgets those whose time has run out. */
export async function countAwaited({ DB }: Env, uploader: UserId): Promise<number> {
  const db = drizzle(DB)
  const now = Date.now()
  const awaited = and(eq(media.uploader, uploader), isNull(media.storageKey))
  const [, [row]] = await db.batch([
    db.delete(media).where(and(awaited, lte(media.expiresAt, now))),
    db
      .select({ awaited: count() })
      .from(media)
      .where(and(awaited, gt(media.expiresAt, now))),
  ])
  return row?.awaited ?? 0
}

/** Keeps an ID for an upload to come. */
export async function awaitMedia({ DB }: Env, uri: MxcUri, uploader: UserId, expiresAt: number): Promise<void> {
  await drizzle(DB)
    .insert(media)
    .values({ ...uri, uploader, contentType: '', size: 0, createdAt: Date.now(), expiresAt })
}

/** As `addMedia`, for awaited media. False where it was already, or where its time has run out. */
export async function completeMedia(env: Env, uri: MxcUri, stored: StoredMedia): Promise<boolean> {
  const now = Date.now()
  const needsToken = settingsOf(env).freezesUnauthenticatedMedia
  const [done] = await drizzle(env.DB)
    .update(media)
    .set({ ...stored, storageKey: equalBytes(stored), expiresAt: null, lastAccessAt: now, needsToken })
    .where(and(at(uri), isNull(media.storageKey), isNull(media.quarantinedBy), gt(media.expiresAt, now)))
    .returning({ storageKey: media.storageKey })
  await keepOnce(env, stored.storageKey, done?.storageKey)
  return done !== undefined
}

/** Keeps what was seen of media as a picture, with all files of the same bytes. */
export async function noteLook({ DB }: Env, { storageKey }: StoredMedia, look: PictureLook): Promise<void> {
  const picture = JSON.stringify(look)
  await drizzle(DB).update(media).set({ picture }).where(eq(media.storageKey, storageKey))
}

/** Notes that somebody asks for it, once a day at most: a look must not cost a write. */
export async function noteAccess({ DB }: Env, uri: MxcUri, { lastAccessAt }: KeptMedia): Promise<void> {
  const now = Date.now()
  if (lastAccessAt > now - day) return
  await drizzle(DB)
    .update(media)
    .set({ lastAccessAt: now })
    .where(and(at(uri), lt(media.lastAccessAt, now)))
}

/** Bytes that a user has uploaded. */
export async function uploadedBytes({ DB }: Env, uploader: UserId): Promise<number> {
  const [row] = await drizzle(DB)
    .select({ bytes: sum(media.size) })
    .from(media)
    .where(eq(media.uploader, uploader))
  return Number(row?.bytes ?? 0)
}

/** Forgets a copy whose bytes are gone. */
export async function forgetMedia({ DB }: Env, uri: MxcUri, storageKey: string): Promise<void> {
  await drizzle(DB)
    .delete(media)
    .where(and(at(uri), eq(media.storageKey, storageKey)))
}

function at({ serverName, mediaId }: MxcUri) {
  return and(eq(media.serverName, serverName), eq(media.mediaId, mediaId))
}
