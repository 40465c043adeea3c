/** Media that was uploaded here, or is about to be. Spec: client-server-api/#get_matrixclientv1mediadownloadservernamemediaid. */
import type { MxcUri } from '#protocol/identifiers/mxc-uri.ts'

import { findMedia, type KeptMedia } from '../accounts/media.ts'
import { wholeNumber } from '../client-server/parameters.ts'
import type { Env } from '../env.ts'
import { refuse } from '../refusal.ts'

/** The default of `timeout_ms`, and the most that we wait. */
const maxWaitMs = 20_000
const firstPauseMs = 250
const longestPauseMs = 2_000

/** "The maximum number of milliseconds that the client is willing to wait". */
export function waitOf(query: URLSearchParams): number {
  return wholeNumber(query, 'timeout_ms', maxWaitMs, maxWaitMs)
}

/** Media of this server. Waits for an upload that is to come; refuses with M_NOT_FOUND or M_NOT_YET_UPLOADED. */
export async function localMedia(env: Env, uri: MxcUri, waitMs: number): Promise<KeptMedia> {
  const deadline = Date.now() + waitMs
  for (let pause = firstPauseMs; ; pause = Math.min(pause * 2, longestPauseMs)) {
    const found = (await findMedia(env, uri)) ?? refuse('not_found', 'There is no such media')
    if (found.kind === 'stored') return found.media
    if (found.kind === 'quarantined') return refuse('not_found', 'There is no such media')
    const left = deadline - Date.now()
    if (left <= 0) return refuse('not_yet_uploaded')
    await scheduler.wait(Math.min(pause, left))
  }
}
