/**
 * The summary of a room in `/sync`: how many members it has, and after whom to call it while it has no name.
 *
 * Spec: client-server-api/#get_matrixclientv3sync "RoomSummary", #calculating-the-display-name-for-a-room.
 */
import { contentString } from '#protocol/events/fields.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'

import type { Room } from './room.ts'
import type { GroupId } from './stored-event.ts'

export interface Summary {
  readonly json: JsonObject
  /** The members to call the room after; none where it has a name. */
  readonly heroes: readonly UserId[]
}

/** The members of one state of the room. */
export interface MemberCounts {
  readonly group: GroupId | undefined
  readonly joined: number
  readonly invited: number
  /** Everybody who ever had a membership. */
  readonly known: number
  /** The first joined or invited members by arrival of their membership, one more than are shown: the reader may be one. */
  readonly present: readonly UserId[]
  /** The same of those who left or were banned. */
  readonly gone: readonly UserId[]
}

const maxHeroes = 5

/** The summary of the room as it is now, for one of its members. */
export function summaryFor(room: Room, reader: UserId): Summary {
  const { joined, invited, present, gone } = countsOf(room)
  const counts = { 'm.joined_member_count': joined, 'm.invited_member_count': invited }
  if (hasName(room)) return { json: counts, heroes: [] }
  const others = (users: readonly UserId[]) => users.filter((user) => user !== reader).slice(0, maxHeroes)
  // "When no joined or invited members are available, this should consist of the banned and left users."
  const heroes = others(present).length > 0 ? others(present) : others(gone)
  return { json: { 'm.heroes': heroes, ...counts }, heroes }
}

/** "Required if the room's m.room.name or m.room.canonical_alias state events are unset or empty." */
function hasName({ reader }: Room): boolean {
  const text = (type: string, field: string) => {
    const event = reader.current(type, '')
    return event && contentString(event.pdu, field)
  }
  return Boolean(text('m.room.name', 'name') || text('m.room.canonical_alias', 'alias'))
}

/** How many members the current state has. Counted once per state, whoever asks. */
export function countsOf(room: Room): MemberCounts {
  const { memory } = room
  const { currentGroup } = room.reader.header()
  if (memory.counts?.group !== currentGroup || !memory.counts) memory.counts = count(room, currentGroup)
  return memory.counts
}

type MemberRow = { user: UserId; membership: string | null }

function count({ reader }: Room, group: GroupId | undefined): MemberCounts {
  const query =
    "SELECT state_key AS user, membership FROM current_state WHERE type = 'm.room.member' ORDER BY event_nid"
  let [joined, invited, known] = [0, 0, 0]
  const present: UserId[] = []
  const gone: UserId[] = []
  for (const { user, membership } of reader.sql.exec<MemberRow>(query)) {
    known += 1
    if (membership === 'join') joined += 1
    if (membership === 'invite') invited += 1
    const list = membership === 'join' || membership === 'invite' ? present : gone
    if (list.length <= maxHeroes && membership !== 'knock') list.push(user)
  }
  // Where members are missing here (partial-state.ts), each server in the room has one at least.
  joined = Math.max(joined, reader.partial.servers.size)
  return { group, joined, invited, known, present, gone }
}
