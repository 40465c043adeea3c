/** Whose token this is. Spec: client-server-api/#current-account-information, whoami.yaml. */
import { operation } from '../operation.ts'

/** Spec: client-server-api/#get_matrixclientv3accountwhoami */
export const getTokenOwner = operation(
  'GET /_matrix/client/v3/account/whoami',
  { id: 'getTokenOwner', auth: 'accessToken', guests: true, r0: true },
  ({ requester: { userId, deviceId, isGuest } }) => ({ user_id: userId, device_id: deviceId, is_guest: isGuest }),
)
