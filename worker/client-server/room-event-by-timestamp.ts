/** Jumping to a date. Spec: client-server-api/#room-events, data/api/client-server/room_event_by_timestamp.yaml. */
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { roomOf, unwrapAsMember } from '../rooms.ts'
import { oneOf, timestamp } from './parameters.ts'

/** Spec: client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event */
export const getEventByTimestamp = operation(
  'GET /_matrix/client/v1/rooms/:roomId/timestamp_to_event',
  {
    id: 'getEventByTimestamp',
    auth: 'accessToken',
    aliases: ['/_matrix/client/unstable/org.matrix.msc3030/rooms/:roomId/timestamp_to_event'],
  },
  async ({ env, requester: { userId: reader }, path: { roomId }, query }) => {
    const dir = oneOf(query, 'dir', ['f', 'b']) ?? refuse('missing_param', 'dir is needed')
    const { event_id, origin_server_ts } = unwrapAsMember(
      await roomOf(env, roomId).eventAtTime({ reader, ts: timestamp(query), dir }),
    )
    return { event_id, origin_server_ts }
  },
)
