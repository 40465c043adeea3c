/**
 * Memberships of local users in a room that this server is not in: invites that came, knocks that were sent, and their end.
 *
 * Such a room is known from outside only. What is stored of it is the member event, which cannot be judged here for lack of
 * the room's state, and the stripped state that came along. When the room is joined, the event is judged like any other.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import { membershipOf } from '#protocol/events/fields.ts'
import { pduFromStored } from '#protocol/events/event-format.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { parseUserId, type UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { rulesOf, type RoomVersion, type RoomVersionRules } from '#protocol/room-versions/rules.ts'

import { append } from '../append.ts'
import type { Room } from '../room.ts'
import { outcomes, type StoredEvent } from '../stored-event.ts'
import { isServerAllowedIn } from './server-access.ts'

/** Stripped events kept of one invite or knock, and their size altogether in characters (CVE-2024-52815). */
const maxStripped = 64
const maxStrippedSize = 128 * 1024

export interface OutsideChange {
  readonly roomId: RoomId
  readonly version: RoomVersion
  /** The member event: signed, and so verified, as far as that can be. */
  readonly event_id: EventId
  readonly json: JsonObject
  readonly membership: 'invite' | 'knock' | 'leave'
  /** Who told, where that was another server: a room that is known may not let it in. */
  readonly origin?: ServerName
  /** Stripped state; the shape of each was checked. */
  readonly stripped: readonly JsonObject[]
}

/** Notes the membership. Where this server is in the room, the room's own events say what is so, and nothing is noted. */
export function noteOutsideMembership(
  room: Room,
  { roomId, version, event_id, json, membership, origin, stripped }: OutsideChange,
  stored: (changedMembers: readonly UserId[]) => void,
): Outcome {
  const { reader, transactor } = room
  const rules = rulesOf(version)
  if (!rules) return fail('unsupported_room_version')
  if (origin && reader.isKnown() && !isServerAllowedIn(room, origin))
    return fail('forbidden', 'The room does not allow that server')
  if (!reader.isKnown()) transactor.beginRoom(roomId, rules)
  if (reader.rules !== rules && !mayBeOf(room, rules)) {
    return fail('invalid_param', 'The room is of another version')
  }
  if (reader.localJoined().size > 0) return { ok: true }
  const pdu = pduFromStored(rules, json, event_id)
  const user = parseUserId(pdu.state_key)
  if (!user || !reader.isLocal(user)) return fail('invalid_param', 'The event is about no user of this server')
  return transactor.turn(() => {
    const event = reader.eventById(event_id) ?? storeUnjudged(room, pdu)
    const strippedState = JSON.stringify(bounded(stripped))
    transactor.setOutsideMember(user, { membership, eventNid: event.nid, pos: transactor.nextPos(), strippedState })
    if (membership !== 'leave') transactor.rememberRoom(user)
    stored([user])
    return { ok: true }
  })
}

/**
 * Whoever told first of a room that nobody here was ever in may have been wrong about its version, or lied. That stands while
 * one of our users has an invite by it; where none has, it does not keep others from inviting.
 */
function mayBeOf(room: Room, rules: RoomVersionRules): boolean {
  const { reader, transactor } = room
  const isPending = [...reader.outsideMembers().values()].some(({ membership }) => membership !== 'leave')
  if (isPending || reader.header().currentGroup !== undefined) return false
  return transactor.turn(() => {
    changeVersion(room, rules)
    return { ok: true }
  }).ok
}

/** Takes a room that was known from outside only for one of another version. Returns of whom that takes a membership. */
export function changeVersion({ reader }: Room, rules: RoomVersionRules): UserId[] {
  const members = [...reader.outsideMembers().keys()]
  reader.sql.exec('DELETE FROM outside_memberships')
  reader.sql.exec('DELETE FROM events')
  reader.sql.exec('UPDATE room SET room_version = ?', rules.version)
  reader.forget()
  return members
}

/**
 * An invite or knock ended by others, told by the server of who ended it. The room's rules cannot be asked here: believed is
 * the user who sent the invite, and nobody else. True if it was that.
 */
export function receiveRescission(room: Room, pdu: Pdu, stored: (changedMembers: readonly UserId[]) => void): boolean {
  const { reader } = room
  const user = pdu.type === 'm.room.member' ? parseUserId(pdu.state_key) : undefined
  const membership = membershipOf(pdu)
  if (!user || (membership !== 'leave' && membership !== 'ban') || inviterOf(room, user) !== pdu.sender) return false
  const { event_id, json, room_id: roomId } = pdu
  const change = { roomId, version: reader.rules.version, event_id, json, membership: 'leave', stripped: [] } as const
  return noteOutsideMembership(room, change, stored).ok
}

/** Who can be asked to end an invite, and knows the room: the server of the user who sent it. */
export function inviterOf({ reader }: Room, user: UserId): UserId | undefined {
  const outside = reader.isKnown() ? reader.outsideMembership(user) : undefined
  return outside?.membership === 'invite' ? reader.eventOf(outside.eventNid).sender : undefined
}

/**
 * An event that was stored without its auth events, which are here now: gives it its place after them, as every event has.
 * True where that was so; then it is still to be judged.
 */
export function placeUnjudged({ reader, transactor }: Room, pdu: Pdu): boolean {
  const stored = reader.eventById(pdu.event_id)
  if (stored?.outcome !== outcomes.outlier || stored.auth.length >= pdu.auth_events.length) return false
  const auth = pdu.auth_events.map((id) => reader.nidOf(id)).filter((nid) => nid !== undefined)
  if (auth.length < pdu.auth_events.length) return false
  transactor.moveOutlier(stored, reader.lastNid() + 1, auth)
  return true
}

function storeUnjudged(room: Room, pdu: Pdu): StoredEvent {
  return append(room, { pdu, outcome: outcomes.outlier, stateBefore: undefined, source: 'history' }).event
}

function bounded(stripped: readonly JsonObject[]): JsonObject[] {
  let size = 0
  return stripped.slice(0, maxStripped).filter((event) => (size += JSON.stringify(event).length) <= maxStrippedSize)
}
