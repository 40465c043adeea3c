/** Keeps the table of the current state, and what depends on memberships, in step with the current state group. */
import { splitStateMapKey } from '#protocol/events/state-map.ts'
import { membershipOf } from '#protocol/events/fields.ts'
import { parseUserId, type UserId } from '#protocol/identifiers/user-id.ts'

import { noteMember } from './member-names.ts'
import { type CurrentEntry, parseMembership } from './reader.ts'
import type { Room } from './room.ts'
import type { GroupId, Nid, StoredEvent } from './stored-event.ts'

/** Events that are read at once. */
const slice = 500

/** Moves the current state from one group to another. Returns the local users whose membership changed. */
export function changeCurrentState(
  room: Room,
  from: GroupId | undefined,
  to: GroupId | undefined,
  event: StoredEvent,
): UserId[] {
  if (to === undefined || from === to) return []
  const changedMembers: UserId[] = []
  const all = changes(room, from, to, event)
  if (all.length > slice) room.reader.tally.discard()
  for (let at = 0; at < all.length; at += slice) {
    const some = all.slice(at, at + slice)
    // After a join everything changes: events are read together, then each is in memory.
    if (some.length > 1) room.reader.events(some.flatMap(([, , nid]) => nid ?? []))
    for (const [type, stateKey, nid] of some) {
      const user = setPlace(room, type, stateKey, nid)
      if (user !== undefined) changedMembers.push(user)
    }
  }
  return changedMembers
}

/** Mostly the state changes by the event that was appended, which needs no comparison of groups. */
function changes(
  room: Room,
  from: GroupId | undefined,
  to: GroupId,
  event: StoredEvent,
): [string, string, Nid | undefined][] {
  if (event.stateBefore === from && event.stateAfter === to && event.state_key !== undefined) {
    return [[event.type, event.state_key, event.nid]]
  }
  const difference = room.groups.diff(from ?? room.groups.empty(), to)
  return [...difference].map(([key, [, nid]]) => [...splitStateMapKey(key), nid])
}

/** Returns the user if this is the place of a local user's membership. */
function setPlace(room: Room, type: string, stateKey: string, nid: Nid | undefined): UserId | undefined {
  const { reader, transactor } = room
  const entry: CurrentEntry | undefined =
    nid === undefined ? undefined : { nid, membership: parseMembership(membershipOf(reader.eventOf(nid).pdu)) }
  if (type === 'm.room.member') noteMember(room, stateKey, reader.currentEntry(type, stateKey), nid)
  transactor.setCurrent(type, stateKey, entry)
  const user = type === 'm.room.member' && reader.isLocal(stateKey) ? parseUserId(stateKey) : undefined
  if (user === undefined) return undefined
  if (reader.outsideMembership(user)) transactor.removeOutsideMember(user)
  // "If a user … re-joins or is invited, the room is remembered again."
  if (entry?.membership !== 'leave' && entry?.membership !== 'ban') transactor.rememberRoom(user)
  return user
}
