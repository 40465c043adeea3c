/**
 * News of the devices or cross-signing keys of a user of another server.
 *
 * Spec: server-server-api/#device-management. This server keeps no copy of their keys (every `/keys/query` goes to their
 * server), so a gap between updates needs no repair: that something changed is all that has to be passed on.
 */
import { parseUserId, serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'
import { own } from '#protocol/json/json.ts'

import { limiter } from '../../../durable-objects/shared/limit.ts'
import { noteRemoteKeyChange } from '../../accounts/remote-keys.ts'
import { roomsOfRemoteUser } from '../../accounts/remote-members.ts'
import { tellOfDevices } from '../../e2ee/announcer.ts'
import type { Env } from '../../env.ts'
import { roomOf } from '../../rooms.ts'
import type { EduHandler } from './receive-edus.ts'

/** Rooms asked at once. */
const atOnce = 20

export const receiveDeviceListUpdate: EduHandler = async (env, origin, contents) => {
  const users = contents.map((content) => parseUserId(own(content, 'user_id')))
  for (const userId of new Set(users)) {
    // A server speaks for its own users only.
    if (!userId || serverNameOf(userId) !== origin) continue
    // First: a client that asks as soon as it is told must not be answered with what was known before.
    await noteRemoteKeyChange(env, userId, Date.now())
    await tellOfDevices(env, userId, await usersWith(env, userId))
  }
}

/** Our users who share a room with that one. */
export async function usersWith(env: Env, userId: UserId): Promise<UserId[]> {
  const rooms = await roomsOfRemoteUser(env, userId)
  const limited = limiter(atOnce)
  const found = await Promise.all(
    rooms.map((roomId) => limited(() => roomOf(env, roomId).localUsersWith({ user: userId }))),
  )
  return [...new Set(found.flat())]
}
