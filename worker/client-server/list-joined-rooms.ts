/** The rooms a user is in. Spec: client-server-api/#room-membership, data/api/client-server/list_joined_rooms.yaml. */
import { operation } from '../operation.ts'
import { userSyncOf } from '../sync/user-sync.ts'

/** Spec: client-server-api/#get_matrixclientv3joined_rooms */
export const getJoinedRooms = operation(
  'GET /_matrix/client/v3/joined_rooms',
  { id: 'getJoinedRooms', auth: 'accessToken', guests: true, r0: true },
  async ({ env, requester }) => ({ joined_rooms: await userSyncOf(env, requester.userId).joinedRooms() }),
)
