/**
 * The parts of a `/sync` answer.
 *
 * Spec: client-server-api/#get_matrixclientv3sync, #extensions-to-sync, #e2e-extensions-to-sync. Sections with nothing in
 * them are left out, as is a room about which there is nothing to say.
 */
import { parsePropertyPath, pickFields } from '#protocol/filters/event-fields.ts'
import { passesFilter, type SyncFilter, wantsRoom } from '#protocol/filters/filter.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, type JsonObject, type JsonValue, own } from '#protocol/json/json.ts'
import { pushRulesOf, type StoredPushRules } from '#protocol/push-rules/stored-rules.ts'
import type { DeviceKeys } from '#protocol/sync/wait-request.ts'

import type { AccountDataEvent } from '../../durable-objects/user-sync/account-data.ts'
import type { DeviceLists } from '../../durable-objects/user-sync/device-lists.ts'
import type { Read } from '../../durable-objects/user-sync/read.ts'
import { settingsOf } from '../settings.ts'
import type { SettingVariables } from '../setting-variables.ts'
import type { GatheredRoom } from './gather-rooms.ts'

/** What every answer has. */
export interface EmptyAnswer {
  readonly next_batch: string
  /** Always present: clients take an absent count for "unchanged" as well as for "none". */
  readonly device_one_time_keys_count: Readonly<Record<string, number>>
  readonly device_unused_fallback_key_types: readonly string[]
}

/** The answer to a poll in which nothing happened. */
export function emptyAnswer(nextBatch: string, { oneTimeKeyCounts, unusedFallbackKeyTypes }: DeviceKeys): EmptyAnswer {
  return {
    next_batch: nextBatch,
    device_one_time_keys_count: { signed_curve25519: 0, ...oneTimeKeyCounts },
    device_unused_fallback_key_types: unusedFallbackKeyTypes,
  }
}

/** What an answer has beside rooms. */
export function otherParts(
  env: SettingVariables,
  userId: UserId,
  read: Read,
  filter: SyncFilter,
  { changed, left }: DeviceLists,
) {
  const accountData = accountDataOf(env, userId, read).filter((event) => passesFilter(filter.account_data, event))
  const presence = read.presence.filter((event) => passesFilter(filter.presence, event))
  return {
    ...(presence.length > 0 ? { presence: { events: presence } } : {}),
    ...(accountData.length > 0 ? { account_data: { events: accountData } } : {}),
    ...(read.toDevice.length > 0 ? { to_device: { events: read.toDevice } } : {}),
    ...(changed.length + left.length > 0 ? { device_lists: { changed, left } } : {}),
  }
}

/** Global account data as clients see it: push rules whole, for everybody. Spec: client-server-api/#push-rules-events. */
function accountDataOf(
  env: SettingVariables,
  userId: UserId,
  { accountData, everything }: Read,
): readonly AccountDataEvent[] {
  return accountDataEvents(env, userId, accountData, everything)
}

/** The same for what was read elsewhere; with `everything` the push rules come though they were never changed. */
export function accountDataEvents(
  env: SettingVariables,
  userId: UserId,
  accountData: readonly AccountDataEvent[],
  everything: boolean,
): readonly AccountDataEvent[] {
  const stored = accountData.find(({ type }) => type === pushRulesType)
  if (!stored && !everything) return accountData
  const content = pushRulesContent(userId, stored?.content ?? {}, env)
  return [...accountData.filter((event) => event !== stored), { type: pushRulesType, content }]
}

const pushRulesType = 'm.push_rules'

/** Content of `m.push_rules`. */
export function pushRulesContent(userId: UserId, stored: StoredPushRules, env: SettingVariables): JsonObject {
  return { global: { ...pushRulesOf(userId, stored, settingsOf(env).pushesEncrypted) } }
}

/** A room as the answer shows it; undefined if there is nothing to say. `isWhole`: with its account data, even if there are none. */
export function roomJson({ roomId, section, room, accountData }: GatheredRoom, filter: SyncFilter, isWhole = false) {
  if (section === 'invite' || section === 'knock') return room
  const wanted = wantsRoom(filter.room?.account_data, roomId)
  const events = wanted ? accountData.filter((event) => passesFilter(filter.room?.account_data, event)) : []
  if (events.length === 0 && saysNothing(room)) return undefined
  const fields = filter.event_fields?.map(parsePropertyPath)
  const shown = fields ? pickEventFields(room, fields) : room
  return events.length > 0 || isWhole ? { ...shown, account_data: { events } } : shown
}

/** True for a slice in which nothing happened that passed the filter. Counts alone are no news: they follow events. */
function saysNothing(room: JsonObject): boolean {
  const timeline = own(room, 'timeline')
  if (isObject(timeline) && own(timeline, 'limited') === true) return false
  return own(room, 'summary') === undefined && eventLists.every((name) => eventsOf(room, name).length === 0)
}

const eventLists = ['timeline', 'state', 'state_after', 'msc4354_sticky', 'ephemeral'] as const

function eventsOf(room: JsonObject, name: string): readonly JsonValue[] {
  const list = own(room, name)
  const events = isObject(list) ? own(list, 'events') : undefined
  return Array.isArray(events) ? events : []
}

function pickEventFields(room: JsonObject, fields: readonly (readonly string[])[]): JsonObject {
  const picked: Record<string, JsonValue | undefined> = { ...room }
  for (const name of ['timeline', 'state', 'state_after', 'msc4354_sticky']) {
    const list = own(room, name)
    if (!isObject(list)) continue
    picked[name] = {
      ...list,
      events: eventsOf(room, name).map((event) => (isObject(event) ? pickFields(event, fields) : event)),
    }
  }
  return picked
}
