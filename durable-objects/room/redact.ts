/**
 * Redacting events on behalf of local users.
 *
 * Spec: client-server-api/#redactions, #put_matrixclientv3roomsroomidredacteventidtxnid: "any user with a power level
 * greater than or equal to the `redact` power level may redact any event; … users may redact their own events". From room
 * version 3 on the authorisation rules accept a redaction whatever it redacts, so the question is asked here, before there
 * is an event; `redactions.ts` answers it again for events of other servers.
 */
import { fail, type Failure, type Outcome } from '#protocol/errors.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { powerLevelsOf } from '#protocol/power-levels.ts'

import type { ServerIdentity } from '../../worker/server-identity.ts'
import { authorEvent, transactionOf, unchanged, type Written } from './author-event.ts'
import { currentStateLookup, type Room } from './room.ts'
import type { StoredEvent } from './stored-event.ts'

export interface RedactRequest {
  readonly sender: UserId
  readonly deviceId?: string
  readonly txnId?: string
  readonly eventId: EventId
  /** More for the content, such as `reason`. */
  readonly content?: JsonObject
}

/** Redacts an event; idempotent like `sendEvent`. */
export function redactEvent(
  room: Room,
  identity: ServerIdentity,
  request: RedactRequest,
  now: number,
): Outcome<Written> {
  const { reader, transactor } = room
  if (!reader.isKnown()) return fail('unknown_room')
  const { sender, eventId, content = {} } = request
  const txn = transactionOf(request)
  const sent = txn && reader.transaction(sender, txn.device, txn.id).find(({ pdu }) => pdu.redacts === eventId)
  if (sent) return unchanged(sent)
  if (reader.membership(sender) !== 'join') return fail('not_in_room')
  const refused = checkTarget(room, sender, reader.eventById(eventId))
  if (refused) return refused
  const draft = { type: 'm.room.redaction', sender, content, redacts: eventId, originServerTs: now, txn }
  return transactor.turn(() => authorEvent(room, identity, draft))
}

function checkTarget(room: Room, sender: UserId, target: StoredEvent | undefined): Failure | undefined {
  // Whoever may redact anything may redact what this server has not seen yet.
  const levels = powerLevelsOf(room.reader.rules, currentStateLookup(room))
  const mayRedactAll = levels.userLevel(sender) >= levels.redact
  if (!target) return mayRedactAll ? undefined : fail('unknown_event')
  // Without its create event, or with its access control list emptied, a room is broken for good.
  if (target.type === 'm.room.create' || target.type === 'm.room.server_acl') {
    return fail('event_not_allowed', `Redacting ${target.type} would break the room`)
  }
  if (mayRedactAll || target.sender === sender) return undefined
  return fail('event_not_allowed', 'You may not redact events of others')
}
