/**
 * Whose devices a reader has to look at because of this room: who came into it, or left it, since they last heard of it.
 *
 * Spec: client-server-api/#e2e-extensions-to-sync (`device_lists`): users "who now share an encrypted room with the client",
 * and those with whom none is shared any more. Rooms may become encrypted at any time, so every room counts.
 */
import { membershipOf } from '#protocol/events/fields.ts'
import { splitStateMapKey } from '#protocol/events/state-map.ts'
import { parseUserId, type UserId } from '#protocol/identifiers/user-id.ts'

import type { Room } from './room.ts'
import { membershipAt, wasJoinedFrom } from './slice.ts'
import { stateGroupAt } from './state-at.ts'
import type { Nid } from './stored-event.ts'
import { viewOf } from './visibility.ts'

export interface MemberChanges {
  readonly joined: readonly UserId[]
  /** They may share other rooms with the reader. */
  readonly left: readonly UserId[]
}

export interface MemberChangesRequest {
  readonly reader: UserId
  /** What the reader has heard of the room; null for nothing. */
  readonly from: { readonly pos: number } | null
}

const none: MemberChanges = { joined: [], left: [] }

export function memberChanges(room: Room, { reader, from }: MemberChangesRequest): MemberChanges {
  if (!room.reader.isKnown()) return none
  const view = viewOf(room, reader)
  const entry = room.reader.currentEntry('m.room.member', reader)
  const isIn = entry?.membership === 'join'
  if (!isIn) {
    const wasIn = from !== null && membershipAt(view, from.pos) === 'join'
    return wasIn ? { joined: [], left: room.reader.usersWith('join').filter((user) => user !== reader) } : none
  }
  const stayed = from !== null && wasJoinedFrom(view, from.pos, room.reader.eventOf(entry.nid))
  const changes = stayed ? changesSince(room, from.pos) : none
  // What came of those whom we did not know then (partial-state.ts) went to nobody.
  const wasPartial = stayed && !room.reader.partial.isOpen && room.reader.partial.wasOpenAt(from.pos)
  return stayed && !wasPartial ? changes : { joined: room.reader.usersWith('join'), left: changes.left }
}

function changesSince(room: Room, pos: number): MemberChanges {
  const { reader, groups } = room
  const { currentGroup } = reader.header()
  const before = stateGroupAt(room, pos)
  if (before === undefined || currentGroup === undefined || before === currentGroup) return none
  const joined: UserId[] = []
  const left: UserId[] = []
  for (const [key, [then, now]] of groups.diff(before, currentGroup)) {
    const [type, name] = splitStateMapKey(key)
    const user = type === 'm.room.member' ? parseUserId(name) : undefined
    if (!user) continue
    const wasIn = isJoin(room, then)
    if (isJoin(room, now) && !(wasIn && stayedSince(room, user, pos))) joined.push(user)
    else if (wasIn && !isJoin(room, now)) left.push(user)
  }
  return { joined, left }
}

function isJoin({ reader }: Room, nid: Nid | undefined): boolean {
  return nid !== undefined && membershipOf(reader.eventOf(nid).pdu) === 'join'
}

/** Whether nothing of a user's member events since a position says that they were out meanwhile. */
function stayedSince({ reader }: Room, user: UserId, pos: number): boolean {
  const query = `SELECT 1 AS found FROM events WHERE pos > ? AND type = 'm.room.member' AND state_key = ? AND outcome = 0
    AND json_extract(json, '$.content.membership') <> 'join' LIMIT 1`
  return reader.sql.exec(query, pos, user).toArray().length === 0
}
