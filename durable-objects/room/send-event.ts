/**
 * Sending messages and state.
 *
 * Spec: client-server-api/#sending-events-to-a-room, #transaction-identifiers. Memberships go through `membership.ts`,
 * whichever endpoint they come from.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import { parseUserId, type UserId } from '#protocol/identifiers/user-id.ts'
import { type JsonObject, own } from '#protocol/json/json.ts'

import type { ServerIdentity } from '../../worker/server-identity.ts'
import { authorEvent, transactionOf, unchanged, type Written } from './author-event.ts'
import { setMembership } from './membership.ts'
import { parseMembership } from './reader.ts'
import { isThreadOfRelation } from './relations.ts'
import type { Room } from './room.ts'
import { sameJson } from './same-json.ts'

export interface SendRequest {
  readonly sender: UserId
  readonly deviceId?: string
  readonly txnId?: string
  readonly type: string
  /** Undefined for a message. */
  readonly stateKey?: string
  readonly content: JsonObject
  /** Milliseconds since 1970; now if absent. */
  readonly originServerTs?: number
  /** How long it is sticky, in ms (protocol/sticky-events.ts). */
  readonly stickyDuration?: number | undefined
}

/** Sends an event. The same transaction of the same device is carried out once, and so is state that is set already. */
export function sendEvent(room: Room, identity: ServerIdentity, request: SendRequest, now: number): Outcome<Written> {
  const { reader, transactor } = room
  if (!reader.isKnown()) return fail('unknown_room')
  const { sender, type, stateKey, content, originServerTs = now, stickyDuration } = request
  // The rules say so too; but a second create event has no business to be built and signed at all.
  if (type === 'm.room.create') return fail('event_not_allowed', 'A room is created once')
  // Who may redact what is asked in `redact.ts`. Of users of one server the rules let everyone redact everyone.
  if (type === 'm.room.redaction') return fail('event_not_allowed', 'Redactions have an endpoint of their own')
  if (type === 'm.room.member' && stateKey !== undefined) return sendMember(room, identity, request, stateKey, now)
  const txn = transactionOf(request)
  const sent = txn && reader.transaction(sender, txn.device, txn.id).find((event) => event.type === type)
  if (sent) return unchanged(sent)
  // What is to be sticky is so from now on, though it says nothing new.
  const isAnew = stateKey === undefined || stickyDuration !== undefined
  const current = isAnew ? undefined : reader.current(type, stateKey)
  if (current?.sender === sender && reader.membership(sender) === 'join' && sameJson(current.pdu.content, content)) {
    return unchanged(current)
  }
  if (reader.membership(sender) === 'join' && isThreadOfRelation(room, content)) return fail('thread_of_relation')
  const draft = { sender, type, stateKey, content, originServerTs, stickyDuration, txn }
  return transactor.turn(() => authorEvent(room, identity, draft))
}

/** A membership that is set like any other state: by the same way as through the endpoints of their own. */
function sendMember(
  room: Room,
  identity: ServerIdentity,
  { sender, content }: SendRequest,
  stateKey: string,
  now: number,
): Outcome<Written> {
  const target = parseUserId(stateKey)
  const membership = parseMembership(own(content, 'membership'))
  if (target === undefined) return fail('event_not_allowed', 'The state key of a member is a user ID')
  if (membership === undefined) return fail('event_not_allowed', 'That is no membership')
  return setMembership(room, identity, { sender, target, membership, content }, now)
}
