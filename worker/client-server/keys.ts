/**
 * Keys of devices: upload, query, claim, and who changed theirs. Spec: client-server-api/#key-management-api, keys.yaml.
 */
import { parseDeviceKeys } from '#protocol/device-keys/device-keys.ts'
import { parseFallbackKeys, parseOneTimeKeys } from '#protocol/device-keys/one-time-keys.ts'
import { canonicalJsonLoose } from '#protocol/json/canonical-json.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'
import { waitUrl } from '#protocol/sync/wait-request.ts'

import { limiter } from '../../durable-objects/shared/limit.ts'
import type { Read } from '../../durable-objects/user-sync/read.ts'
import { findDeviceKeys } from '../accounts/device-keys.ts'
import { claimEverywhere } from '../e2ee/claim-keys.ts'
import { queryEverywhere } from '../e2ee/query-keys.ts'
import { parseClaim, parseQuery, timeoutOf } from '../e2ee/key-requests.ts'
import { nodeCrypto } from '../node-crypto.ts'
import { operation } from '../operation.ts'
import { refuse, unwrap } from '../refusal.ts'
import { roomOf } from '../rooms.ts'
import { companyOf, deviceLists } from '../sync/device-lists.ts'
import { userSyncOf } from '../sync/user-sync.ts'
import { jsonObject } from './parameters.ts'

/** Spec: client-server-api/#post_matrixclientv3keysupload */
export const uploadKeys = operation(
  'POST /_matrix/client/v3/keys/upload',
  { id: 'uploadKeys', auth: 'accessToken', body: jsonObject, r0: true, guests: true },
  async ({ env, requester, body }) => {
    const { userId, deviceId } = requester
    const uploaded = own(body, 'device_keys')
    // Some clients send null, or an empty object, for "no new keys".
    const isGiven = uploaded !== undefined && uploaded !== null && !(isObject(uploaded) && isEmpty(uploaded))
    const keys = isGiven ? unwrap(parseDeviceKeys(uploaded, requester, nodeCrypto)).keys : undefined
    const { keys: oneTimeKeys } = unwrap(parseOneTimeKeys('one_time_keys', own(body, 'one_time_keys')))
    const { keys: fallbackKeys } = unwrap(parseFallbackKeys('fallback_keys', own(body, 'fallback_keys')))
    const known = keys && (await findDeviceKeys(env, userId, deviceId))
    const isNews = keys !== undefined && (!known || canonicalJsonLoose(known) !== canonicalJsonLoose(keys))
    const upload = { userId, deviceId, oneTimeKeys, fallbackKeys, ...(isNews ? { deviceKeys: keys } : {}) }
    // One-time keys that the device signed with the key it had before are worth nothing.
    const isAnother = isNews && known !== undefined && !hasSameIdentity(known, keys)
    const { counts } = unwrap(await userSyncOf(env, userId).uploadKeys({ ...upload, isAnother }))
    return { one_time_key_counts: { signed_curve25519: 0, ...counts } }
  },
)

/** The identity keys of a device never change while it keeps its memory. */
function hasSameIdentity(one: JsonObject, other: JsonObject): boolean {
  const text = (keys: JsonObject) => canonicalJsonLoose(own(keys, 'keys') ?? null)
  return text(one) === text(other)
}

function isEmpty(object: object): boolean {
  return Object.keys(object).length === 0
}

/** Spec: client-server-api/#post_matrixclientv3keysquery */
export const queryKeys = operation(
  'POST /_matrix/client/v3/keys/query',
  { id: 'queryKeys', auth: 'accessToken', body: jsonObject, r0: true, guests: true },
  ({ env, requester, body, waitUntil }) =>
    queryEverywhere(env, requester.userId, unwrap(parseQuery(body)).wanted, timeoutOf(body), waitUntil),
)

/** Spec: client-server-api/#post_matrixclientv3keysclaim */
export const claimKeys = operation(
  'POST /_matrix/client/v3/keys/claim',
  { id: 'claimKeys', auth: 'accessToken', body: jsonObject, r0: true, guests: true },
  ({ env, body }) => claimEverywhere(env, unwrap(parseClaim(body)).wanted, timeoutOf(body)),
)

/** Rooms asked at once. */
const atOnce = 40

/**
 * What `/sync` would say since `from`. `to` is not looked at: that more users changed since is no harm, as the spec allows
 * any later state. Spec: client-server-api/#get_matrixclientv3keyschanges
 */
export const getKeysChanges = operation(
  'GET /_matrix/client/v3/keys/changes',
  { id: 'getKeysChanges', auth: 'accessToken', r0: true, guests: true },
  async ({ env, requester: { userId, deviceId }, query }) => {
    const since = query.get('from') || refuse('missing_param', 'from is missing')
    const asked = { deviceId, since, fullState: false, includeLeave: false, wait: false }
    const response = await userSyncOf(env, userId).fetch(waitUrl(asked))
    const read: Read = unwrap(await response.json())
    const limited = limiter(atOnce)
    const changes = read.rooms.flatMap(({ roomId, from, changed }) =>
      changed ? [limited(() => roomOf(env, roomId).memberChanges({ reader: userId, from }))] : [],
    )
    return deviceLists(read.deviceLists, await companyOf(env, userId, await Promise.all(changes)))
  },
)
