/**
 * The picture of somebody whose account is erased.
 *
 * Spec: client-server-api/#account-deactivation, "erase any non-event data associated with the user". Files that their
 * messages name stay: "users which had visibility on those events prior to the erasure are still able to see" them, and who
 * comes later gets redacted events, which name none. An admin can delete them all.
 */
import { parseMxcUri } from '#protocol/identifiers/mxc-uri.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import type { Env } from '../env.ts'
import { mediaFacts } from './media-admin.ts'
import { removeMedia } from './media-removal.ts'
import { profileOf } from './profiles.ts'

/** Deletes the file that their profile shows, where they uploaded it. */
export async function eraseAvatar(env: Env, userId: UserId): Promise<void> {
  const { avatar_url: avatar } = await profileOf(env, userId)
  const uri = parseMxcUri(avatar)
  const file = uri && (await mediaFacts(env, uri))
  // What an admin has forbidden or keeps is theirs to decide about.
  if (file?.uploader === userId && file.quarantinedBy === null && !file.isProtected) await removeMedia(env, [file])
}
