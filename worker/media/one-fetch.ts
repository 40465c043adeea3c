/**
 * Whoever asks first for another server's media fetches it, for everybody: who asks meanwhile gets the copy.
 *
 * It holds across isolates, since the claim is a row. Nobody waits longer than a claim lasts; then they fetch it themselves.
 */
import type { MxcUri } from '#protocol/identifiers/mxc-uri.ts'

import { findMedia, type KeptMedia } from '../accounts/media.ts'
import { claimFetch, dropClaim } from '../accounts/remote-media-rows.ts'
import type { Env } from '../env.ts'
import { refuse } from '../refusal.ts'

/** Of a fetch that is not done by then it is not known whether anybody still does it. */
const claimMs = 30_000
const firstPauseMs = 50
const longestPauseMs = 500

/** The right to fetch. */
export interface Turn {
  /** To be called when nothing came of it: the next may try. */
  giveUp(): Promise<void>
}

export type CopyOrTurn =
  | { readonly copy: KeptMedia; readonly turn?: undefined }
  | { readonly copy?: undefined; readonly turn: Turn }

/** The copy, or the right to fetch one. Refuses what an admin has forbidden. */
export async function copyOrTurn(env: Env, uri: MxcUri): Promise<CopyOrTurn> {
  const deadline = Date.now() + claimMs
  for (let pause = firstPauseMs; ; pause = Math.min(pause * 2, longestPauseMs)) {
    const found = await findMedia(env, uri)
    if (found?.kind === 'stored') return { copy: found.media }
    if (found?.kind === 'quarantined') return refuse('not_found', 'That media is not given out')
    const now = Date.now()
    const until = now + claimMs
    if (!found && (await claimFetch(env, uri, now, until)))
      return { turn: { giveUp: () => dropClaim(env, uri, until) } }
    if (now >= deadline) return { turn: { giveUp: async () => undefined } }
    await scheduler.wait(pause)
  }
}
