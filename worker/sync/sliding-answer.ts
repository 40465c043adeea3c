/** The answer of sliding sync. Spec: MSC4186 "Response". */
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import type { SlidingIdle } from '#protocol/sliding-sync/request.ts'
import type { DeviceKeys } from '#protocol/sync/wait-request.ts'

import type { DeviceLists } from '../../durable-objects/user-sync/device-lists.ts'
import type { SlidingRead } from '../../durable-objects/user-sync/sliding/sliding-read.ts'
import type { SettingVariables } from '../setting-variables.ts'
import { accountDataEvents } from './build-answer.ts'
import type { GatheredSliding } from './gather-sliding.ts'
import type { GatheredSticky } from './gather-sticky.ts'
import { threadSubscriptionsJson } from './thread-subscriptions-json.ts'

/** The answer to a poll in which nothing happened: the client keeps its position. */
export function idleAnswer({ pos, counts, extensions, toDeviceNext, keys }: SlidingIdle) {
  const lists = Object.entries(counts).map(([name, count]) => [name, { count, ops: [] }])
  return {
    pos,
    ...(lists.length > 0 ? { lists: Object.fromEntries(lists) } : {}),
    rooms: {},
    extensions: {
      ...(extensions.toDevice ? { to_device: { next_batch: toDeviceNext, events: [] } } : {}),
      ...(extensions.e2ee ? { e2ee: keysJson(keys) } : {}),
      ...(extensions.accountData ? { account_data: {} } : {}),
      ...(extensions.receipts ? { receipts: { rooms: {} } } : {}),
      ...(extensions.typing ? { typing: { rooms: {} } } : {}),
    },
  }
}

function keysJson({ oneTimeKeyCounts, unusedFallbackKeyTypes }: DeviceKeys) {
  return {
    device_one_time_keys_count: { signed_curve25519: 0, ...oneTimeKeyCounts },
    device_unused_fallback_key_types: unusedFallbackKeyTypes,
  }
}

/** What other people have to do with it. */
export interface Told {
  readonly deviceLists: DeviceLists
  /** By user. */
  readonly profiles: JsonObject
}

/** Who asks, and whose server. */
interface Asker {
  readonly env: SettingVariables
  readonly userId: UserId
}

/** An answer with what was gathered; `pos` as the commit gave it. */
export function slidingAnswer(
  { env, userId }: Asker,
  read: SlidingRead,
  gathered: GatheredSliding,
  told: Told,
  pos: string,
) {
  const lists = Object.entries(read.lists).map(([name, list]) => [name, listJson(list)])
  return {
    pos,
    ...(lists.length > 0 ? { lists: Object.fromEntries(lists) } : {}),
    rooms: gathered.rooms,
    extensions: extensionsJson({ env, userId }, read, gathered, told),
  }
}

function listJson({ count, windows }: SlidingRead['lists'][string]) {
  return { count, ops: windows.map(({ range, roomIds }) => ({ op: 'SYNC', range, room_ids: roomIds })) }
}

function extensionsJson(asker: Asker, read: SlidingRead, gathered: GatheredSliding, { deviceLists, profiles }: Told) {
  const { extensions, toDevice, keys, isInitial } = read
  return {
    ...(extensions.toDevice ? { to_device: { next_batch: toDevice.nextBatch, events: toDevice.events } } : {}),
    ...(extensions.e2ee ? { e2ee: { ...keysJson(keys), ...(isInitial ? {} : { device_lists: deviceLists }) } } : {}),
    ...(extensions.accountData ? { account_data: accountDataJson(asker, read) } : {}),
    ...(extensions.receipts ? { receipts: { rooms: gathered.receipts } } : {}),
    ...(extensions.typing ? { typing: { rooms: gathered.typing } } : {}),
    ...(gathered.sticky ? { 'org.matrix.msc4354.sticky_events': stickyJson(gathered.sticky) } : {}),
    ...(read.threads.changes.length > 0
      ? { 'io.element.msc4308.thread_subscriptions': threadsJson(read.threads) }
      : {}),
    ...(Object.keys(profiles).length > 0 ? { 'org.matrix.msc4262.profiles': { users: profiles } } : {}),
  }
}

function stickyJson({ rooms, nextBatch }: GatheredSticky): JsonObject {
  return { next_batch: nextBatch, rooms: Object.fromEntries([...rooms].map(([id, events]) => [id, { events }])) }
}

function threadsJson({ changes, end }: SlidingRead['threads']): JsonObject {
  return { ...threadSubscriptionsJson(changes), ...(end === null ? {} : { prev_batch: end }) }
}

function accountDataJson({ env, userId }: Asker, { accountData, roomAccountData, isInitial }: SlidingRead): JsonObject {
  const events = accountDataEvents(env, userId, accountData, isInitial)
  return {
    ...(events.length > 0 ? { global: events.map((event) => ({ ...event })) } : {}),
    ...(roomAccountData.length > 0
      ? {
          rooms: Object.fromEntries(
            roomAccountData.map((room) => [room.roomId, room.events.map((event) => ({ ...event }))]),
          ),
        }
      : {}),
  }
}

/** Whether an answer has anything to say beside what stands in every answer. */
export function saysSomething(read: SlidingRead, gathered: GatheredSliding, told: Told): boolean {
  const { changed, left } = told.deviceLists
  const { rooms, receipts, typing, sticky } = gathered
  return (
    read.isInitial ||
    (sticky?.rooms.size ?? 0) > 0 ||
    read.accountData.length + read.roomAccountData.length + read.toDevice.events.length > 0 ||
    changed.length + left.length > 0 ||
    read.threads.changes.length > 0 ||
    [rooms, receipts, typing, told.profiles].some((part) => Object.keys(part).length > 0)
  )
}
