/** What is known of media: who uploaded it, what it is called, where its bytes lie. Spec: client-server-api/#content-repository. */
import type { MxcUri } from '#protocol/identifiers/mxc-uri.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { and, count, eq, gt, isNull, lte } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import { media } from './schema.ts'

/** What a file is and where it lies. */
export interface StoredMedia {
  readonly storageKey: string
  readonly contentType: string
  readonly fileName: string | null
  /** Bytes. */
  readonly size: number
  /** Unpadded URL-safe base64. */
  readonly sha256: string
}

export type FoundMedia =
  | { readonly kind: 'stored'; readonly media: StoredMedia }
  /** An ID was given out, nothing is uploaded yet. */
  | { readonly kind: 'awaited'; readonly uploader: UserId | null }

/** Undefined as well for an ID whose time to upload has run out. */
export async function findMedia({ DB }: Env, uri: MxcUri): Promise<FoundMedia | undefined> {
  const row = await drizzle(DB).select().from(media).where(at(uri)).get()
  if (!row) return undefined
  const { storageKey, sha256, contentType, fileName, size, expiresAt, uploader } = row
  if (storageKey !== null && sha256 !== null) {
    return { kind: 'stored', media: { storageKey, contentType, fileName, size, sha256 } }
  }
  return expiresAt !== null && expiresAt > Date.now() ? { kind: 'awaited', uploader } : undefined
}

/** Notes media that is stored. False where the URI is taken. */
export async function addMedia({ DB }: Env, uri: MxcUri, stored: StoredMedia, uploader?: UserId): Promise<boolean> {
  const made = await drizzle(DB)
    .insert(media)
    .values({ ...uri, ...stored, uploader: uploader ?? null, createdAt: Date.now() })
    .onConflictDoNothing()
    .returning({ mediaId: media.mediaId })
  return made.length === 1
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

/** Notes that awaited media is stored now. False where it was already, or where its time has run out. */
export async function completeMedia({ DB }: Env, uri: MxcUri, stored: StoredMedia): Promise<boolean> {
  const done = await drizzle(DB)
    .update(media)
    .set({ ...stored, expiresAt: null })
    .where(and(at(uri), isNull(media.storageKey), gt(media.expiresAt, Date.now())))
    .returning({ mediaId: media.mediaId })
  return done.length === 1
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
