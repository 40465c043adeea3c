/** What an administrator may know of a user, and locking and suspending accounts. Spec: client-server-api/#server-administration, admin.yaml. */
import { serverNameOf } from '#protocol/identifiers/user-id.ts'
import * as v from 'valibot'

import { listDevices } from '../accounts/devices.ts'
import { setLocked, setSuspended } from '../accounts/moderation.ts'
import { findUser, type User } from '../accounts/users.ts'
import { type Call, operation, type Requester } from '../operation.ts'
import { refuse } from '../refusal.ts'

/**
 * "May be restricted to only be called by the user being looked up, or by a server admin." One address of a device is known,
 * the last; the client's name is not kept.
 *
 * Spec: client-server-api/#get_matrixclientv3adminwhoisuserid
 */
export const getWhoIs = operation(
  'GET /_matrix/client/v3/admin/whois/:userId',
  { id: 'getWhoIs', auth: 'accessToken', r0: true, aliases: ['/_synapse/admin/v1/whois/:userId'] },
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

const suspendPaths = ['/_matrix/client/unstable/uk.timedout.msc4323/admin/suspend/:userId']
const lockPaths = ['/_matrix/client/unstable/uk.timedout.msc4323/admin/lock/:userId']

/** Spec: client-server-api/#get_matrixclientv1adminsuspenduserid */
export const getAdminSuspendUser = operation(
  'GET /_matrix/client/v1/admin/suspend/:userId',
  { id: 'getAdminSuspendUser', auth: 'accessToken', fresh: true, aliases: suspendPaths },
  async (call) => ({ suspended: (await userToModerate(call)).isSuspended }),
)

/** Spec: client-server-api/#put_matrixclientv1adminsuspenduserid */
export const setAdminSuspendUser = operation(
  'PUT /_matrix/client/v1/admin/suspend/:userId',
  {
    id: 'setAdminSuspendUser',
    auth: 'accessToken',
    fresh: true,
    body: v.looseObject({ suspended: v.boolean() }),
    aliases: suspendPaths,
  },
  async (call) => {
    const { userId } = await userToModerate(call, 'change')
    await setSuspended(call.env, userId, call.body.suspended)
    return { suspended: call.body.suspended }
  },
)

/** Spec: client-server-api/#get_matrixclientv1adminlockuserid */
export const getAdminLockUser = operation(
  'GET /_matrix/client/v1/admin/lock/:userId',
  { id: 'getAdminLockUser', auth: 'accessToken', fresh: true, aliases: lockPaths },
  async (call) => ({ locked: (await userToModerate(call)).isLocked }),
)

/** Spec: client-server-api/#put_matrixclientv1adminlockuserid */
export const setAdminLockUser = operation(
  'PUT /_matrix/client/v1/admin/lock/:userId',
  {
    id: 'setAdminLockUser',
    auth: 'accessToken',
    fresh: true,
    body: v.looseObject({ locked: v.boolean() }),
    aliases: lockPaths,
  },
  async (call) => {
    const { userId } = await userToModerate(call, 'change')
    await setLocked(call.env, userId, call.body.locked)
    return { locked: call.body.locked }
  },
)

/** "Servers MUST ensure that authorisation is checked prior to trying to do account lookups." */
async function userToModerate(
  { env, settings, requester, path: { userId } }: Call<'/:userId', 'accessToken', unknown>,
  change?: 'change',
): Promise<User> {
  demandAdmin(requester)
  if (serverNameOf(userId) !== settings.serverName) refuse('invalid_param', 'User does not belong to the local server.')
  const isSelf = userId === requester.userId
  if (isSelf && change) refuse('forbidden', 'That is your own account')
  const user = await findUser(env, userId)
  if (!user || user.deactivatedAt !== null) return refuse('not_found', 'User not found.')
  if (user.isAdmin && !isSelf) refuse('forbidden', 'That is another administrator')
  return user
}

/** Refuses everybody but admins of this server. */
export function demandAdmin({ isAdmin }: Requester): void {
  if (!isAdmin) refuse('forbidden', 'That is for admins of this server')
}
