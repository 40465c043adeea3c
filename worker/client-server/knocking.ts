/** Knocking on rooms. Spec: client-server-api/#knocking-on-rooms, data/api/client-server/knocking.yaml. */
import { profileOf } from '../accounts/profiles.ts'
import { serversFor } from '../memberships.ts'
import { limitUser } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { refuseBanned } from '../policy-lists.ts'
import { unwrap } from '../refusal.ts'
import { findRoom, roomOf } from '../rooms.ts'
import { reasonBody, viaServers } from './parameters.ts'

/** Spec: client-server-api/#post_matrixclientv3knockroomidoralias */
export const knockRoom = operation(
  'POST /_matrix/client/v3/knock/:roomIdOrAlias',
  { id: 'knockRoom', auth: 'accessToken', body: reasonBody, bodyOptional: true, r0: true },
  async ({ env, settings, requester: { userId }, path, query, body: { reason } }) => {
    limitUser('membership', userId, settings)
    const { roomId, alias, servers } = await findRoom(env, path.roomIdOrAlias, viaServers(query))
    await refuseBanned(env, { users: [userId], roomId, alias })
    const via = { roomId, servers: serversFor(roomId, servers) }
    const profile = await profileOf(env, userId)
    const change = { sender: userId, target: userId, membership: 'knock' as const, profile, via }
    unwrap(await roomOf(env, roomId).setMembership(reason === undefined ? change : { ...change, reason }))
    return { room_id: roomId }
  },
)
