/**
 * How far a user has read a room: receipts, which others may see and which the room keeps, and the fully read marker,
 * which is account data of its user.
 *
 * Spec: client-server-api/#receipts, #fully-read-markers.
 */
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import type { Env } from './env.ts'
import { unwrap } from './refusal.ts'
import { roomOf } from './rooms.ts'
import { userSyncOf } from './sync/user-sync.ts'

export interface ReadPosition {
  readonly roomId: RoomId
  readonly user: UserId
  readonly eventId: EventId
}

/** Moves the user's fully read marker. "The event MUST belong to the room": one the user cannot see does not. */
export async function setFullyRead(env: Env, { roomId, user, eventId }: ReadPosition): Promise<void> {
  unwrap(await roomOf(env, roomId).event({ reader: user, eventId }))
  await userSyncOf(env, user).setAccountData({ roomId, type: 'm.fully_read', content: { event_id: eventId } })
}

/** Moves a receipt of the user. The room checks that they are in it and that the event fits the thread. */
export async function sendReceipt(
  env: Env,
  { roomId, ...position }: ReadPosition & { type: 'm.read' | 'm.read.private'; threadId?: string },
): Promise<void> {
  unwrap(await roomOf(env, roomId).receipt(position))
}
