/** The threads of a room. Spec: client-server-api/#querying-threads-in-a-room, data/api/client-server/threads_list.yaml. */
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { roomOf, unwrapAsMember } from '../rooms.ts'
import { ignoredBy, pointInRoom } from './history-reader.ts'
import { oneOf, wholeNumber } from './parameters.ts'

/** Spec: client-server-api/#get_matrixclientv1roomsroomidthreads */
export const getThreadRoots = operation(
  'GET /_matrix/client/v1/rooms/:roomId/threads',
  {
    id: 'getThreadRoots',
    auth: 'accessToken',
    guests: true,
    aliases: ['/_matrix/client/unstable/org.matrix.msc3856/rooms/:roomId/threads'],
  },
  async ({ env, requester: { userId: reader, deviceId }, path: { roomId }, query }) => {
    const participated = oneOf(query, 'include', ['all', 'participated']) === 'participated'
    const limit = wholeNumber(query, 'limit', 20, 100)
    if (limit === 0) refuse('invalid_param', 'limit must be greater than zero')
    const [from, ignoredUsers] = await Promise.all([
      pointInRoom(env, reader, roomId, query.get('from')),
      ignoredBy(env, reader),
    ])
    const { ok: _, ...page } = unwrapAsMember(
      await roomOf(env, roomId).threads({
        reader,
        deviceId,
        participated,
        limit,
        ignoredUsers,
        ...(from === undefined ? {} : { from }),
      }),
    )
    return page
  },
)
