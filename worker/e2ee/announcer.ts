/** How a user's object reaches those who must hear that its user's devices or profile changed. */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import { limiter } from '../../durable-objects/shared/limit.ts'
import type { Announcer, Audience } from '../../durable-objects/user-sync/device-changes.ts'
import { keysOf } from '../accounts/device-keys.ts'
import type { Env } from '../env.ts'
import { federationSender } from '../federation-client/sender.ts'
import { roomOf } from '../rooms.ts'
import { settingsOf } from '../settings.ts'
import { userSyncOf } from '../sync/user-sync.ts'

/** Rooms asked, and users told, at once. */
const atOnce = 20

/** These note a change for the user's own clients. */
export interface Self {
  readonly devicesChanged: () => void
  readonly profileChanged: (fields: readonly string[]) => void
}

export function announcerFor(env: Env, userId: UserId, joinedRooms: () => readonly RoomId[], self: Self): Announcer {
  return {
    tellsNames: settingsOf(env).tellsDeviceNames,
    joinedRooms,
    audienceOf: (rooms) => audienceOf(env, rooms),
    publicKeys: async () => (await keysOf(env, [userId], undefined)).get(userId) ?? { devices: [], crossSigning: {} },
    tellUsers: async (users) => {
      self.devicesChanged()
      await tellOfDevices(
        env,
        userId,
        users.filter((user) => user !== userId),
      )
    },
    tellProfile: async (users, fields) => {
      self.profileChanged(fields)
      const limited = limiter(atOnce)
      const others = users.filter((user) => user !== userId)
      await Promise.all(others.map((user) => limited(() => userSyncOf(env, user).profileChanged({ userId, fields }))))
    },
    sendEdu: (edu, destinations) => federationSender(env).sendEdu({ edu, destinations }),
  }
}

/** Everybody in these rooms. Throws when a room cannot be asked. */
export async function audienceOf(env: Env, rooms: readonly RoomId[]): Promise<Audience> {
  const limited = limiter(atOnce)
  const users = new Set<UserId>()
  const servers = new Set<ServerName>()
  const ask = async (roomId: RoomId) => {
    const audience = await roomOf(env, roomId).audience()
    for (const user of audience.users) users.add(user)
    for (const server of audience.servers) servers.add(server)
  }
  await Promise.all(rooms.map((roomId) => limited(() => ask(roomId))))
  return { users: [...users], servers: [...servers] }
}

/** Tells users of this server that somebody's devices changed. */
export async function tellOfDevices(env: Env, userId: UserId, users: readonly UserId[]): Promise<void> {
  const limited = limiter(atOnce)
  await Promise.all(
    users.map((user) => limited(() => userSyncOf(env, user).deviceListChanged({ userId, left: false }))),
  )
}
