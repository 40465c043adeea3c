/**
 * Whose devices have which keys: of this server's users from D1, of others from their servers.
 *
 * Spec: client-server-api/#post_matrixclientv3keysquery, server-server-api/#end-to-end-encryption.
 */
import { crossSigningPublicKey } from '#protocol/device-keys/cross-signing-keys.ts'
import { serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'

import { keysOf, signaturesBy, withSignatures } from '../accounts/device-keys.ts'
import { rememberedKeys, rememberKeys } from '../accounts/remote-keys.ts'
import type { Env } from '../env.ts'
import { settingsOf } from '../settings.ts'
import { askServers } from './ask-servers.ts'
import type { WantedDevices } from './key-requests.ts'

export interface QueriedKeys {
  readonly device_keys: Record<string, Record<string, JsonObject>>
  readonly master_keys: Record<string, JsonObject>
  readonly self_signing_keys: Record<string, JsonObject>
}

export interface OwnQueriedKeys extends QueriedKeys {
  readonly user_signing_keys: Record<string, JsonObject>
}

/** Keys of users of this server, as `reader` (undefined: another server) may see them. */
export async function queryLocal(env: Env, wanted: WantedDevices, reader: UserId | undefined): Promise<OwnQueriedKeys> {
  const found = await keysOf(env, [...wanted.keys()], reader)
  const showsNames = reader !== undefined || settingsOf(env).tellsDeviceNames
  const answer: OwnQueriedKeys = { device_keys: {}, master_keys: {}, self_signing_keys: {}, user_signing_keys: {} }
  for (const [userId, deviceIds] of wanted) {
    const { devices, crossSigning } = found.get(userId) ?? { devices: [], crossSigning: {} }
    const chosen = devices.filter(({ deviceId }) => deviceIds.length === 0 || deviceIds.includes(deviceId))
    answer.device_keys[userId] = Object.fromEntries(
      chosen.flatMap((device) =>
        device.keys ? [[device.deviceId, shownKeys(device.keys, showsNames ? device.displayName : null)]] : [],
      ),
    )
    if (crossSigning.master) answer.master_keys[userId] = crossSigning.master
    if (crossSigning.self_signing) answer.self_signing_keys[userId] = crossSigning.self_signing
    if (crossSigning.user_signing) answer.user_signing_keys[userId] = crossSigning.user_signing
  }
  return answer
}

function shownKeys(keys: JsonObject, displayName: string | null): JsonObject {
  return { ...keys, unsigned: displayName === null ? {} : { device_display_name: displayName } }
}

/** Keys of anybody, for a user of this server. */
export async function queryEverywhere(
  env: Env,
  reader: UserId,
  wanted: WantedDevices,
  timeoutMs: number,
  later: Later = noLater,
) {
  const { serverName } = settingsOf(env)
  const local = new Map([...wanted].filter(([userId]) => serverNameOf(userId) === serverName))
  const others = new Map([...wanted].filter(([userId]) => serverNameOf(userId) !== serverName))
  const answer = await queryLocal(env, local, reader)
  const told = new Map<UserId, JsonObject>()
  const askedAt = Date.now()
  const failures = await askServers(env, others, {
    path: '/_matrix/federation/v1/user/keys/query',
    body: (users) => ({ device_keys: Object.fromEntries(users) }),
    take: (users, remote) => {
      takeAnswer(answer, users, remote)
      // What was told of all of a user's devices can stand in when their server cannot be asked.
      for (const [userId, deviceIds] of users) if (deviceIds.length === 0) told.set(userId, toldOf(answer, userId))
    },
    timeoutMs,
  })
  if (told.size > 0) later(rememberKeys(env, told, askedAt))
  await recall(env, answer, others, failures)
  await addOwnSignatures(env, reader, [...others.keys()], answer.master_keys)
  return { ...answer, failures }
}

/** Whom of other servers' users the reader has verified stands here alone. */
async function addOwnSignatures(
  env: Env,
  reader: UserId,
  users: readonly UserId[],
  masterKeys: Record<string, JsonObject>,
): Promise<void> {
  const answered = users.filter((userId) => masterKeys[userId] !== undefined)
  if (answered.length === 0) return
  for (const [userId, signatures] of await signaturesBy(env, reader, answered)) {
    const key = masterKeys[userId]
    const name = key && crossSigningPublicKey(key)?.name
    const onThisKey = signatures.filter(({ targetKey }) => targetKey === name)
    if (key) masterKeys[userId] = withSignatures(key, onThisKey)
  }
}

/** Runs work behind the answer. */
type Later = (work: Promise<unknown>) => void
const noLater: Later = (work) => void work.catch((error: unknown) => console.error('keys not remembered', error))

function toldOf({ device_keys, master_keys, self_signing_keys }: QueriedKeys, userId: UserId): JsonObject {
  const of = (keys: Readonly<Record<string, JsonObject>>) => (keys[userId] ? { [userId]: keys[userId] } : {})
  return { device_keys: of(device_keys), master_keys: of(master_keys), self_signing_keys: of(self_signing_keys) }
}

/** For users whose servers failed: what they told last, unless it is known to be old. A server of which that answers everything has not failed. */
async function recall(
  env: Env,
  answer: QueriedKeys,
  others: WantedDevices,
  failures: Record<string, JsonObject>,
): Promise<void> {
  const asked = [...others].filter(([userId]) => failures[serverNameOf(userId)] !== undefined)
  const known = await rememberedKeys(
    env,
    asked.map(([userId]) => userId),
  )
  const unknown = new Set<string>()
  for (const [userId, deviceIds] of asked) {
    const keys = known.get(userId)
    if (keys) takeAnswer(answer, new Map([[userId, deviceIds]]), keys)
    else unknown.add(serverNameOf(userId))
  }
  for (const server of Object.keys(failures)) if (!unknown.has(server)) delete failures[server]
}

/** A server speaks for the users it was asked about, and its keys for whom they name. */
function takeAnswer(answer: QueriedKeys, users: WantedDevices, remote: JsonObject): void {
  const of = (field: string, userId: UserId): JsonObject | undefined => {
    const all = own(remote, field)
    const value = isObject(all) ? own(all, userId) : undefined
    return isObject(value) ? value : undefined
  }
  for (const [userId, deviceIds] of users) {
    const devices = Object.entries(of('device_keys', userId) ?? {}).flatMap(([deviceId, keys]) => {
      const isWanted = deviceIds.length === 0 || deviceIds.includes(deviceId)
      if (!isWanted || !isObject(keys)) return []
      return own(keys, 'user_id') === userId && own(keys, 'device_id') === deviceId ? [[deviceId, keys] as const] : []
    })
    answer.device_keys[userId] = Object.fromEntries(devices)
    for (const field of ['master_keys', 'self_signing_keys'] as const) {
      const key = of(field, userId)
      if (key && own(key, 'user_id') === userId) answer[field][userId] = key
    }
  }
}
