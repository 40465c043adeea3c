/**
 * A user's dehydrated device: messages reach it while no client of theirs is signed in.
 *
 * MSC3814, as clients call it: `/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device`. It is not in the
 * specification yet.
 */
import { parseDeviceKeys } from '#protocol/device-keys/device-keys.ts'
import { parseFallbackKeys, parseOneTimeKeys } from '#protocol/device-keys/one-time-keys.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { own } from '#protocol/json/json.ts'
import * as v from 'valibot'

import { addDevice, findDevice, maxDeviceName, removeDevices } from '../accounts/devices.ts'
import type { Env } from '../env.ts'
import { nodeCrypto } from '../node-crypto.ts'
import { operation } from '../operation.ts'
import { refuse, unwrap } from '../refusal.ts'
import { userSyncOf } from '../sync/user-sync.ts'
import { jsonObject } from './parameters.ts'

const path = '/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device'

/** Characters of `device_data` as JSON: a pickled Olm account with a hundred one-time keys has some 20,000. */
const maxDeviceData = 256 * 1024

const upload = v.intersect([
  jsonObject,
  v.looseObject({
    device_id: v.pipe(v.string(), v.minLength(1), v.maxLength(255)),
    device_data: v.intersect([jsonObject, v.looseObject({ algorithm: v.string() })]),
    initial_device_display_name: v.nullish(v.pipe(v.string(), v.maxLength(maxDeviceName))),
    device_keys: jsonObject,
  }),
])

/** Makes the dehydrated device, in place of the one before. The ID of a device with a client of its own is refused. */
export const putDehydratedDevice = operation(
  `PUT ${path}`,
  { id: 'putDehydratedDevice', auth: 'accessToken', body: upload },
  async ({ env, requester: { userId }, body }) => {
    const { device_id: deviceId, device_data: deviceData, initial_device_display_name: displayName } = body
    if (JSON.stringify(deviceData).length > maxDeviceData) refuse('too_large', 'device_data is too large')
    const { keys: deviceKeys } = unwrap(parseDeviceKeys(body.device_keys, { userId, deviceId }, nodeCrypto))
    const { keys: oneTimeKeys } = unwrap(parseOneTimeKeys('one_time_keys', own(body, 'one_time_keys')))
    const { keys: fallbackKeys } = unwrap(parseFallbackKeys('fallback_keys', own(body, 'fallback_keys')))
    const object = userSyncOf(env, userId)
    const before = await object.dehydratedDevice()
    const isItself = before.ok && before.deviceId === deviceId
    if (!isItself && (await findDevice(env, { userId, deviceId }))) {
      refuse('invalid_param', 'device_id is that of another device')
    }
    // The same ID again is another device: nothing of the former one may be left.
    if (isItself) await removeDevices(env, userId, [deviceId])
    await addDevice(env, { userId, deviceId }, displayName ?? null)
    unwrap(await object.uploadKeys({ userId, deviceId, oneTimeKeys, fallbackKeys, deviceKeys }))
    const replaced = await object.setDehydratedDevice({ deviceId, deviceData })
    if (replaced !== null) await removeDevices(env, userId, [replaced])
    return { device_id: deviceId }
  },
)

/** The dehydrated device; `M_NOT_FOUND` where there is none, by which clients know that there could be. */
export const getDehydratedDevice = operation(
  `GET ${path}`,
  { id: 'getDehydratedDevice', auth: 'accessToken' },
  async ({ env, requester: { userId } }) => {
    const { deviceId, deviceData } = unwrap(await userSyncOf(env, userId).dehydratedDevice())
    return { device_id: deviceId, device_data: deviceData }
  },
)

export const deleteDehydratedDevice = operation(
  `DELETE ${path}`,
  { id: 'deleteDehydratedDevice', auth: 'accessToken' },
  async ({ env, requester: { userId } }) => {
    const { deviceId } = unwrap(await userSyncOf(env, userId).dehydratedDevice())
    await removeDevices(env, userId, [deviceId])
    return { device_id: deviceId }
  },
)

const asked = v.intersect([jsonObject, v.looseObject({ next_batch: v.nullish(v.string()) })])

/** Messages for the dehydrated device, a page at a time; `next_batch` where there are more. */
export const getDehydratedDeviceEvents = operation(
  `GET ${path}/:deviceId/events`,
  { id: 'getDehydratedDeviceEvents', auth: 'accessToken' },
  async ({ env, requester: { userId }, path: { deviceId }, query }) => {
    const page = await events(env, userId, deviceId, query.get('next_batch') ?? '')
    return page.limited ? { events: page.events, next_batch: page.nextBatch } : { events: page.events }
  },
)

/** The same in an earlier draft: `next_batch` is always there, and the client goes on until a page is empty. */
export const getDehydratedDeviceEventsByPost = operation(
  `POST ${path}/:deviceId/events`,
  { id: 'getDehydratedDeviceEventsByPost', auth: 'accessToken', body: asked, bodyOptional: true },
  async ({ env, requester: { userId }, path: { deviceId }, body }) => {
    const page = await events(env, userId, deviceId, body.next_batch ?? '')
    return { events: page.events, next_batch: page.nextBatch }
  },
)

async function events(env: Env, userId: UserId, deviceId: string, token: string) {
  if (!/^(?:d(?:0|[1-9][0-9]{0,14}))?$/.test(token)) refuse('invalid_param', 'next_batch is not a token of this server')
  const after = token === '' ? 0 : Number(token.slice(1))
  const page = unwrap(await userSyncOf(env, userId).dehydratedEvents({ deviceId, after }))
  return { events: page.events, limited: page.limited, nextBatch: `d${page.next}` }
}
