/** Joining rooms. Spec: client-server-api/#joining-rooms, data/api/client-server/joining.yaml. */
import * as v from 'valibot'

import { type Join, join } from '../memberships.ts'
import { limitUser } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { findRoom } from '../rooms.ts'
import { jsonObject, viaServers } from './parameters.ts'

const joinBody = v.looseObject({ reason: v.optional(v.string()), third_party_signed: v.optional(jsonObject) })

/** What the body says about a join. Other keys become content of the membership, as clients expect. */
function wishes(body: v.InferOutput<typeof joinBody>): Pick<Join, 'reason' | 'content' | 'thirdPartySigned'> {
  const { reason, third_party_signed: thirdPartySigned, ...content } = body
  return { reason, thirdPartySigned, ...(v.is(jsonObject, content) ? { content } : {}) }
}

/** Spec: client-server-api/#post_matrixclientv3roomsroomidjoin */
export const joinRoomById = operation(
  'POST /_matrix/client/v3/rooms/:roomId/join',
  { id: 'joinRoomById', auth: 'accessToken', body: joinBody, bodyOptional: true, guests: true, r0: true },
  async (call) => {
    limitUser('membership', call.requester.userId, call.settings)
    const { roomId } = call.path
    await join(call, { roomId, servers: viaServers(call.query), ...wishes(call.body) })
    return { room_id: roomId }
  },
)

/** Spec: client-server-api/#post_matrixclientv3joinroomidoralias */
export const joinRoom = operation(
  'POST /_matrix/client/v3/join/:roomIdOrAlias',
  { id: 'joinRoom', auth: 'accessToken', body: joinBody, bodyOptional: true, guests: true, r0: true },
  async (call) => {
    limitUser('membership', call.requester.userId, call.settings)
    const { roomId, alias, servers } = await findRoom(call.env, call.path.roomIdOrAlias, viaServers(call.query))
    await join(call, { roomId, alias, servers, ...wishes(call.body) })
    return { room_id: roomId }
  },
)
