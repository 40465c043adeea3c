/**
 * The one request of a user's object that is not RPC, because it may become a WebSocket: its URL, and the header of the
 * answer to a client that waits.
 */
import type { Device } from './devices.ts'
import type { ReadRequest } from './read.ts'

export interface WaitRequest extends ReadRequest {
  /** Answer with a WebSocket if there is no news. */
  readonly wait: boolean
}

/** What to answer if nothing happens. */
export interface Idle {
  readonly nextBatch: string
  readonly device: Device
}

/** Header of the 101 response: JSON of `Idle`. */
export const idleHeader = 'x-idle'

export function waitUrl(request: WaitRequest): string {
  const url = new URL('https://user/wait')
  url.searchParams.set('device', request.deviceId)
  if (request.since !== undefined) url.searchParams.set('since', request.since)
  if (request.filterId !== undefined) url.searchParams.set('filter', request.filterId)
  if (request.fullState) url.searchParams.set('full_state', '')
  if (request.includeLeave) url.searchParams.set('include_leave', '')
  if (request.wait) url.searchParams.set('wait', '')
  return url.href
}

export function parseWaitUrl(text: string): WaitRequest {
  const { searchParams } = new URL(text)
  return {
    deviceId: searchParams.get('device') ?? '',
    since: searchParams.get('since') ?? undefined,
    filterId: searchParams.get('filter') ?? undefined,
    fullState: searchParams.has('full_state'),
    includeLeave: searchParams.has('include_leave'),
    wait: searchParams.has('wait'),
  }
}
