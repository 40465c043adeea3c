/** All devices of one of our users, for another server. Spec: server-server-api/#device-management, user_devices.yaml. */
import { serverNameOf } from '#protocol/identifiers/user-id.ts'

import { keysOf } from '../accounts/device-keys.ts'
import { userExists } from '../accounts/users.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { userSyncOf } from '../sync/user-sync.ts'

/** Spec: server-server-api/#get_matrixfederationv1userdevicesuserid */
export const getUserDevices = operation(
  'GET /_matrix/federation/v1/user/devices/:userId',
  { id: 'getUserDevices', auth: 'server' },
  async ({ env, settings, path: { userId } }) => {
    const isOurs = serverNameOf(userId) === settings.serverName
    if (!isOurs || !(await userExists(env, userId))) return refuse('not_found', 'No such user here')
    // Before the devices: of two versions the older one makes the other server ask again.
    const streamId = await userSyncOf(env, userId).deviceListVersion()
    const { devices, crossSigning } = (await keysOf(env, [userId], undefined)).get(userId) ?? {
      devices: [],
      crossSigning: {},
    }
    return {
      user_id: userId,
      stream_id: streamId,
      devices: devices.flatMap(({ deviceId, displayName, keys }) => {
        const name = settings.tellsDeviceNames && displayName !== null ? { device_display_name: displayName } : {}
        return keys ? [{ device_id: deviceId, keys, ...name }] : []
      }),
      ...(crossSigning.master ? { master_key: crossSigning.master } : {}),
      ...(crossSigning.self_signing ? { self_signing_key: crossSigning.self_signing } : {}),
    }
  },
)
