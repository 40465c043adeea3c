/**
 * Tells those who share rooms with a user whether they are there.
 *
 * Spec: client-server-api/#presence, server-server-api/#presence. A change costs a call to each of the user's rooms, one to
 * each of their users here, and one to the sender: the reason why presence is off unless the owner wants it.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { type Presence, presenceEdu } from '#protocol/presence/presence.ts'

import { limiter } from '../../durable-objects/shared/limit.ts'
import { audienceOf } from '../e2ee/announcer.ts'
import type { Env } from '../env.ts'
import { federationSender } from '../federation-client/sender.ts'
import { userSyncOf } from '../sync/user-sync.ts'

const atOnce = 20
/** Whoever is in more rooms than this is not seen in the rest. */
const maxRooms = 500

export async function tellPresence(
  env: Env,
  userId: UserId,
  { rooms, presence, ask }: { rooms: readonly RoomId[]; presence: Presence; ask: boolean },
): Promise<(readonly [UserId, Presence])[]> {
  const { users, servers } = await audienceOf(env, rooms.slice(0, maxRooms))
  if (servers.length > 0 && !(ask && presence.presence === 'offline')) {
    const edu = presenceEdu(userId, presence, Date.now())
    await federationSender(env).sendPassingEdu({ key: `presence ${userId}`, edu, destinations: [...servers] })
  }
  const limited = limiter(atOnce)
  const others = users.filter((user) => user !== userId)
  const answers = await Promise.all(
    others.map((user) =>
      limited(async () => [user, await userSyncOf(env, user).presenceTold({ userId, presence, ask })] as const),
    ),
  )
  return answers.flatMap(([user, theirs]) => (theirs ? [[user, theirs] as const] : []))
}
