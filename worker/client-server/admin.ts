/** What an administrator may know of a user. Spec: client-server-api/#server-administration, admin.yaml. */
import { listDevices } from '../accounts/devices.ts'
import { findUser } from '../accounts/users.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'

/**
 * "May be restricted to only be called by the user being looked up, or by a server admin." One address of a device is known,
 * the last; the client's name is not kept.
 *
 * Spec: client-server-api/#get_matrixclientv3adminwhoisuserid
 */
export const getWhoIs = operation(
  'GET /_matrix/client/v3/admin/whois/:userId',
  { id: 'getWhoIs', auth: 'accessToken', r0: true },
  async ({ env, requester, path: { userId } }) => {
    if (requester.userId !== userId && !requester.isAdmin) refuse('forbidden', 'That is another user')
    if (!(await findUser(env, userId))) return refuse('not_found', 'This server has no such user')
    const devices = (await listDevices(env, userId)).map(({ deviceId, lastSeenAt, lastSeenIp }) => {
      const connection = {
        ...(lastSeenIp === null ? {} : { ip: lastSeenIp }),
        ...(lastSeenAt === null ? {} : { last_seen: lastSeenAt }),
      }
      return [deviceId, { sessions: [{ connections: Object.keys(connection).length > 0 ? [connection] : [] }] }]
    })
    return { user_id: userId, devices: Object.fromEntries(devices) }
  },
)
