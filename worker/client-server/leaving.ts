/** Leaving and forgetting rooms. Spec: client-server-api/#leaving-rooms, data/api/client-server/leaving.yaml. */
import { serversFor } from '../memberships.ts'
import { operation } from '../operation.ts'
import { unwrap } from '../refusal.ts'
import { roomOf } from '../rooms.ts'
import { reasonBody } from './parameters.ts'

/** Leaves a room, rejects an invite or takes back a knock. Spec: client-server-api/#post_matrixclientv3roomsroomidleave */
export const leaveRoom = operation(
  'POST /_matrix/client/v3/rooms/:roomId/leave',
  { id: 'leaveRoom', auth: 'accessToken', body: reasonBody, bodyOptional: true, guests: true, r0: true },
  async ({ env, requester: { userId }, path: { roomId }, body: { reason } }) => {
    const via = { roomId, servers: serversFor(roomId, []) }
    const change = { sender: userId, target: userId, membership: 'leave' as const, via }
    unwrap(await roomOf(env, roomId).setMembership(reason === undefined ? change : { ...change, reason }))
    return {}
  },
)

/** Spec: client-server-api/#post_matrixclientv3roomsroomidforget */
export const forgetRoom = operation(
  'POST /_matrix/client/v3/rooms/:roomId/forget',
  { id: 'forgetRoom', auth: 'accessToken', guests: true, r0: true },
  async ({ env, requester, path: { roomId } }) => {
    unwrap(await roomOf(env, roomId).forget({ user: requester.userId }))
    return {}
  },
)
