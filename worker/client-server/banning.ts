/** Banning and unbanning. Spec: client-server-api/#banning-users-in-a-room, data/api/client-server/banning.yaml. */
import { operation } from '../operation.ts'
import { moderate, targetBody } from './moderating.ts'

/** Spec: client-server-api/#post_matrixclientv3roomsroomidban */
export const ban = operation(
  'POST /_matrix/client/v3/rooms/:roomId/ban',
  { id: 'ban', auth: 'accessToken', body: targetBody, r0: true },
  ({ env, requester, path, body }) =>
    moderate(env, path.roomId, { sender: requester.userId, membership: 'ban', action: 'ban', body }),
)

/** Spec: client-server-api/#post_matrixclientv3roomsroomidunban */
export const unban = operation(
  'POST /_matrix/client/v3/rooms/:roomId/unban',
  { id: 'unban', auth: 'accessToken', body: targetBody, r0: true },
  ({ env, requester, path, body }) =>
    moderate(env, path.roomId, { sender: requester.userId, membership: 'leave', action: 'unban', body }),
)
