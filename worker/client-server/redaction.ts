/** Redacting events. Spec: client-server-api/#redactions, data/api/client-server/redaction.yaml. */
import { limitUser } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { roomOf, unwrapAsMember } from '../rooms.ts'
import { jsonObjectWith } from './parameters.ts'

/** Spec: client-server-api/#put_matrixclientv3roomsroomidredacteventidtxnid */
export const redactEvent = operation(
  'PUT /_matrix/client/v3/rooms/:roomId/redact/:eventId/:txnId',
  { id: 'redactEvent', auth: 'accessToken', body: jsonObjectWith({ reason: 'string' }), bodyOptional: true, r0: true },
  async ({ env, settings, requester, path, body }) => {
    limitUser('message', requester.userId, settings)
    const from = { sender: requester.userId, deviceId: requester.deviceId, txnId: path.txnId }
    // Which event is redacted stands in the path.
    const { redacts: _, ...content } = body
    const { event_id } = unwrapAsMember(
      await roomOf(env, path.roomId).redact({ ...from, eventId: path.eventId, content }),
    )
    return { event_id }
  },
)
