/**
 * Lists whose room was upgraded are followed to the room that took its place.
 *
 * Spec: client-server-api/#subscribing-to-policy-lists, which leaves the way to implementations; #room-upgrades: a tombstone
 * names the new room. Its moderators are trusted with the rules, and so with that. The old rules hold until the new room has
 * some, and then to the next hour: upgrading copies no rules, and a tool that does takes its time.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'

import { followedLists, listPolicyLists, maxPolicyLists, type PolicyList } from './accounts/policy-lists.ts'
import type { Env } from './env.ts'
import { followList, unfollowList } from './policy-subscriptions.ts'
import { roomOf } from './rooms.ts'

/** Servers to join over that the old room names. */
const mostServers = 10

/** A room has a tombstone, which may be new: where it is followed as a list, so is what it names. */
export async function followReplacement(env: Env, roomId: RoomId): Promise<void> {
  if (!(await followedLists(env)).includes(roomId)) return
  let list = (await listPolicyLists(env)).find((each) => each.roomId === roomId)
  // That one may have been replaced as well. There are only so many lists, and none is followed twice.
  while (list) list = await succeedList(env, list, false)
}

/** By the clock: what could not be followed before is now, and lists are given up that another has taken the place of. */
export async function followReplacements(env: Env): Promise<void> {
  for (const list of await listPolicyLists(env)) {
    await succeedList(env, list, true).catch((error: unknown) => console.error('a list was not followed', error))
  }
}

/** Returns the list that is followed now and was not before. */
async function succeedList(
  env: Env,
  { roomId, addedBy, addedAt }: PolicyList,
  givesUp: boolean,
): Promise<PolicyList | undefined> {
  const found = await lastSuccessor(env, roomId)
  if (!found) return undefined
  const { successor, isFollowed, counts } = found
  const lists = await listPolicyLists(env)
  if (!lists.some((each) => each.roomId === successor.roomId)) {
    const servers = successor.servers.slice(0, mostServers)
    await followList(env, { roomId: successor.roomId, servers, admin: addedBy })
    return { roomId: successor.roomId, addedBy, addedAt }
  }
  if (givesUp && isFollowed && counts.user + counts.room + counts.server > 0) await unfollowList(env, roomId)
  return undefined
}

/** The room at the end of those that took each other's place, as far as this server knows them; none where they go in a circle. */
async function lastSuccessor(env: Env, roomId: RoomId) {
  const passed = new Set([roomId])
  let facts = await roomOf(env, roomId).policyListFacts()
  let successor = facts.successor
  while (facts.successor) {
    successor = facts.successor
    if (passed.has(successor.roomId) || passed.size > maxPolicyLists) return undefined
    passed.add(successor.roomId)
    facts = await roomOf(env, successor.roomId).policyListFacts()
  }
  return successor && { ...facts, successor }
}
