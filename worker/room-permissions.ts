/** Who may do what the server keeps about a room but the room itself does not: its aliases, its place in the directory. */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { own } from '#protocol/json/json.ts'

import type { Env } from './env.ts'
import { roomOf } from './rooms.ts'

export async function isJoined(env: Env, roomId: RoomId, user: UserId): Promise<boolean> {
  const found = await roomOf(env, roomId).stateEvent({ reader: user, type: 'm.room.member', stateKey: user })
  return found.ok && own(found.event.content, 'membership') === 'join'
}

/** Whoever may say what the room is called may also say who finds it: the specification leaves this to the server. */
export function mayCurate(env: Env, roomId: RoomId, user: UserId): Promise<boolean> {
  return maySendState(env, roomId, user, 'm.room.canonical_alias')
}

export async function maySendState(env: Env, roomId: RoomId, user: UserId, type: string): Promise<boolean> {
  const asked = await roomOf(env, roomId).maySendState({ user, type })
  return asked.ok && asked.allowed
}
