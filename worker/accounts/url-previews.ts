/** What URL previews said, and who is fetching one: the same question is asked of the web once, however many wait for it. */
import { and, eq, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import { urlPreviews } from './schema.ts'

export interface PreviewKey {
  readonly url: string
  readonly language: string
}

export interface KnownPreview {
  /** JSON as it was kept; null while the first fetch goes on. */
  readonly answer: string | null
  readonly isFresh: boolean
  readonly isClaimed: boolean
}

export async function findPreview({ DB }: Env, key: PreviewKey): Promise<KnownPreview | undefined> {
  const row = await drizzle(DB).select().from(urlPreviews).where(at(key)).get()
  const now = Date.now()
  return row && { answer: row.answer, isFresh: row.expiresAt > now, isClaimed: row.claimedUntil > now }
}

/** True for one caller at a time, who then has so many milliseconds to fetch it. */
export async function claimPreview({ DB }: Env, key: PreviewKey, milliseconds: number): Promise<boolean> {
  const now = Date.now()
  const claimed = await drizzle(DB)
    .insert(urlPreviews)
    .values({ ...key, expiresAt: now, claimedUntil: now + milliseconds })
    .onConflictDoUpdate({
      target: [urlPreviews.url, urlPreviews.language],
      set: { claimedUntil: now + milliseconds },
      setWhere: sql`${urlPreviews.expiresAt} <= ${now} AND ${urlPreviews.claimedUntil} <= ${now}`,
    })
    .returning({ url: urlPreviews.url })
  return claimed.length === 1
}

/** Ends the claim, with an answer that holds for so many milliseconds or without one. */
export async function settlePreview(
  { DB }: Env,
  key: PreviewKey,
  settled?: { readonly answer: string; readonly freshForMs: number },
): Promise<void> {
  const found = settled && { answer: settled.answer, expiresAt: Date.now() + settled.freshForMs }
  await drizzle(DB)
    .update(urlPreviews)
    .set({ claimedUntil: 0, ...found })
    .where(at(key))
}

function at({ url, language }: PreviewKey) {
  return and(eq(urlPreviews.url, url), eq(urlPreviews.language, language))
}
