/** One's devices. Spec: client-server-api/#device-management, device_management.yaml. */
import * as v from 'valibot'

import {
  type Device,
  findDevice,
  listDevices,
  maxDeviceName,
  removeDevices,
  renameDevice,
} from '../accounts/devices.ts'
import { authenticate } from '../accounts/interactive-auth.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { limitUser } from '../middleware/rate-limit.ts'
import { jsonObject } from './parameters.ts'

const passwordFlow = [['m.login.password']] as const

/** Spec: client-server-api/#get_matrixclientv3devices */
export const getDevices = operation(
  'GET /_matrix/client/v3/devices',
  { id: 'getDevices', auth: 'accessToken', guests: true, r0: true },
  async ({ env, requester }) => ({ devices: (await listDevices(env, requester.userId)).map(clientDevice) }),
)

/** Spec: client-server-api/#get_matrixclientv3devicesdeviceid */
export const getDevice = operation(
  'GET /_matrix/client/v3/devices/:deviceId',
  { id: 'getDevice', auth: 'accessToken', guests: true, r0: true },
  async ({ env, requester: { userId }, path: { deviceId } }) =>
    clientDevice((await findDevice(env, { userId, deviceId })) ?? refuse('not_found', 'You have no such device')),
)

/** "Regular clients may only update existing devices." Spec: client-server-api/#put_matrixclientv3devicesdeviceid */
export const updateDevice = operation(
  'PUT /_matrix/client/v3/devices/:deviceId',
  {
    id: 'updateDevice',
    auth: 'accessToken',
    guests: true,
    r0: true,
    body: v.looseObject({ display_name: v.optional(v.string()) }),
  },
  async ({ env, requester: { userId }, path: { deviceId }, body: { display_name: name } }) => {
    if (name !== undefined && name.length > maxDeviceName) refuse('invalid_param', 'display_name is too long')
    const key = { userId, deviceId }
    const exists = name === undefined ? (await findDevice(env, key)) !== undefined : await renameDevice(env, key, name)
    return exists ? {} : refuse('not_found', 'You have no such device')
  },
)

/** Spec: client-server-api/#delete_matrixclientv3devicesdeviceid */
export const deleteDevice = operation(
  'DELETE /_matrix/client/v3/devices/:deviceId',
  { id: 'deleteDevice', auth: 'accessToken', fresh: true, body: jsonObject, bodyOptional: true, r0: true },
  async ({ env, settings, requester: { userId }, path: { deviceId }, body }) => {
    limitUser('interactiveAuth', userId, settings)
    const operation = `DELETE /devices/${deviceId}`
    const authenticated = await authenticate(env, { operation, userId, body, flows: passwordFlow })
    if (!authenticated.ok) return authenticated.response
    await removeDevices(env, userId, [deviceId])
    return {}
  },
)

const manyDevices = v.intersect([
  jsonObject,
  v.looseObject({ devices: v.pipe(v.array(v.string()), v.maxLength(1000)) }),
])

/** Spec: client-server-api/#post_matrixclientv3delete_devices */
export const deleteDevices = operation(
  'POST /_matrix/client/v3/delete_devices',
  { id: 'deleteDevices', auth: 'accessToken', fresh: true, body: manyDevices, r0: true },
  async ({ env, settings, requester: { userId }, body }) => {
    limitUser('interactiveAuth', userId, settings)
    const operation = 'POST /delete_devices'
    const authenticated = await authenticate(env, { operation, userId, body, flows: passwordFlow })
    if (!authenticated.ok) return authenticated.response
    await removeDevices(env, userId, body.devices)
    return {}
  },
)

function clientDevice({ deviceId, displayName, lastSeenAt, lastSeenIp }: Device) {
  return {
    device_id: deviceId,
    ...(displayName === null ? {} : { display_name: displayName }),
    ...(lastSeenIp === null ? {} : { last_seen_ip: lastSeenIp }),
    ...(lastSeenAt === null ? {} : { last_seen_ts: lastSeenAt }),
  }
}
