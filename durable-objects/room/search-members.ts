/**
 * Members of the room whom somebody finds who looks for people.
 *
 * Spec: client-server-api/#user-directory: users who share a room with the requester, or are joined to a room with the
 * `public` join rule or `world_readable` history. A local user's name in one room is not looked at: their profile has the
 * name that everybody may know.
 */
import { contentString } from '#protocol/events/fields.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import { roomFacts } from './facts.ts'
import type { Room } from './room.ts'

export interface MemberSearch {
  readonly reader: UserId
  /** In small letters. */
  readonly term: string
  /** Local users of whom it is asked whether they are here. */
  readonly candidates: readonly UserId[]
}

export interface FoundMembers {
  /** Those of the candidates who are joined. */
  readonly local: readonly UserId[]
  readonly remote: readonly FoundMember[]
}

export interface FoundMember {
  readonly userId: UserId
  readonly displayName: string | undefined
  readonly avatarUrl: string | undefined
}

const nobody: FoundMembers = { local: [], remote: [] }

/** Members of other servers that are gone through, and found, at most. */
const [maxMembers, maxFound] = [2000, 50]

const membersQuery =
  "SELECT state_key AS user, event_nid AS nid FROM current_state WHERE type = 'm.room.member' AND membership = 'join' " +
  `AND substr(state_key, instr(state_key, ':') + 1) <> ? LIMIT ${maxMembers}`

/** Nobody for those who may not know who is in the room. */
export function searchMembers(room: Room, { reader: user, term, candidates }: MemberSearch): FoundMembers {
  const { reader } = room
  if (!reader.isKnown() || !reader.isResident()) return nobody
  const facts = roomFacts(room)
  const isPublic = facts.ok && (facts.joinRule === 'public' || facts.worldReadable)
  if (!isPublic && reader.membership(user) !== 'join') return nobody
  const remote: FoundMember[] = []
  for (const row of reader.sql.exec<{ user: UserId; nid: number }>(membersQuery, reader.serverName).toArray()) {
    const { pdu } = reader.eventOf(row.nid)
    const displayName = contentString(pdu, 'displayname')
    const isFound = row.user.toLowerCase().includes(term) || displayName?.toLowerCase().includes(term)
    if (isFound) remote.push({ userId: row.user, displayName, avatarUrl: contentString(pdu, 'avatar_url') })
    if (remote.length === maxFound) break
  }
  return { local: candidates.filter((each) => reader.localJoined().has(each)), remote }
}
