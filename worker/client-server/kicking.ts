/** Kicking users. Spec: client-server-api/#leaving-rooms, data/api/client-server/kicking.yaml. */
import { operation } from '../operation.ts'
import { moderate, targetBody } from './moderating.ts'

/** Spec: client-server-api/#post_matrixclientv3roomsroomidkick */
export const kick = operation(
  'POST /_matrix/client/v3/rooms/:roomId/kick',
  { id: 'kick', auth: 'accessToken', body: targetBody, r0: true },
  ({ env, requester, path, body }) =>
    moderate(env, path.roomId, { sender: requester.userId, membership: 'leave', action: 'kick', body }),
)
