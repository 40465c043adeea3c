/**
 * Joins, leaves and knocks of users of other servers, over us: the event their server made of our template.
 *
 * Spec: server-server-api/#put_matrixfederationv2send_joinroomideventid, send_leave, send_knock. The event is judged like
 * any PDU; beyond that it must be the membership of a user of the very server that sends it.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import { authorisingUserOf, membershipOf } from '#protocol/events/fields.ts'
import { pduFromStored } from '#protocol/events/event-format.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'

import type { Room } from '../room.ts'
import type { GroupId } from '../stored-event.ts'
import { toldStateAt } from '../stripped-state.ts'
import { noteRelayed } from './news-for-servers.ts'
import { receivePdu } from './receive-pdu.ts'
import { isServerAllowedIn } from './server-access.ts'

export interface MembershipToAccept {
  readonly origin: ServerName
  readonly membership: 'join' | 'leave' | 'knock'
  /** Format, signatures and hashes were checked. */
  readonly event_id: EventId
  readonly json: JsonObject
}

export type AcceptedMembership = Outcome<{
  readonly event: JsonObject
  /** The state before the event. */
  readonly stateBefore: GroupId
  /** Of knocks: what the knocker may see. */
  readonly told: JsonObject[]
}>

/** Lets the membership in. `stored` is called in the turn that stored it. */
export function acceptMembership(
  room: Room,
  request: MembershipToAccept,
  stored: (changedMembers: readonly UserId[]) => void,
): AcceptedMembership {
  const { reader, transactor } = room
  if (!reader.isKnown() || !reader.isResident() || reader.localJoined().size === 0) return fail('unknown_room')
  if (reader.partial.isOpen) return fail('unknown_room', 'This server has not fully joined the room yet')
  if (!isServerAllowedIn(room, request.origin)) return fail('forbidden', 'The room does not allow that server')
  const pdu = pduFromStored(reader.rules, request.json, request.event_id)
  const fault = faultOf(room, request, pdu)
  if (fault !== undefined) return fail('invalid_param', fault)
  return transactor.turn((): AcceptedMembership => {
    const received = receivePdu(room, pdu)
    if (received.kind === 'waiting') return fail('invalid_param', 'The event does not build on what this room has')
    if (received.kind === 'stored') {
      if (received.outcome !== 'accepted') return fail('event_not_allowed', received.message)
      noteRelayed(room, pdu.event_id)
      stored(received.changedMembers)
    }
    const event = reader.eventById(pdu.event_id)
    if (event?.stateBefore === undefined) return fail('event_not_allowed')
    return { ok: true, event: pdu.json, stateBefore: event.stateBefore, told: toldStateAt(room, event) }
  })
}

function faultOf({ reader }: Room, { origin, membership }: MembershipToAccept, pdu: Pdu): string | undefined {
  if (pdu.room_id !== reader.header().roomId) return 'The event is of another room'
  if (pdu.type !== 'm.room.member' || membershipOf(pdu) !== membership) return `The event is no ${membership}`
  if (pdu.state_key !== pdu.sender) return 'The event is about somebody else than its sender'
  if (serverNameOf(pdu.sender) !== origin) return 'The event is by a user of another server'
  const authoriser = authorisingUserOf(pdu)
  if (membership === 'join' && authoriser !== undefined && !reader.isLocal(authoriser)) {
    return 'The event names an authorising user of another server'
  }
  return undefined
}
