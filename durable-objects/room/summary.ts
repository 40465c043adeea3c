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

/** How many members the room has now. */
export interface MemberCounts {
  readonly joined: number
  readonly invited: number
  /** Everybody who ever had a membership. */
  readonly known: number
}

/** The members to call a room after, in one of its states. */
export interface Heroes {
  readonly group: GroupId | undefined
  /** The first joined or invited members by arrival of their membership, one more than are shown: the reader may be one. */
  readonly present: readonly UserId[]
  /** The same of those who left or were banned. */
  readonly gone: readonly UserId[]
}

const maxHeroes = 5

/** The summary of the room as it is now, for one of its members. */
export function summaryFor(room: Room, reader: UserId): Summary {
  const { joined, invited } = countsOf(room)
  const counts = { 'm.joined_member_count': joined, 'm.invited_member_count': invited }
  if (hasName(room)) return { json: counts, heroes: [] }
  const { present, gone } = heroesOf(room)
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

export function countsOf({ reader }: Room): MemberCounts {
  const { joined, invited, known } = reader.tally.counts
  // Where members are missing here (partial-state.ts), each server in the room has one at least.
  return { joined: Math.max(joined, reader.partial.servers.size), invited, known }
}

/** Found once per state, whoever asks; only for a room without a name, since all members are read for it. */
export function heroesOf(room: Room): Heroes {
  const { memory } = room
  const { currentGroup } = room.reader.header()
  if (memory.heroes?.group !== currentGroup || !memory.heroes) memory.heroes = findHeroes(room, currentGroup)
  return memory.heroes
}

type MemberRow = { user: UserId; membership: string | null }

function findHeroes({ reader }: Room, group: GroupId | undefined): Heroes {
  const query =
    "SELECT state_key AS user, membership FROM current_state WHERE type = 'm.room.member' ORDER BY event_nid"
  const present: UserId[] = []
  const gone: UserId[] = []
  for (const { user, membership } of reader.sql.exec<MemberRow>(query)) {
    const list = membership === 'join' || membership === 'invite' ? present : gone
    if (list.length <= maxHeroes && membership !== 'knock') list.push(user)
  }
  return { group, present, gone }
}
