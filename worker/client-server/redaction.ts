/** Redacting events. Spec: client-server-api/#redactions, data/api/client-server/redaction.yaml. */
import type { JsonValue } from '#protocol/json/json.ts'

import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import type { Env } from '../env.ts'
import { limitUser } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { roomOf, unwrapAsMember } from '../rooms.ts'
import { jsonObjectWith } from './parameters.ts'

/** Spec: client-server-api/#put_matrixclientv3roomsroomidredacteventidtxnid */
export const redactEvent = operation(
  'PUT /_matrix/client/v3/rooms/:roomId/redact/:eventId/:txnId',
  { id: 'redactEvent', auth: 'accessToken', body: jsonObjectWith({ reason: 'string' }), bodyOptional: true, r0: true },
  async ({ env, settings, requester, path, body, waitUntil }) => {
    limitUser('message', requester.userId, settings)
    const { userId: sender, deviceId } = requester
    const from = { sender, deviceId, txnId: path.txnId }
    // Which event is redacted stands in the path; which others, is for the server.
    const { redacts: _, [related]: unstable, [relatedOnceStable]: stable, ...content } = body
    const relTypes = relTypesIn(unstable ?? stable)
    const room = roomOf(env, path.roomId)
    if (requester.isSuspended) await demandOwnEvent(env, requester.userId, path)
    const { event_id } = unwrapAsMember(await room.redact({ ...from, eventId: path.eventId, content }))
    if (relTypes.length > 0 && !requester.isSuspended)
      waitUntil(room.redactRelated({ sender, eventId: path.eventId, relTypes, content }))
    return { event_id }
  },
)

/** MSC3912 (unstable): the kinds of events that go with the one that is redacted. */
const related = 'org.matrix.msc3912.with_relations'
const relatedOnceStable = 'with_rel_types'
const maxRelTypes = 50

function relTypesIn(value: JsonValue | undefined): string[] {
  if (value === undefined) return []
  if (!Array.isArray(value) || value.length > maxRelTypes)
    return refuse('bad_json', `${related}: Expected a short list`)
  return value.map((item) => (typeof item === 'string' ? item : refuse('bad_json', `${related}: Expected text`)))
}

/** Who is suspended may "redact their own events". Spec: client-server-api/#account-suspension. */
async function demandOwnEvent(env: Env, sender: UserId, { roomId, eventId }: { roomId: RoomId; eventId: EventId }) {
  const found = await roomOf(env, roomId).event({ reader: sender, eventId })
  if (!found.ok || found.event.sender !== sender) {
    refuse('user_suspended', 'You can only redact your own events while suspended.')
  }
}
