/**
 * Following policy lists: which rooms this server takes rules from, and that it hears of new rules there.
 *
 * Spec: client-server-api/#subscribing-to-policy-lists, which leaves the way to implementations.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { PolicyKind } from '#protocol/policy-rules.ts'
import { noticesUser } from '#protocol/server-notices.ts'

import {
  addPolicyList,
  listPolicyLists,
  maxPolicyLists,
  type PolicyList,
  removePolicyList,
} from './accounts/policy-lists.ts'
import type { Env } from './env.ts'
import { serversFor } from './memberships.ts'
import { refuse, unwrap } from './refusal.ts'
import { roomOf } from './rooms.ts'
import { settingsOf } from './settings.ts'

/**
 * Follows a room as a list. Somebody of this server has to be in it, so that it hears of new rules: where nobody is, the
 * server's own user joins, in the name of nobody.
 */
export async function followList(
  env: Env,
  list: { readonly roomId: RoomId; readonly servers: readonly ServerName[]; readonly admin: UserId },
): Promise<void> {
  const { roomId, servers, admin } = list
  const known = await listPolicyLists(env)
  if (known.length >= maxPolicyLists && !known.some((each) => each.roomId === roomId)) {
    refuse('invalid_param', `This server follows ${maxPolicyLists} lists at most`)
  }
  const room = roomOf(env, roomId)
  const { isFollowed } = await room.policyListFacts()
  if (!isFollowed) {
    const user = noticesUser(settingsOf(env).serverName)
    const via = { roomId, servers: serversFor(roomId, servers) }
    unwrap(await room.setMembership({ sender: user, target: user, membership: 'join', via }))
  }
  await addPolicyList(env, { roomId, addedBy: admin })
}

/** Follows a list no longer; the server's own user leaves. False when it was not followed. */
export async function unfollowList(env: Env, roomId: RoomId): Promise<boolean> {
  const wasFollowed = await removePolicyList(env, roomId)
  const user = noticesUser(settingsOf(env).serverName)
  const room = roomOf(env, roomId)
  if (wasFollowed && (await room.membershipOf({ user })) === 'join') {
    unwrap(await room.setMembership({ sender: user, target: user, membership: 'leave', via: { roomId, servers: [] } }))
  }
  return wasFollowed
}

export type FollowedList = PolicyList & {
  readonly name: string | undefined
  readonly isFollowed: boolean
  readonly counts: Readonly<Record<PolicyKind, number>>
  /** The room that took its place. */
  readonly successor?: { readonly roomId: RoomId }
}

/** The lists with what an administrator wants to know of them. */
export async function describeLists(env: Env): Promise<FollowedList[]> {
  return Promise.all(
    (await listPolicyLists(env)).map(async (list) => {
      const room = roomOf(env, list.roomId)
      const [facts, policy] = await Promise.all([room.facts(), room.policyListFacts()])
      return { ...list, name: facts.ok ? facts.name : undefined, ...policy }
    }),
  )
}
