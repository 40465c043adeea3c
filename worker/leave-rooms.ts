/** Taking a user whose account has ended out of rooms, and having their events served as erased. */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import type { Env } from './env.ts'
import { serversFor } from './memberships.ts'
import { roomOf } from './rooms.ts'

const atOnce = 10

/** Leaves rooms, turns down invites and takes back knocks, some at a time. Resolves to those where that failed. */
export async function leaveRooms(env: Env, userId: UserId, rooms: readonly RoomId[]): Promise<RoomId[]> {
  const change = { sender: userId, target: userId, membership: 'leave' } as const
  return failedOf(rooms, async (roomId) => {
    const left = await roomOf(env, roomId).setMembership({
      ...change,
      via: { roomId, servers: serversFor(roomId, []) },
    })
    if (!left.ok) console.warn(`${userId} could not leave ${roomId}: ${left.reason}`)
    return left.ok
  })
}

/** Has the user's events served redacted to those who come later. Resolves to the rooms where that failed. */
export async function eraseInRooms(env: Env, userId: UserId, rooms: readonly RoomId[]): Promise<RoomId[]> {
  return failedOf(rooms, async (roomId) => {
    await roomOf(env, roomId).eraseSender(userId)
    return true
  })
}

/** One room that fails does not keep the others from it. */
async function failedOf(rooms: readonly RoomId[], work: (roomId: RoomId) => Promise<boolean>): Promise<RoomId[]> {
  const left = [...rooms]
  const failed: RoomId[] = []
  const worker = async () => {
    for (let roomId = left.shift(); roomId !== undefined; roomId = left.shift()) {
      const done = await work(roomId).catch((error: unknown) => console.error('room failed', roomId, error))
      if (done !== true) failed.push(roomId)
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, rooms.length) }, worker))
  return failed
}
