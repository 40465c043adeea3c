/**
 * Equal bytes are stored once, however often they come: rows of media then name the same bytes in R2.
 *
 * Which bytes are there is looked up in the statement that writes the row, so that no removal can come between. What was
 * uploaded here and copies of other servers' media are kept apart, since copies may be lost.
 */
import { eq, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import type { StoredMedia } from './media.ts'
import { media } from './schema.ts'

/** The key of such bytes that are here already, else the one under which they came. For a statement that writes a row. */
export function equalBytes({ storageKey, sha256, size }: StoredMedia) {
  const kind = storageKey.slice(0, storageKey.indexOf('/') + 1)
  return sql<string>`coalesce((SELECT known.storage_key FROM media AS known
    WHERE known.sha256 = ${sha256} AND known.size = ${size} AND known.storage_key IS NOT NULL
      AND substr(known.storage_key, 1, ${kind.length}) = ${kind} LIMIT 1), ${storageKey})`
}

/**
 * Deletes bytes that came where the row names others: `kept` is its key, undefined where there is no row. If those others
 * turn out to be lost, these take their place.
 */
export async function keepOnce({ DB, MEDIA }: Env, came: string, kept: string | null | undefined): Promise<void> {
  if (kept === undefined || kept === null || kept === came) return
  if (await MEDIA.head(kept)) await MEDIA.delete(came)
  else await drizzle(DB).update(media).set({ storageKey: came }).where(eq(media.storageKey, kept))
}
