/**
 * One-time keys: of this server's users from their objects, of others from their servers.
 *
 * Spec: client-server-api/#post_matrixclientv3keysclaim, server-server-api/#post_matrixfederationv1userkeysclaim.
 */
import { serverNameOf } from '#protocol/identifiers/user-id.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'

import { limiter } from '../../durable-objects/shared/limit.ts'
import type { ClaimedDevices, GivenKeys } from '../../durable-objects/user-sync/one-time-keys.ts'
import { deviceIdsOf } from '../accounts/device-keys.ts'
import type { Env } from '../env.ts'
import { settingsOf } from '../settings.ts'
import { userSyncOf } from '../sync/user-sync.ts'
import { askServers } from './ask-servers.ts'
import type { WantedKeys } from './key-requests.ts'

/** Users' objects that are asked at once. */
const atOnce = 20

/** Keys by user, device and `algorithm:key_id`. */
export type ClaimedKeys = Record<string, Record<string, JsonObject>>

/** Claims keys of users of this server. Others must not be asked for here: see CVE-2023-43796. */
export async function claimLocal(env: Env, wanted: WantedKeys): Promise<ClaimedKeys> {
  // Names that nobody has must not make objects.
  const devices = await deviceIdsOf(env, [...wanted.keys()])
  const limited = limiter(atOnce)
  const claimed: ClaimedKeys = {}
  const claims = [...wanted].map(([userId, asked]) =>
    limited(async () => {
      const known = devices.get(userId)
      const existing = Object.entries(asked).filter(([deviceId]) => known?.has(deviceId))
      if (existing.length === 0) return
      const given: GivenKeys = await userSyncOf(env, userId).claimKeys(Object.fromEntries(existing))
      if (Object.keys(given).length > 0) claimed[userId] = given
    }),
  )
  await Promise.all(claims)
  return claimed
}

/** Claims keys of anybody, for a user of this server. */
export async function claimEverywhere(env: Env, wanted: WantedKeys, timeoutMs: number) {
  const { serverName } = settingsOf(env)
  const local = new Map([...wanted].filter(([userId]) => serverNameOf(userId) === serverName))
  const others = new Map([...wanted].filter(([userId]) => serverNameOf(userId) !== serverName))
  const claimed = await claimLocal(env, local)
  const failures = await askServers(env, others, {
    path: '/_matrix/federation/v1/user/keys/claim',
    body: (users) => ({
      one_time_keys: Object.fromEntries([...users].map(([userId, devices]) => [userId, algorithmOf(devices)])),
    }),
    take: (users, answer) => {
      const all = own(answer, 'one_time_keys')
      for (const [userId, devices] of users) {
        const given = isObject(all) ? own(all, userId) : undefined
        if (isObject(given)) Object.assign(claimed, { [userId]: ofDevices(given, devices) })
      }
    },
    timeoutMs,
  })
  return { one_time_keys: claimed, failures }
}

function algorithmOf(devices: ClaimedDevices): JsonObject {
  return Object.fromEntries(
    Object.entries(devices).flatMap(([deviceId, algorithms]) => {
      const [algorithm] = Object.keys(algorithms)
      return algorithm === undefined ? [] : [[deviceId, algorithm]]
    }),
  )
}

/** Keys of the devices that were asked for, of the algorithm that was asked for. */
function ofDevices(given: JsonObject, devices: ClaimedDevices): Record<string, JsonObject> {
  const taken: Record<string, JsonObject> = {}
  for (const [deviceId, algorithms] of Object.entries(devices)) {
    const keys = own(given, deviceId)
    if (!isObject(keys)) continue
    const wanted = Object.entries(keys).filter(([name]) => Object.hasOwn(algorithms, name.split(':')[0] ?? ''))
    if (wanted.length > 0) taken[deviceId] = Object.fromEntries(wanted)
  }
  return taken
}
