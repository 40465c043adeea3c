/**
 * The bodies of `/keys/query` and `/keys/claim`, which clients and other servers send alike.
 *
 * Spec: client-server-api/#post_matrixclientv3keysquery, server-server-api/#post_matrixfederationv1userkeysquery.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import { parseUserId, type UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'

import type { ClaimedDevices } from '../../durable-objects/user-sync/one-time-keys.ts'

/** Devices by user; none named means all. */
export type WantedDevices = ReadonlyMap<UserId, readonly string[]>
export type WantedKeys = ReadonlyMap<UserId, ClaimedDevices>

/** "10 seconds is the recommended default". */
const usualTimeout = 10_000
const longestTimeout = 30_000

/** How long to wait for other servers, in ms. */
export function timeoutOf(body: JsonObject): number {
  const timeout = own(body, 'timeout')
  return typeof timeout === 'number' ? Math.min(Math.max(timeout, 0), longestTimeout) : usualTimeout
}

/** `device_keys` of a query. Names that are no user IDs are nobody's, and left out. */
export function parseQuery(body: JsonObject): Outcome<{ wanted: WantedDevices }> {
  const users = own(body, 'device_keys')
  if (!isObject(users)) return fail('bad_json', 'device_keys: Expected an object')
  const wanted = new Map<UserId, readonly string[]>()
  for (const [name, devices] of Object.entries(users)) {
    const userId = parseUserId(name)
    if (!Array.isArray(devices) || !devices.every((device) => typeof device === 'string')) {
      return fail('bad_json', 'device_keys: Expected arrays of device IDs')
    }
    if (userId) wanted.set(userId, devices)
  }
  return { ok: true, wanted }
}

/** `one_time_keys` of a claim: one key for each device that is named. */
export function parseClaim(body: JsonObject): Outcome<{ wanted: WantedKeys }> {
  const users = own(body, 'one_time_keys')
  if (!isObject(users)) return fail('bad_json', 'one_time_keys: Expected an object')
  const wanted = new Map<UserId, ClaimedDevices>()
  for (const [name, devices] of Object.entries(users)) {
    const userId = parseUserId(name)
    if (!isObject(devices)) return fail('bad_json', 'one_time_keys: Expected objects of devices')
    const claimed: [string, Record<string, number>][] = []
    for (const [deviceId, algorithm] of Object.entries(devices)) {
      if (typeof algorithm !== 'string') return fail('bad_json', 'one_time_keys: Expected names of algorithms')
      claimed.push([deviceId, { [algorithm]: 1 }])
    }
    if (userId) wanted.set(userId, Object.fromEntries(claimed))
  }
  return { ok: true, wanted }
}
