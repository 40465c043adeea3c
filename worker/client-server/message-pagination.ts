/** Paging through history. Spec: client-server-api/#getting-events-for-a-room, message_pagination.yaml. */
import { operation } from '../operation.ts'
import { roomOf, unwrapAsMember } from '../rooms.ts'
import { ignoredBy, pointInRoom } from './history-reader.ts'
import { oneOf, roomEventFilter, wholeNumber } from './parameters.ts'

/** Spec: client-server-api/#get_matrixclientv3roomsroomidmessages */
export const getRoomEvents = operation(
  'GET /_matrix/client/v3/rooms/:roomId/messages',
  { id: 'getRoomEvents', auth: 'accessToken', guests: true, r0: true },
  async ({ env, requester: { userId: reader, deviceId }, path: { roomId }, query }) => {
    const filter = roomEventFilter(query)
    // Required by the specification; clients that leave it out have always been answered forwards.
    const dir = oneOf(query, 'dir', ['b', 'f']) ?? 'f'
    const limit = wholeNumber(query, 'limit', 10, 1000)
    const [from, to, ignoredUsers] = await Promise.all([
      pointInRoom(env, reader, roomId, query.get('from')),
      pointInRoom(env, reader, roomId, query.get('to')),
      ignoredBy(env, reader),
    ])
    const { ok: _, ...page } = unwrapAsMember(
      await roomOf(env, roomId).messages({
        reader,
        deviceId,
        dir,
        limit,
        ignoredUsers,
        ...(from === undefined ? {} : { from }),
        ...(to === undefined ? {} : { to }),
        ...(filter === undefined ? {} : { filter }),
      }),
    )
    return page
  },
)
