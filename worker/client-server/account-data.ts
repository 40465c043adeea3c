/**
 * Account data: what a user's clients keep on the server, global or of a room.
 *
 * Spec: client-server-api/#client-config, data/api/client-server/account-data.yaml. It lives in the user's object, whose
 * stream reports it.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'

import type { Env } from '../env.ts'
import { operation, type Requester } from '../operation.ts'
import { refuse, unwrap } from '../refusal.ts'
import { pushRulesContent } from '../sync/build-answer.ts'
import { userSyncOf } from '../sync/user-sync.ts'
import { jsonObject } from './parameters.ts'

/** "Servers MUST reject setting account data for event types that the server manages by using a 405 error response." */
const managedByServer = new Set(['m.fully_read', 'm.push_rules'])
/** A direct-chat list of a thousand rooms is about 100 kB. */
const maxBody = 256 * 1024

/** Spec: client-server-api/#put_matrixclientv3useruseridaccount_datatype */
export const setGlobalAccountData = operation(
  'PUT /_matrix/client/v3/user/:userId/account_data/:type',
  { id: 'setAccountData', auth: 'accessToken', body: jsonObject, maxBody, guests: true, r0: true },
  ({ env, requester, path, body }) => set(env, requester, { ...path, roomId: undefined }, body),
)

/** Spec: client-server-api/#get_matrixclientv3useruseridaccount_datatype */
export const getGlobalAccountData = operation(
  'GET /_matrix/client/v3/user/:userId/account_data/:type',
  { id: 'getAccountData', auth: 'accessToken', guests: true, r0: true },
  ({ env, requester, path }) => get(env, requester, { ...path, roomId: undefined }),
)

/** Spec: client-server-api/#put_matrixclientv3useruseridroomsroomidaccount_datatype */
export const setAccountDataPerRoom = operation(
  'PUT /_matrix/client/v3/user/:userId/rooms/:roomId/account_data/:type',
  { id: 'setAccountDataPerRoom', auth: 'accessToken', body: jsonObject, maxBody, guests: true, r0: true },
  ({ env, requester, path, body }) => set(env, requester, path, body),
)

/** Spec: client-server-api/#get_matrixclientv3useruseridroomsroomidaccount_datatype */
export const getAccountDataPerRoom = operation(
  'GET /_matrix/client/v3/user/:userId/rooms/:roomId/account_data/:type',
  { id: 'getAccountDataPerRoom', auth: 'accessToken', guests: true, r0: true },
  ({ env, requester, path }) => get(env, requester, path),
)

const unstable = '/_matrix/client/unstable/org.matrix.msc3391/user/:userId'

/** MSC3391 (unstable): deleting is the same as setting to nothing. */
export const deleteGlobalAccountData = operation(
  `DELETE ${unstable}/account_data/:type`,
  { id: 'deleteAccountData', auth: 'accessToken', guests: true },
  ({ env, requester, path }) => remove(env, requester, { ...path, roomId: undefined }),
)

export const deleteAccountDataPerRoom = operation(
  `DELETE ${unstable}/rooms/:roomId/account_data/:type`,
  { id: 'deleteAccountDataPerRoom', auth: 'accessToken', guests: true },
  ({ env, requester, path }) => remove(env, requester, path),
)

interface Place {
  readonly userId: UserId
  readonly roomId: RoomId | undefined
  readonly type: string
}

async function set(env: Env, requester: Requester, { userId, roomId, type }: Place, content: JsonObject) {
  demandSelf(requester, userId)
  if (managedByServer.has(type)) refuse('server_managed', `Cannot set ${type} through this API.`)
  await userSyncOf(env, userId).setAccountData({ roomId, type, content })
  return {}
}

async function remove(env: Env, requester: Requester, { userId, roomId, type }: Place) {
  demandSelf(requester, userId)
  if (managedByServer.has(type)) refuse('server_managed', `Cannot delete ${type} through this API.`)
  await userSyncOf(env, userId).deleteAccountData({ roomId, type })
  return {}
}

async function get(env: Env, requester: Requester, { userId, roomId, type }: Place) {
  demandSelf(requester, userId)
  // What is kept of push rules is not what clients know.
  if (type === 'm.push_rules' && roomId === undefined) {
    return pushRulesContent(userId, await userSyncOf(env, userId).pushRules(), env)
  }
  return unwrap(await userSyncOf(env, userId).getAccountData({ roomId, type })).content
}

/** "Users may only view the account data for their own account." */
export function demandSelf(requester: Requester, userId: UserId): void {
  if (requester.userId !== userId) refuse('forbidden', 'That is another user')
}
