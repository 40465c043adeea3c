/**
 * The members of a room.
 *
 * Spec: client-server-api/#get_matrixclientv3roomsroomidmembers and …/joined_members, data/api/client-server/rooms.yaml. "If
 * you are joined to the room then this will be the current members of the room. If you have left the room then this will be
 * the members of the room when you left."
 */
import { fail, type Failure, type Outcome } from '#protocol/errors.ts'
import { contentString, membershipOf } from '#protocol/events/fields.ts'
import { splitStateMapKey, stateMapKey } from '#protocol/events/state-map.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { parseTimelineToken } from '#protocol/sync/timeline-token.ts'

import type { ClientEvent } from './client-event.ts'
import type { Membership } from './reader.ts'
import { openFor } from './room-access.ts'
import type { Room } from './room.ts'
import { wholeStateAt } from './state-at.ts'
import { readableGroup, shownSlices } from './state.ts'
import { eventColumns, type EventRow, type GroupId, type Nid, type StoredEvent } from './stored-event.ts'
import type { View } from './visibility.ts'

export interface MembersRequest {
  readonly reader: UserId
  /** A token of `timeline-token.ts`; a token of `/sync` is to be turned into one before. */
  readonly at?: string
  readonly membership?: Membership
  readonly notMembership?: Membership
}

/** The member events. Fails with `not_in_room`, `forbidden` (the reader may not see the room at `at`) or `invalid_param`. */
export function members(room: Room, request: MembersRequest, now: number): Outcome<{ events: ClientEvent[] }> {
  const found = memberSlices(room, request, now)
  return found.ok ? { ok: true, events: [...found.slices].flat() } : found
}

/** The same in slices, each read when it is asked for. */
export function memberSlices(
  room: Room,
  request: MembersRequest,
  now: number,
): Outcome<{ slices: Iterable<ClientEvent[]> }> {
  const opened = openFor(room, request.reader)
  if (!opened.ok) return opened
  const { view } = opened
  const group = request.at === undefined ? readableGroup(view) : groupAtToken(view, request.at)
  if (typeof group === 'object') return group
  const { membership, notMembership } = request
  // "The two parameters create an 'or' condition: either the membership is the same as membership or is not the same as
  // not_membership."
  const isWanted = (event: StoredEvent) => {
    const its = membershipOf(event.pdu)
    if (membership === undefined && notMembership === undefined) return true
    return its === membership || (notMembership !== undefined && its !== notMembership)
  }
  const nids = group === undefined ? [] : membersOfGroup(room, group)
  return { ok: true, slices: shownSlices(view, nids, now, isWanted) }
}

/** Empty where the member has none: clients expect both keys, and the specification strings. */
export interface JoinedMember {
  readonly display_name: string
  readonly avatar_url: string
}

/** Who is joined, with their profiles in this room. "The current user must be in the room for it to work". */
export function joinedMembers(
  room: Room,
  { reader }: { reader: UserId },
): Outcome<{ joined: Record<string, JoinedMember> }> {
  const opened = openFor(room, reader)
  if (!opened.ok) return opened
  if (opened.view.standing.kind !== 'joined') return fail('not_in_room')
  const joined: Record<string, JoinedMember> = {}
  for (const events of room.reader.eventSlices(currentMembers(room, 'join'))) {
    for (const { state_key, pdu } of events) {
      if (state_key === undefined) continue
      joined[state_key] = {
        display_name: contentString(pdu, 'displayname') ?? '',
        avatar_url: contentString(pdu, 'avatar_url') ?? '',
      }
    }
  }
  return { ok: true, joined }
}

function groupAtToken(view: View, text: string): GroupId | undefined | Failure {
  const token = parseTimelineToken(text)
  if (!token) return fail('invalid_param', 'at is not a token of this room')
  const { room, standing, reader } = view
  const left = standing.kind === 'departed' ? (standing.until.pos ?? Infinity) : Infinity
  const pos = token.kind === 'live' ? Math.min(Math.max(token.pos, firstMemberPos(room)), left) : undefined
  const last = token.kind === 'live' ? eventAtPos(room, pos ?? 0) : eventAtPoint(room, token.at)
  if (!last) return fail('invalid_param', 'The room has nothing at that token')
  const group = pos === undefined ? last.stateAfter : wholeStateAt(room, pos)
  const member = pos === undefined || group === undefined ? undefined : memberIn(room, group, reader)
  const wasJoined = member !== undefined && membershipOf(member.pdu) === 'join'
  return wasJoined || view.mayKnowOf(last) ? group : fail('forbidden', 'You may not see the room as it was then')
}

/**
 * `prev_batch` of a timeline that begins with the room itself names a point at which there was no room yet. A client that
 * asks for the members there means those with whom the story begins.
 */
function firstMemberPos({ reader }: Room): number {
  const query = "SELECT pos FROM events WHERE pos > 0 AND type = 'm.room.member' ORDER BY pos LIMIT 1"
  return reader.sql.exec<{ pos: number }>(query).toArray()[0]?.pos ?? 0
}

function eventAtPos(room: Room, pos: number): StoredEvent | undefined {
  return firstEvent(room, `SELECT ${eventColumns} FROM events WHERE pos <= ? ORDER BY pos DESC LIMIT 1`, pos)
}

function eventAtPoint(room: Room, { depth, nid }: { depth: number; nid: number }): StoredEvent | undefined {
  const query = `SELECT ${eventColumns} FROM events WHERE outcome = 0 AND (depth, nid) <= (?, ?) ORDER BY depth DESC, nid DESC LIMIT 1`
  return firstEvent(room, query, depth, nid)
}

function firstEvent({ reader }: Room, query: string, ...bindings: number[]): StoredEvent | undefined {
  const row = reader.sql.exec<EventRow>(query, ...bindings).toArray()[0]
  return row && reader.fromRow(row)
}

function membersOfGroup(room: Room, group: GroupId): Nid[] {
  if (group === room.reader.header().currentGroup) return currentMembers(room)
  const nids = [...room.groups.readAll(group)]
    .filter(([key]) => splitStateMapKey(key)[0] === 'm.room.member')
    .map(([, nid]) => nid)
  return nids.sort((a, b) => a - b)
}

function currentMembers({ reader }: Room, membership?: Membership): Nid[] {
  const query =
    "SELECT event_nid AS nid FROM current_state WHERE type = 'm.room.member' AND (?1 IS NULL OR membership = ?1) ORDER BY event_nid"
  return [...reader.sql.exec<{ nid: number }>(query, membership ?? null)].map(({ nid }) => nid)
}

/** The member event of a user in a state group. */
export function memberIn({ reader, groups }: Room, group: GroupId, user: UserId): StoredEvent | undefined {
  const nid = groups.read(group, stateMapKey('m.room.member', user))
  return nid === undefined ? undefined : reader.eventOf(nid)
}
