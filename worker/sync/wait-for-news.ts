/**
 * Asks a user's object what a client has to hear, and waits with it for something to happen.
 *
 * The Worker holds the client's request, which costs nothing; the object sleeps with a WebSocket open. A poll in which
 * nothing happens is one call to one object and touches nothing else.
 */
import type { Failure } from '#protocol/errors.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { type Idle, idleHeader, nothing, tooLarge, type WaitRequest, waitUrl } from '#protocol/sync/wait-request.ts'

import type { Read } from '../../durable-objects/user-sync/read.ts'
import type { Env } from '../env.ts'
import { userSyncOf } from './user-sync.ts'

export type News =
  /** Something to tell, or why there is nothing to be had. */
  | { readonly kind: 'read'; readonly read: Read | Failure }
  /** Time is over and nothing happened. */
  | { readonly kind: 'idle'; readonly idle: Idle }
  /** To be asked for again: it did not fit, or (`lost`) the object lost its sockets, as when new code is deployed. */
  | { readonly kind: 'again'; readonly idle: Idle; readonly lost: boolean }

/** Reads the user's stream and waits `timeout` ms for news, if the request may wait. */
export async function waitForNews(env: Env, userId: UserId, request: WaitRequest, timeout: number): Promise<News> {
  const response = await userSyncOf(env, userId).fetch(waitUrl(request), { headers: { Upgrade: 'websocket' } })
  const socket = response.webSocket
  if (!socket) return { kind: 'read', read: await response.json() }
  const idle: Idle = JSON.parse(response.headers.get(idleHeader) ?? '')
  const frame = await firstFrame(socket, timeout)
  if (frame === nothing) return { kind: 'idle', idle }
  if (frame === undefined || frame === tooLarge) return { kind: 'again', idle, lost: frame === undefined }
  return { kind: 'read', read: JSON.parse(frame) }
}

/** The first frame: `nothing` when there was none in time, undefined when the socket broke. */
export async function firstFrame(socket: WebSocket, timeout: number): Promise<string | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const frame = await new Promise<string | undefined>((resolve) => {
    socket.addEventListener('message', ({ data }) => resolve(typeof data === 'string' ? data : undefined))
    socket.addEventListener('close', () => resolve(undefined))
    socket.addEventListener('error', () => resolve(undefined))
    timer = setTimeout(() => resolve(nothing), timeout)
    socket.accept()
  })
  clearTimeout(timer)
  try {
    socket.close(1000)
  } catch {
    // Closed already.
  }
  return frame
}
