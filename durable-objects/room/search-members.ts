/**
 * Members of the room whom somebody finds who looks for people.
 *
 * Spec: client-server-api/#user-directory: users who share a room with the requester, or are joined to a room with the
 * `public` join rule or `world_readable` history. A local user's name in one room is not looked at: their profile has the
 * name that everybody may know.
 */
import type { UserId } from '#protocol/identifiers/user-id.ts'

import { roomFacts } from './facts.ts'
import { findMembers, type FoundMember } from './member-names.ts'
import type { Room } from './room.ts'

export interface MemberSearch {
  readonly reader: UserId
  /** Words of names (name-words.ts). */
  readonly words: readonly string[]
  /** Local users of whom it is asked whether they are here. */
  readonly candidates: readonly UserId[]
}

export interface FoundMembers {
  /** Those of the candidates who are joined. */
  readonly local: readonly UserId[]
  readonly remote: readonly FoundMember[]
}

const nobody: FoundMembers = { local: [], remote: [] }

/** Members of other servers that are found at most. */
const maxFound = 50

/** Nobody for those who may not know who is in the room. */
export function searchMembers(room: Room, { reader: user, words, candidates }: MemberSearch): FoundMembers {
  const { reader } = room
  if (!reader.isKnown() || !reader.isResident()) return nobody
  const facts = roomFacts(room)
  const isPublic = facts.ok && (facts.joinRule === 'public' || facts.worldReadable)
  if (!isPublic && reader.membership(user) !== 'join') return nobody
  return {
    local: candidates.filter((each) => reader.localJoined().has(each)),
    remote: findMembers(room, words, maxFound),
  }
}
