/**
 * Sets the fully read marker and receipts of a room in one request.
 *
 * Spec: client-server-api/#fully-read-markers, data/api/client-server/read_markers.yaml.
 */
import { parseEventId } from '#protocol/identifiers/event-id.ts'
import * as v from 'valibot'

import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { allowBackwardKey, sendReceipt, setFullyRead } from '../read-position.ts'

const body = v.object({
  'm.fully_read': v.optional(v.string()),
  'm.read': v.optional(v.string()),
  'm.read.private': v.optional(v.string()),
  [allowBackwardKey]: v.optional(v.boolean(), false),
})

/** Spec: client-server-api/#post_matrixclientv3roomsroomidread_markers */
export const setReadMarker = operation(
  'POST /_matrix/client/v3/rooms/:roomId/read_markers',
  { id: 'setReadMarker', auth: 'accessToken', body, maxBody: 16 * 1024, r0: true },
  async ({ env, requester, path: { roomId }, body }) => {
    const user = requester.userId
    const fullyRead = eventIdOf(body['m.fully_read'])
    const read = eventIdOf(body['m.read'])
    const readPrivate = eventIdOf(body['m.read.private'])
    if (read) await sendReceipt(env, { roomId, user, type: 'm.read', eventId: read })
    if (readPrivate) await sendReceipt(env, { roomId, user, type: 'm.read.private', eventId: readPrivate })
    if (fullyRead) await setFullyRead(env, { roomId, user, eventId: fullyRead, backward: body[allowBackwardKey] })
    return {}
  },
)

function eventIdOf(text: string | undefined) {
  return text === undefined ? undefined : (parseEventId(text) ?? refuse('invalid_param', 'That is not an event ID'))
}
