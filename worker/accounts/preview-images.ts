/** Pictures of URL previews: media of this server that nobody uploaded. Equal pictures are kept once. */
import type { MediaId, MxcUri } from '#protocol/identifiers/mxc-uri.ts'
import { and, eq, isNotNull } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import type { StoredMedia } from './media.ts'
import { media } from './schema.ts'

/**
 * Notes a picture that is stored, and gives the ID under which it is known: another one where the same picture was there
 * already, undefined where an admin has quarantined it. In both cases the new bytes are deleted.
 */
export async function addPreviewImage(
  { DB, MEDIA }: Env,
  uri: MxcUri,
  stored: StoredMedia,
): Promise<MediaId | undefined> {
  const db = drizzle(DB)
  const now = Date.now()
  const [known] = await db
    .update(media)
    .set({ lastAccessAt: now })
    .where(and(eq(media.isPreview, true), eq(media.sha256, stored.sha256), isNotNull(media.storageKey)))
    .returning({ mediaId: media.mediaId, quarantinedBy: media.quarantinedBy })
  if (!known) {
    await db.insert(media).values({ ...uri, ...stored, isPreview: true, createdAt: now, lastAccessAt: now })
    return uri.mediaId
  }
  await MEDIA.delete(stored.storageKey)
  return known.quarantinedBy === null ? known.mediaId : undefined
}
