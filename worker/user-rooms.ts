/**
 * What concerns all rooms of one user: their profile is in each.
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
  await firstOf(rooms, background, (some) => renewMemberships(env, userId, some))
}

/**
 * Writes the profile as it is now into rooms. Two changes at once may overtake each other on their way, so whoever finds
 * afterwards that the profile is another writes that.
 */
async function renewMemberships(env: Env, userId: UserId, rooms: readonly RoomId[]): Promise<void> {
  const change = { sender: userId, target: userId, membership: 'join', action: 'profile' } as const
  let written: MemberProfile | undefined
  for (;;) {
    const profile = await profileOf(env, userId)
    if (written !== undefined && sameProfile(written, profile)) return
    written = profile
    // A room that the user has left meanwhile refuses, and one whose rules mute them: the profile stays there as it was.
    await someAtOnce(rooms, (roomId) => roomOf(env, roomId).setMembership({ ...change, profile }))
  }
}

function sameProfile(one: MemberProfile, other: MemberProfile): boolean {
  return one.displayname === other.displayname && one.avatar_url === other.avatar_url
}

/** Does the first of them now, the others behind the answer. */
async function firstOf(
  rooms: readonly RoomId[],
  background: Background,
  work: (some: readonly RoomId[]) => Promise<void>,
): Promise<void> {
  await work(rooms.slice(0, before))
  if (rooms.length > before) background.waitUntil(work(rooms.slice(before)))
}

/** One room that fails does not keep the others from it. */
async function someAtOnce(rooms: readonly RoomId[], work: (roomId: RoomId) => Promise<unknown>): Promise<void> {
  const left = [...rooms]
  const worker = async () => {
    for (let roomId = left.shift(); roomId !== undefined; roomId = left.shift()) {
      await work(roomId).catch((error: unknown) => console.error('room failed', roomId, error))
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, rooms.length) }, worker))
}
