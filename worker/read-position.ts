/**
 * How far a user has read a room: receipts, which others may see and which the room keeps, and the fully read marker,
 * which is account data of its user.
 *
 * Spec: client-server-api/#receipts, #fully-read-markers.
 */
import { type EventId, parseEventId } from '#protocol/identifiers/event-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { own } from '#protocol/json/json.ts'

import type { Env } from './env.ts'
import { unwrap } from './refusal.ts'
import { roomOf } from './rooms.ts'
import { userSyncOf } from './sync/user-sync.ts'

export interface ReadPosition {
  readonly roomId: RoomId
  readonly user: UserId
  readonly eventId: EventId
}

/** In a request. MSC4446 (unstable). */
export const allowBackwardKey = 'com.beeper.allow_backward'

/**
 * Moves the user's fully read marker. "The event MUST belong to the room": one the user cannot see does not. It moves forward
 * only, since clients move it by themselves and may not know that another is further; `backward`: the person wants it there.
 */
export async function setFullyRead(
  env: Env,
  { roomId, user, eventId, backward }: ReadPosition & { backward: boolean },
): Promise<void> {
  const [key, object] = [{ roomId, type: 'm.fully_read' }, userSyncOf(env, user)]
  const before = backward ? undefined : await object.getAccountData(key)
  const from = before?.ok ? parseEventId(own(before.content, 'event_id')) : undefined
  const { moves } = unwrap(await roomOf(env, roomId).isMarkerMove({ reader: user, eventId, from }))
  if (moves) await object.setAccountData({ ...key, content: { event_id: eventId } })
}

/** Moves a receipt of the user. The room checks that they are in it and that the event fits the thread. */
export async function sendReceipt(
  env: Env,
  { roomId, ...position }: ReadPosition & { type: 'm.read' | 'm.read.private'; threadId?: string },
): Promise<void> {
  unwrap(await roomOf(env, roomId).receipt(position))
}
