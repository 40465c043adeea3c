/**
 * Events that relate to an event. Spec: client-server-api/#relationships-api, data/api/client-server/relations.yaml.
 * What a reader may see is decided by the room.
 */
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'

import type { Env } from '../env.ts'
import { operation, type Requester } from '../operation.ts'
import { roomOf, unwrapAsMember } from '../rooms.ts'
import { ignoredBy, pointInRoom } from './history-reader.ts'
import { oneOf, wholeNumber } from './parameters.ts'

interface Place {
  readonly roomId: RoomId
  readonly eventId: EventId
  readonly relType?: string
  readonly eventType?: string
}

interface Asked {
  readonly env: Env
  readonly requester: Requester
  readonly path: Place
  readonly query: URLSearchParams
}

const unstable = '/_matrix/client/unstable/rooms/:roomId/relations/:eventId'

/** Spec: client-server-api/#get_matrixclientv1roomsroomidrelationseventid */
export const getRelatingEvents = operation(
  'GET /_matrix/client/v1/rooms/:roomId/relations/:eventId',
  { id: 'getRelatingEvents', auth: 'accessToken', guests: true, aliases: [unstable] },
  related,
)

/** Spec: client-server-api/#get_matrixclientv1roomsroomidrelationseventidreltype */
export const getRelatingEventsWithRelType = operation(
  'GET /_matrix/client/v1/rooms/:roomId/relations/:eventId/:relType',
  { id: 'getRelatingEventsWithRelType', auth: 'accessToken', guests: true, aliases: [`${unstable}/:relType`] },
  related,
)

/** Spec: client-server-api/#get_matrixclientv1roomsroomidrelationseventidreltypeeventtype */
export const getRelatingEventsWithRelTypeAndEventType = operation(
  'GET /_matrix/client/v1/rooms/:roomId/relations/:eventId/:relType/:eventType',
  {
    id: 'getRelatingEventsWithRelTypeAndEventType',
    auth: 'accessToken',
    guests: true,
    aliases: [`${unstable}/:relType/:eventType`],
  },
  related,
)

async function related({ env, requester: { userId: reader, deviceId }, path, query }: Asked) {
  const { roomId, eventId, relType, eventType } = path
  const dir = oneOf(query, 'dir', ['b', 'f']) ?? 'b'
  const limit = Math.max(1, wholeNumber(query, 'limit', 50, 100))
  // As it was called before v1.10.
  const older = oneOf(query, 'org.matrix.msc3981.recurse', ['true', 'false'])
  const recurse = oneOf(query, 'recurse', ['true', 'false']) ?? older
  const [from, to, ignoredUsers] = await Promise.all([
    pointInRoom(env, reader, roomId, query.get('from')),
    pointInRoom(env, reader, roomId, query.get('to')),
    ignoredBy(env, reader),
  ])
  const { ok: _, ...page } = unwrapAsMember(
    await roomOf(env, roomId).relatedEvents({
      reader,
      deviceId,
      eventId,
      relType,
      eventType,
      dir,
      limit,
      ignoredUsers,
      ...(recurse === undefined ? {} : { recurse: recurse === 'true' }),
      ...(from === undefined ? {} : { from }),
      ...(to === undefined ? {} : { to }),
    }),
  )
  return page
}
