/**
 * The PDUs of a transaction that are of this room. Each stands or falls alone.
 *
 * Spec: server-server-api/#put_matrixfederationv1sendtxnid. Those that can be judged are, in this turn; the others are
 * written down (staged.ts) and gone for (fetch-missing.ts) after the answer.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import { pduFromStored } from '#protocol/events/event-format.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'

import { receiveRescission } from './outside.ts'
import { receivePdu } from './receive-pdu.ts'
import type { Room } from '../room.ts'
import { isServerAllowedIn } from './server-access.ts'
import { stage, stagedCount } from './staged.ts'

export interface InboundPdus {
  readonly origin: ServerName
  /** Events whose format, signatures and hashes were checked. */
  readonly events: readonly { readonly event_id: EventId; readonly json: JsonObject }[]
}

/** What is said of each event; `error` where it was refused. */
export type PduResults = Readonly<Record<EventId, { readonly error?: string }>>

/** Whether events of this transaction wait for what they build on, or none but earlier ones. */
export type Waiting = 'new' | 'old' | 'none'

export function receivePdus(
  room: Room,
  { origin, events }: InboundPdus,
  stored: (changedMembers: readonly UserId[]) => void,
): Outcome<{ results: PduResults; waiting: Waiting }> {
  const { reader, transactor } = room
  if (!reader.isKnown()) return fail('unknown_room')
  if (!reader.isResident()) return endInvites(room, events, stored)
  if (!isServerAllowedIn(room, origin)) return fail('forbidden', 'The room does not allow that server')
  const results: Record<EventId, { error?: string }> = {}
  let waiting: Waiting = 'none'
  for (const { event_id, json } of events) {
    results[event_id] = transactor.turn(() => {
      const pdu = pduFromStored(reader.rules, json, event_id)
      const received = receivePdu(room, pdu)
      if (received.kind === 'stored') {
        stored(received.changedMembers)
        return { ok: true, result: received.outcome === 'rejected' ? { error: received.message ?? 'rejected' } : {} }
      }
      if (received.kind === 'known') return { ok: true, result: {} }
      waiting = 'new'
      return { ok: true, result: stage(room, pdu, origin) ? {} : { error: 'too many events wait for their ancestors' } }
    }).result
  }
  // What came may be what others waited for: the fetcher looks after them.
  if (waiting === 'none' && stagedCount(room) > 0) waiting = 'old'
  return { ok: true, results, waiting }
}

/** In a room this server is not in, all that is taken is that an invite is over. */
function endInvites(
  room: Room,
  events: InboundPdus['events'],
  stored: (changedMembers: readonly UserId[]) => void,
): Outcome<{ results: PduResults; waiting: Waiting }> {
  const results: Record<EventId, { error?: string }> = {}
  for (const { event_id, json } of events) {
    const ended = receiveRescission(room, pduFromStored(room.reader.rules, json, event_id), stored)
    results[event_id] = ended ? {} : { error: 'this server is not in the room' }
  }
  return { ok: true, results, waiting: 'none' }
}
