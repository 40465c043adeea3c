/**
 * Sending messages and state.
 *
 * Spec: client-server-api/#sending-events-to-a-room, #transaction-identifiers. Memberships go through `membership.ts`,
 * whichever endpoint they come from.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'

import type { ServerIdentity } from '../../worker/server-identity.ts'
import { authorEvent, type Written } from './author-event.ts'
import type { Room } from './room.ts'
import { sameJson } from './same-json.ts'
import type { StoredEvent } from './stored-event.ts'
import type { Transaction } from './transactor.ts'

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
}

/** Sends an event. The same transaction of the same device is carried out once, and so is state that is set already. */
export function sendEvent(room: Room, identity: ServerIdentity, request: SendRequest, now: number): Outcome<Written> {
  const { reader, transactor } = room
  if (!reader.isKnown()) return fail('unknown_room')
  const { sender, type, stateKey, content, originServerTs = now } = request
  // The rules say so too; but a second create event has no business to be built and signed at all.
  if (type === 'm.room.create') return fail('event_not_allowed', 'A room is created once')
  const txn = transactionOf(request)
  const sent = txn && reader.transaction(sender, txn.device, txn.id).find((event) => event.type === type)
  if (sent) return unchanged(sent)
  const current = stateKey === undefined ? undefined : reader.current(type, stateKey)
  if (current?.sender === sender && reader.membership(sender) === 'join' && sameJson(current.pdu.content, content)) {
    return unchanged(current)
  }
  return transactor.turn(() => authorEvent(room, identity, { sender, type, stateKey, content, originServerTs, txn }))
}

/** A request without a device has the transactions of no device. */
export function transactionOf(request: { deviceId?: string; txnId?: string }): Transaction | undefined {
  return request.txnId === undefined ? undefined : { device: request.deviceId ?? '', id: request.txnId }
}

/** The request had been carried out before, by this event. */
export function unchanged(event: StoredEvent): Outcome<Written> {
  return { ok: true, event_id: event.event_id, sender: event.sender, isNew: false, changedMembers: [] }
}
