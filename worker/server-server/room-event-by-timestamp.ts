/** Jumping to a date, for other servers. Spec: server-server-api/#retrieving-events, data/api/server-server/events.yaml. */
import { oneOf, timestamp } from '../client-server/parameters.ts'
import { operation } from '../operation.ts'
import { refuse, unwrap } from '../refusal.ts'
import { roomOf } from '../rooms.ts'

/** Spec: server-server-api/#get_matrixfederationv1timestamp_to_eventroomid */
export const getEventByTimestamp = operation(
  'GET /_matrix/federation/v1/timestamp_to_event/:roomId',
  {
    id: 'getEventByTimestamp',
    auth: 'server',
    aliases: ['/_matrix/federation/unstable/org.matrix.msc3030/timestamp_to_event/:roomId'],
  },
  async ({ env, requester: { origin }, path: { roomId }, query }) => {
    const dir = oneOf(query, 'dir', ['f', 'b']) ?? refuse('missing_param', 'dir is needed')
    const { event_id, origin_server_ts } = unwrap(
      await roomOf(env, roomId).eventAtTimeForServer({ origin, ts: timestamp(query), dir }),
    )
    return { event_id, origin_server_ts }
  },
)
