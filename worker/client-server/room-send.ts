/** Sending messages. Spec: client-server-api/#sending-events-to-a-room, data/api/client-server/room_send.yaml. */
import { parseEventId } from '#protocol/identifiers/event-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'

import { delayOf, sendLater } from '../delayed-events.ts'
import { tellOfRoomKey } from '../e2ee/new-room-keys.ts'
import { limitUser } from '../middleware/rate-limit.ts'
import { type Call, operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { roomOf, unwrapAsMember } from '../rooms.ts'
import { jsonObject, stickyDuration } from './parameters.ts'

// The body may be missing where a delayed event is sent again under its transaction ID, and only there.
const options = {
  auth: 'accessToken',
  body: jsonObject,
  bodyOptionalWith: 'org.matrix.msc4140.delay',
  guests: true,
  r0: true,
} as const

/** Spec: client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid */
export const sendMessage = operation(
  'PUT /_matrix/client/v3/rooms/:roomId/send/:eventType/:txnId',
  { id: 'sendMessage', ...options },
  (call) => send(call, { txnId: call.path.txnId }),
)

/** Without a transaction ID, as the oldest clients and simple scripts send: done again it is another event. */
export const sendMessageWithoutTxn = operation(
  'POST /_matrix/client/v3/rooms/:roomId/send/:eventType',
  { id: 'sendMessageWithoutTxn', ...options },
  (call) => send(call, {}),
)

type Asked = Call<'/:roomId/:eventType', 'accessToken', JsonObject>

async function send(call: Asked, txn: { readonly txnId?: string }) {
  const { env, settings, requester, path, query, body: content } = call
  const [delay, sticky] = [delayOf(query), stickyDuration(query)]
  if (delay !== undefined) {
    return sendLater(env, requester, { ...path, type: path.eventType, ...txn, content, delay, ...sticky })
  }
  limitUser('message', requester.userId, settings)
  const room = roomOf(env, path.roomId)
  const from = { sender: requester.userId, deviceId: requester.deviceId, ...txn }
  if (path.eventType !== 'm.room.redaction') {
    const [sent] = await Promise.all([
      room.sendEvent({ ...from, type: path.eventType, content, ...sticky }),
      path.eventType === 'm.room.encrypted' && tellOfRoomKey(env, requester, content),
    ])
    const { event_id } = unwrapAsMember(sent)
    return { event_id }
  }
  // "Homeservers MUST allow clients to send `m.room.redaction` events with this endpoint for all room versions."
  const { redacts, ...rest } = content
  const eventId = parseEventId(redacts) ?? refuse('invalid_param', 'redacts must be an event ID')
  const { event_id } = unwrapAsMember(await room.redact({ ...from, eventId, content: rest }))
  return { event_id }
}
