/**
 * What concerns all rooms of one user: their profile is in each, and an account that ends leaves them.
 *
 * Rooms are asked some at a time. The first of them before the answer, so that a client sees its change done; a user of
 * very many rooms has the rest done behind it.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import { type MemberProfile, profileOf } from './accounts/profiles.ts'
import type { Env } from './env.ts'
import type { Call } from './operation.ts'
import { roomOf } from './rooms.ts'
import { userSyncOf } from './sync/user-sync.ts'

/** Rooms that are done before the answer. */
const before = 100
const atOnce = 10

type Background = Pick<Call<string, 'none', undefined>, 'waitUntil'>

/** Spec: client-server-api/#events-on-change-of-profile-information: "a `join` membership is sent to every room". */
export async function propagateProfile(env: Env, userId: UserId, background: Background): Promise<void> {
  const rooms = await userSyncOf(env, userId).joinedRooms()
  await inRooms(rooms, background, (roomId) => renewMembership(env, userId, roomId))
}

/**
 * Writes the profile as it is now into one room. Two changes at once may overtake each other on their way, so whoever
 * finds afterwards that the profile is another writes that.
 */
async function renewMembership(env: Env, userId: UserId, roomId: RoomId): Promise<void> {
  const change = { sender: userId, target: userId, membership: 'join' as const }
  let profile: MemberProfile | undefined
  for (;;) {
    const now = await profileOf(env, userId)
    if (profile !== undefined && sameProfile(profile, now)) return
    profile = now
    const renewed = await roomOf(env, roomId).setMembership({ ...change, profile })
    // Left meanwhile, or muted by the room's rules: the profile stays as it was there.
    if (!renewed.ok) return
  }
}

function sameProfile(one: MemberProfile, other: MemberProfile): boolean {
  return one.displayname === other.displayname && one.avatar_url === other.avatar_url
}

/** Leaves every room, turns down every invite and takes back every knock. */
export async function leaveEverything(env: Env, userId: UserId, background: Background): Promise<void> {
  const rooms = (await userSyncOf(env, userId).rooms()).filter(
    ({ membership }) => membership === 'join' || membership === 'invite' || membership === 'knock',
  )
  const ids = rooms.map(({ roomId }) => roomId)
  await inRooms(ids, background, async (roomId) => {
    const left = await roomOf(env, roomId).setMembership({ sender: userId, target: userId, membership: 'leave' })
    if (!left.ok) console.warn(`${userId} could not leave ${roomId}: ${left.reason}`)
  })
}

async function inRooms(rooms: readonly RoomId[], background: Background, work: (roomId: RoomId) => Promise<void>) {
  await someAtOnce(rooms.slice(0, before), work)
  if (rooms.length > before) background.waitUntil(someAtOnce(rooms.slice(before), work))
}

/** One room that fails does not keep the others from it. */
async function someAtOnce(rooms: readonly RoomId[], work: (roomId: RoomId) => Promise<void>): Promise<void> {
  const left = [...rooms]
  const worker = async () => {
    for (let roomId = left.shift(); roomId !== undefined; roomId = left.shift()) {
      await work(roomId).catch((error: unknown) => console.error('room failed', roomId, error))
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, rooms.length) }, worker))
}
