/** The events around an event. Spec: client-server-api/#event-context, data/api/client-server/event_context.yaml. */
import { operation } from '../operation.ts'
import { roomOf, unwrapAsMember } from '../rooms.ts'
import { ignoredBy } from './history-reader.ts'
import { roomEventFilter, wholeNumber } from './parameters.ts'

/** Spec: client-server-api/#get_matrixclientv3roomsroomidcontexteventid */
export const getEventContext = operation(
  'GET /_matrix/client/v3/rooms/:roomId/context/:eventId',
  { id: 'getEventContext', auth: 'accessToken', guests: true, r0: true },
  async ({ env, requester: { userId: reader, deviceId }, path: { roomId, eventId }, query }) => {
    const filter = roomEventFilter(query)
    const { ok: _, ...context } = unwrapAsMember(
      await roomOf(env, roomId).context({
        reader,
        deviceId,
        eventId,
        limit: wholeNumber(query, 'limit', 10, 100),
        ignoredUsers: await ignoredBy(env, reader),
        ...(filter === undefined ? {} : { filter }),
      }),
    )
    return context
  },
)
