/** Follows a room to its replacement with what a user attached to it. Spec: client-server-api/#room-upgrades. */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, own } from '#protocol/json/json.ts'
import { succeedInDirect } from '#protocol/succeed-room.ts'

import type { Env } from './env.ts'
import { roomOf } from './rooms.ts'
import { userSyncOf } from './sync/user-sync.ts'

/** To be called when a user has joined a room: does nothing unless the room replaces one. */
export async function succeedPredecessor(env: Env, user: UserId, roomId: RoomId): Promise<void> {
  const create = await roomOf(env, roomId).stateEvent({ reader: user, type: 'm.room.create', stateKey: '' })
  const predecessor = create.ok && isObject(create.event.content) ? own(create.event.content, 'predecessor') : undefined
  const from = isObject(predecessor) ? parseRoomId(own(predecessor, 'room_id')) : undefined
  if (from !== undefined) await succeed(env, user, from, roomId)
}

/** Anyone can name any room as a predecessor: all this gives them is what the user already said about that room. */
export async function succeed(env: Env, user: UserId, from: RoomId, to: RoomId): Promise<void> {
  const object = userSyncOf(env, user)
  const [oldTags, newTags] = await Promise.all([object.tags(from), object.tags(to)])
  for (const [tag, content] of Object.entries(oldTags)) {
    if (isObject(content) && !Object.hasOwn(newTags, tag)) await object.setTag({ roomId: to, tag, content })
  }
  await object.copyRoomRule({ from, to })
  const before = await object.getAccountData({ type: 'm.direct' })
  const direct = before.ok ? succeedInDirect(before.content, from, to) : undefined
  if (direct) await object.setAccountData({ type: 'm.direct', content: direct })
}
