/**
 * What the user's object reads for a connection of sliding sync, as the Worker gets it: not yet an answer, since the rooms
 * named here have to be asked.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { FollowedThreads, StoredPushRules } from '#protocol/push-rules/stored-rules.ts'
import type { Extensions, SlidingIdle } from '#protocol/sliding-sync/request.ts'
import type { RoomConfig } from '#protocol/sliding-sync/room-config.ts'
import type { ProfileNews } from '#protocol/sync/profile-fields.ts'
import type { DeviceKeys } from '#protocol/sync/wait-request.ts'

import type { AccountDataEvent } from '../account-data.ts'
import type { DeviceLists } from '../device-lists.ts'
import type { Membership, RoomVersion } from '../marks.ts'
import type { ToDeviceEvent } from '../to-device.ts'
import type { Given } from './connections.ts'
import type { SubscriptionsPage } from './list-subscriptions.ts'
import type { StickyRead } from './read-sticky.ts'

export interface SlidingRoom {
  readonly roomId: RoomId
  readonly membership: Membership
  readonly known: RoomVersion
  /** What the client has of the room; null for nothing. */
  readonly given: Given | null
  readonly config: RoomConfig
  /** Where the room was known to stand when the client last heard anything: what is newer is live. */
  readonly liveAfter: number | null
  readonly isDirect: boolean
  readonly receipts: boolean
  readonly typing: boolean
  /** The profiles of those in it are wanted. */
  readonly profiles: boolean
}

/** A room's account data, and up to which position they are. */
export interface RoomAccountData {
  readonly roomId: RoomId
  readonly events: readonly AccountDataEvent[]
  readonly upTo: number
  /** What the client has of the room, for it to be noted; null where the room comes with this answer. */
  readonly given: Given | null
}

export interface SlidingProfiles extends ProfileNews {
  /** Rooms whose members' profiles the client needs in the fields `whole`. */
  readonly rooms: readonly RoomId[]
}

export interface SlidingList {
  readonly count: number
  readonly windows: readonly { readonly range: readonly [number, number]; readonly roomIds: readonly RoomId[] }[]
}

export interface SlidingRead {
  readonly ok: true
  readonly isInitial: boolean
  readonly connection: number
  readonly turn: number
  /** The answer that the client has, where the stream was read for it, and where now. */
  readonly after: number
  readonly afterRead: number
  readonly read: number
  /** Its `pos`, for an answer without anything. */
  readonly pos: string
  readonly extensions: Extensions
  readonly lists: Readonly<Record<string, SlidingList>>
  readonly rooms: readonly SlidingRoom[]
  readonly accountData: readonly AccountDataEvent[]
  readonly roomAccountData: readonly RoomAccountData[]
  readonly toDevice: { readonly events: readonly ToDeviceEvent[]; readonly nextBatch: string }
  readonly deviceLists: DeviceLists
  /** Rooms whose members may be others than before: for `device_lists`. */
  readonly memberRooms: readonly { readonly roomId: RoomId; readonly from: RoomVersion | null }[]
  /** Changes of thread subscriptions, newest first. */
  readonly threads: SubscriptionsPage
  readonly profiles: SlidingProfiles
  /** Where to ask for sticky events; null where they are not wanted. */
  readonly sticky: StickyRead | null
  readonly keys: DeviceKeys
  readonly ignoredUsers: readonly string[]
  readonly pushRules: StoredPushRules
  readonly followed: FollowedThreads
}

/** Whether there is anything to tell. Changes of lists alone are not: they follow from rooms. */
export function hasSlidingNews(read: SlidingRead): boolean {
  return (
    read.isInitial ||
    read.rooms.length > 0 ||
    read.accountData.length > 0 ||
    read.roomAccountData.length > 0 ||
    read.toDevice.events.length > 0 ||
    read.memberRooms.length > 0 ||
    read.threads.changes.length > 0 ||
    read.profiles.changed.length > 0 ||
    read.profiles.rooms.length > 0 ||
    (read.sticky?.rooms.length ?? 0) > 0 ||
    read.deviceLists.changed.length > 0 ||
    read.deviceLists.left.length > 0
  )
}

/** What to answer if nothing happens. */
export function idleOf({ pos, lists, extensions, toDevice, keys }: SlidingRead): SlidingIdle {
  const counts = Object.fromEntries(Object.entries(lists).map(([name, { count }]) => [name, count]))
  return { pos, counts, extensions, toDeviceNext: toDevice.nextBatch, keys }
}
