/**
 * Asks a user's object what a client has to hear over sliding sync, and waits with it: as wait-for-news.ts does for `/sync`,
 * on the same sockets.
 */
import type { Failure } from '#protocol/errors.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { type SlidingIdle, slidingIdleHeader, type SlidingRequest, slidingUrl } from '#protocol/sliding-sync/request.ts'
import { nothing, tooLarge } from '#protocol/sync/wait-request.ts'

import { hasSlidingNews, type SlidingRead } from '../../durable-objects/user-sync/sliding/sliding-read.ts'
import type { Env } from '../env.ts'
import { userSyncOf } from './user-sync.ts'
import { firstFrame } from './wait-for-news.ts'

export type SlidingNews =
  | { readonly kind: 'read'; readonly read: SlidingRead | Failure }
  | { readonly kind: 'idle'; readonly idle: SlidingIdle }
  /** To be asked for again: it did not fit, or (`lost`) the object lost its sockets. */
  | { readonly kind: 'again'; readonly lost: boolean }

/** What a URL may hold of a request, in characters, before it goes another way. */
const longestParams = 6_000

/** Reads for a connection and waits `timeout` ms for news. */
export async function waitForSlidingNews(
  env: Env,
  userId: UserId,
  request: SlidingRequest,
  timeout: number,
): Promise<SlidingNews> {
  const object = userSyncOf(env, userId)
  const wait = timeout > 0 && request.pos !== undefined
  const isLarge = encodeURIComponent(request.params ?? '').length > longestParams
  if (isLarge) {
    const read = await object.readSliding(request)
    if (!wait || !read.ok || hasSlidingNews(read)) return { kind: 'read', read }
  }
  const asked = isLarge ? { ...request, params: undefined } : request
  const response = await object.fetch(slidingUrl({ ...asked, wait }), { headers: { Upgrade: 'websocket' } })
  const socket = response.webSocket
  if (!socket) return { kind: 'read', read: await response.json() }
  const idle: SlidingIdle = JSON.parse(decodeURIComponent(response.headers.get(slidingIdleHeader) ?? ''))
  const frame = await firstFrame(socket, timeout)
  if (frame === nothing) return { kind: 'idle', idle }
  if (frame === undefined || frame === tooLarge) return { kind: 'again', lost: frame === undefined }
  return { kind: 'read', read: JSON.parse(frame) }
}
