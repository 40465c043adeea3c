/**
 * `device_lists` of `/sync` and `/keys/changes`: whose devices a user's clients must look at again.
 *
 * Spec: client-server-api/#e2e-extensions-to-sync, #get_matrixclientv3keyschanges. Changes of devices stand in the user's
 * stream; who came and went, the rooms tell.
 */
import type { UserId } from '#protocol/identifiers/user-id.ts'

import type { MemberChanges } from '../../durable-objects/room/member-changes.ts'
import { limiter } from '../../durable-objects/shared/limit.ts'
import type { DeviceLists } from '../../durable-objects/user-sync/device-lists.ts'
import type { Env } from '../env.ts'
import { roomOf } from '../rooms.ts'
import { userSyncOf } from './user-sync.ts'

/**
 * Rooms that are looked through for those who left another. A user of more is not told who is gone for good: their clients
 * then follow somebody in vain, until that one comes back and counts as changed.
 */
const maxRooms = 500
const atOnce = 40

/** Who came into the reader's rooms, and with whom they share none any more. */
export interface Company {
  readonly joined: readonly UserId[]
  readonly gone: readonly UserId[]
}

export async function companyOf(env: Env, userId: UserId, changes: readonly MemberChanges[]): Promise<Company> {
  const joined = new Set(changes.flatMap((each) => each.joined))
  const leavers = new Set(changes.flatMap(({ left }) => left).filter((user) => user !== userId && !joined.has(user)))
  const gone = leavers.size === 0 ? [] : await withoutSharedRoom(env, userId, leavers)
  return { joined: [...joined], gone }
}

/** The lists after the rooms were asked. `noted` comes from the user's stream. */
export function deviceLists(noted: DeviceLists, { joined, gone }: Company): DeviceLists {
  const changed = new Set<string>([...noted.changed, ...joined])
  return { changed: [...changed], left: [...new Set([...noted.left, ...gone.filter((user) => !changed.has(user))])] }
}

async function withoutSharedRoom(env: Env, userId: UserId, users: ReadonlySet<UserId>): Promise<UserId[]> {
  const rooms = await userSyncOf(env, userId).joinedRooms()
  if (rooms.length > maxRooms) return []
  const left = new Set(users)
  const limited = limiter(atOnce)
  const ask = async (roomId: (typeof rooms)[number]) => {
    if (left.size === 0) return
    for (const user of await roomOf(env, roomId).joinedAmong([...left])) left.delete(user)
  }
  await Promise.all(rooms.map((roomId) => limited(() => ask(roomId))))
  return [...left]
}
