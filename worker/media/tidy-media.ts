/**
 * What the clock does with media, a little each time: copies that nobody looks at go, and what an upload left behind.
 *
 * Media that was uploaded here is never touched: there is no other copy of it.
 */
import type { ServerName } from '#protocol/identifiers/server-name.ts'

import { dropBytes, storageKeyOf } from '../../r2-media/drop-bytes.ts'
import {
  forgetExpired,
  noteSweepPosition,
  removeMedia,
  sweepPosition,
  unnamed,
  unusedCopies,
} from '../accounts/media-removal.ts'
import type { Env } from '../env.ts'
import { settingsOf } from '../settings.ts'

const day = 86_400_000
/** Files that are forgotten at one time; each may cost R2 a look for thumbnails. */
const copiesAtOnce = 200
const mostRounds = 5
/** Objects that are looked at at one time. */
const objectsAtOnce = 500
/** An upload is written before its row: younger bytes may still get one. */
const settledAfter = day

export interface Tidied {
  readonly copies: number
  readonly orphans: number
}

/** What is left over is found again the next time. */
export async function tidyMedia(env: Env, now: number): Promise<Tidied> {
  const { serverName, remoteMediaDays } = settingsOf(env)
  await forgetExpired(env, now, now - day)
  const before = remoteMediaDays === undefined ? undefined : now - remoteMediaDays * day
  const copies = before === undefined ? 0 : await dropCopies(env, serverName, before)
  return { copies, orphans: await dropOrphans(env, now) }
}

async function dropCopies(env: Env, ourName: ServerName, before: number): Promise<number> {
  let copies = 0
  for (let round = 1; round <= mostRounds; round++) {
    const rows = await unusedCopies(env, ourName, before, copiesAtOnce)
    await removeMedia(env, rows)
    copies += rows.length
    if (rows.length < copiesAtOnce) break
  }
  return copies
}

/** Bytes in R2 that no row names: an upload that ended between the two, or a removal that did. */
async function dropOrphans(env: Env, now: number): Promise<number> {
  const startAfter = await sweepPosition(env)
  const page = await env.MEDIA.list({ limit: objectsAtOnce, ...(startAfter !== undefined && { startAfter }) })
  const settled = page.objects.filter(({ uploaded }) => uploaded.getTime() < now - settledAfter)
  const owners = new Set(settled.flatMap(({ key }) => storageKeyOf(key) ?? []))
  const gone = await unnamed(env, [...owners])
  if (gone.length > 0) await dropBytes(env.MEDIA, gone)
  await noteSweepPosition(env, page.truncated ? (page.objects.at(-1)?.key ?? null) : null)
  return gone.length
}
