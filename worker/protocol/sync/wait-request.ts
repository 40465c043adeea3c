/**
 * How a Worker asks a user's object for news: the one request between them that is not RPC, since it may become a
 * WebSocket. Both sides write and read it with these functions.
 */
import type { PresenceState } from '#protocol/presence/presence.ts'

export interface ReadRequest {
  readonly deviceId: string
  /** The client's `since`; absent for an initial sync. */
  readonly since?: string | undefined
  readonly fullState: boolean
  /** ID of a stored filter. */
  readonly filterId?: string | undefined
  /** `include_leave` of an inline filter. */
  readonly includeLeave: boolean
  /** Fields of profiles that an inline filter asks for. */
  readonly profileFields?: readonly string[] | undefined
  /** What the device says of its user; absent where presence is off. */
  readonly presence?: PresenceState | undefined
}

export interface WaitRequest extends ReadRequest {
  /** Answer with a WebSocket if there is no news. It carries one frame. */
  readonly wait: boolean
}

/** The keys a device has left. Spec: client-server-api/#e2e-extensions-to-sync. */
export interface DeviceKeys {
  /** Unclaimed one-time keys by algorithm. */
  readonly oneTimeKeyCounts: Readonly<Record<string, number>>
  /** Algorithms whose fallback key has not been given out. */
  readonly unusedFallbackKeyTypes: readonly string[]
}

/** What to answer if nothing happens. */
export interface Idle {
  readonly nextBatch: string
  readonly keys: DeviceKeys
}

/** Header of the 101 response: JSON of `Idle`. */
export const idleHeader = 'x-idle'

/** Frame: there is nothing, and no more waiting here. Any other frame but `tooLarge` is the answer as JSON. */
export const nothing = ''
/** Frame: there is news, too large for a frame. Ask for it without waiting. */
export const tooLarge = 'too large'

const base = 'https://user/wait?'

export function waitUrl(request: WaitRequest): string {
  return base + encodeURIComponent(JSON.stringify(request))
}

export function parseWaitUrl(url: string): WaitRequest {
  return JSON.parse(decodeURIComponent(url.slice(base.length)))
}
