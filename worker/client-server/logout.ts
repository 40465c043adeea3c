/** Signing out. Spec: client-server-api/#post_matrixclientv3logout, logout.yaml. Both take an empty body. */
import { removeAllDevices, removeDevices } from '../accounts/devices.ts'
import { operation } from '../operation.ts'

/** "The device associated with the access token is also deleted." */
export const logout = operation(
  'POST /_matrix/client/v3/logout',
  { id: 'logout', auth: 'accessToken', fresh: true, guests: true, whileLocked: true, r0: true },
  async ({ env, requester: { userId, deviceId } }) => {
    await removeDevices(env, userId, [deviceId])
    return {}
  },
)

/** Spec: client-server-api/#post_matrixclientv3logoutall */
export const logoutAll = operation(
  'POST /_matrix/client/v3/logout/all',
  { id: 'logout_all', auth: 'accessToken', fresh: true, guests: true, whileLocked: true, r0: true },
  async ({ env, requester: { userId } }) => {
    await removeAllDevices(env, userId)
    return {}
  },
)
