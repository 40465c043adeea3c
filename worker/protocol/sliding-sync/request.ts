/**
 * What a client asks for over one connection of sliding sync, brought into one form.
 *
 * Spec: MSC4186. Nothing is remembered of former requests: each says all that the client wants.
 */
import type { ProfileFields } from '../sync/profile-fields.ts'
import type { DeviceKeys } from '../sync/wait-request.ts'
import type { RoomConfig } from './room-config.ts'

export interface ListFilters {
  readonly is_dm?: boolean | undefined
  readonly spaces?: readonly string[] | undefined
  readonly is_encrypted?: boolean | undefined
  readonly is_invite?: boolean | undefined
  /** null stands for a room without type. */
  readonly room_types?: readonly (string | null)[] | undefined
  readonly not_room_types?: readonly (string | null)[] | undefined
  readonly room_name_like?: string | undefined
  readonly tags?: readonly string[] | undefined
  readonly not_tags?: readonly string[] | undefined
}

export interface ListRequest {
  /** Inclusive on both sides. */
  readonly ranges: readonly (readonly [first: number, last: number])[]
  readonly filters: ListFilters
  readonly config: RoomConfig
}

/** For which of the rooms an extension is wanted. */
export interface ExtensionScope {
  readonly lists: readonly string[]
  readonly rooms: readonly string[]
}

/** An extension is absent when it is not wanted. */
export interface Extensions {
  readonly toDevice?: { readonly limit: number } | undefined
  readonly e2ee?: true | undefined
  readonly accountData?: ExtensionScope | undefined
  readonly receipts?: ExtensionScope | undefined
  readonly typing?: ExtensionScope | undefined
  /** MSC4308. */
  readonly threads?: { readonly limit: number } | undefined
  /** MSC4262. */
  readonly profiles?: (ExtensionScope & { readonly fields: ProfileFields }) | undefined
  /** MSC4480: sticky events. */
  readonly sticky?: { readonly limit: number } | undefined
}

/** All but the position and what changes with every request: kept while the client waits. */
export interface SlidingParams {
  readonly lists: Readonly<Record<string, ListRequest>>
  readonly subscriptions: Readonly<Record<string, RoomConfig>>
  readonly extensions: Extensions
}

/** One request as the Worker hands it to the user's object. */
export interface SlidingRequest {
  readonly deviceId: string
  readonly connId: string
  readonly pos?: string | undefined
  /** `since` of the to-device extension. */
  readonly toDeviceSince?: string | undefined
  /** `since` of the extension for sticky events. */
  readonly stickySince?: string | undefined
  /** JSON of `SlidingParams`; absent where that is too large for a URL and the object was given it before. */
  readonly params?: string | undefined
}

/** Whether a room is in the scope of an extension: `lists` are those in whose ranges it is. */
export function inScope(
  scope: ExtensionScope | undefined,
  roomId: string,
  { lists, isSubscribed }: { readonly lists: readonly string[]; readonly isSubscribed: boolean },
): boolean {
  if (!scope) return false
  if (lists.length > 0 && scope.lists.includes('*')) return true
  if (lists.some((name) => scope.lists.includes(name))) return true
  // "*" stands for all subscriptions; a room may be named whether it is subscribed to or in a list.
  return scope.rooms.includes(roomId) || (isSubscribed && scope.rooms.includes('*'))
}

/** What to answer if nothing happens: the client keeps its position. */
export interface SlidingIdle {
  readonly pos: string
  readonly counts: Readonly<Record<string, number>>
  readonly extensions: Extensions
  readonly toDeviceNext: string
  readonly keys: DeviceKeys
}

/** Header of the 101 response: JSON of `SlidingIdle`. */
export const slidingIdleHeader = 'x-sliding-idle'

const base = 'https://user/sliding?'

/** How a Worker asks a user's object: as for `/sync` (sync/wait-request.ts), with the same frames. */
export function slidingUrl(request: SlidingRequest & { readonly wait: boolean }): string {
  return base + encodeURIComponent(JSON.stringify(request))
}

/** Undefined for a request of another kind. */
export function parseSlidingUrl(url: string): (SlidingRequest & { readonly wait: boolean }) | undefined {
  return url.startsWith(base) ? JSON.parse(decodeURIComponent(url.slice(base.length))) : undefined
}
