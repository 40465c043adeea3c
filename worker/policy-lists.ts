/**
 * What the policy lists that this server follows keep away: invites, joins and knocks of whom they ban, into what they ban.
 *
 * Spec: client-server-api/#moderation-policy-lists: "The user should not be allowed to send invites to users on the server",
 * "prevent users from joining the room and from receiving invites to it", "avoid federating with the server … by blocking
 * invites from the server and … no outbound invites". Who is in a room already stays: rooms have moderators for that.
 *
 * Each list is asked in its room's object, all at once; which lists there are, an isolate remembers. Without a list nothing is
 * asked. A rule about this server's own name is not heeded, and the lists' own rooms can always be entered: else a list could
 * end itself, or the server.
 */
import type { RoomAlias } from '#protocol/identifiers/room-alias.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'
import type { PolicyRule, PolicySubject } from '#protocol/policy-rules.ts'

import { followedLists } from './accounts/policy-lists.ts'
import type { Env } from './env.ts'
import { refuse } from './refusal.ts'
import { roomOf } from './rooms.ts'
import { settingsOf } from './settings.ts'

/** Who wants to do what with which room. */
export interface PolicyQuestion {
  /** Of them none may be banned, nor their servers. */
  readonly users: readonly UserId[]
  readonly servers?: readonly ServerName[]
  readonly roomId?: RoomId
  readonly alias?: RoomAlias | undefined
}

export interface PolicyBan extends PolicyRule {
  /** The list. */
  readonly listId: RoomId
}

/** Refuses with M_FORBIDDEN what a policy list bans. The rule is not named: who is refused could be a spammer who probes. */
export async function refuseBanned(env: Env, question: PolicyQuestion): Promise<void> {
  const ban = await policyBan(env, question)
  if (ban) refuse('banned_by_policy')
}

/** The ban that a question meets first. */
export async function policyBan(env: Env, question: PolicyQuestion): Promise<PolicyBan | undefined> {
  const lists = await followedLists(env)
  if (lists.length === 0) return undefined
  const subjects = subjectsOf(question, lists, settingsOf(env).serverName)
  const verdicts = await Promise.all(
    lists.map(async (listId) => {
      const rule = await roomOf(env, listId).policyVerdict({ subjects })
      return rule && { ...rule, listId }
    }),
  )
  return verdicts.find((ban) => ban !== null) ?? undefined
}

function subjectsOf(
  { users, servers = [], roomId, alias }: PolicyQuestion,
  lists: readonly RoomId[],
  ownName: ServerName,
): PolicySubject[] {
  const subjects: PolicySubject[] = users.map((text) => ({ kind: 'user', text }))
  for (const text of new Set([...servers, ...users.map(serverNameOf)])) {
    if (text !== ownName) subjects.push({ kind: 'server', text })
  }
  if (roomId !== undefined && lists.includes(roomId)) return subjects
  if (roomId !== undefined) subjects.push({ kind: 'room', text: roomId })
  if (alias !== undefined) subjects.push({ kind: 'room', text: alias })
  return subjects
}
