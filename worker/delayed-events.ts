/**
 * Delayed events (MSC4140) from the side of the Worker: how long a delay may be, and how the ID of one leads to its room.
 */
import { maxDelay } from '#protocol/delayed-limits.ts'
import { parseRoomId, type RoomId } from '#protocol/identifiers/room-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { decodeBase64, encodeBase64UrlUnpadded } from '#protocol/signing/base64.ts'

import { randomText } from './accounts/tokens.ts'
import type { Env } from './env.ts'
import { limitUser } from './middleware/rate-limit.ts'
import type { Requester } from './operation.ts'
import { refuse } from './refusal.ts'
import { roomOf, unwrapAsMember } from './rooms.ts'
import { settingsOf } from './settings.ts'
import { userSyncOf } from './sync/user-sync.ts'

export interface Delayed {
  readonly roomId: RoomId
  readonly type: string
  readonly stateKey?: string | undefined
  readonly txnId?: string | undefined
  readonly content: JsonObject
  /** Milliseconds. */
  readonly delay: number
  /** How long it is sticky from then on, in ms. */
  readonly stickyDuration?: number
}

/** The `delay` of a query, in ms; undefined where the event is to be sent now. */
export function delayOf(query: URLSearchParams): number | undefined {
  const text = query.get('org.matrix.msc4140.delay')
  if (text === null) return undefined
  const delay = /^\d{1,12}$/.test(text) ? Number(text) : 0
  return checkDelay(delay)
}

/** Clients that meet the limit read it in the answer and ask again. */
export function checkDelay(delay: number): number {
  if (!Number.isSafeInteger(delay) || delay <= 0)
    return refuse('invalid_param', 'The delay must be a number of milliseconds above 0')
  if (delay <= maxDelay) return delay
  return refuse('delay_too_large', undefined, {
    'org.matrix.msc4140.errcode': 'M_MAX_DELAY_EXCEEDED',
    'org.matrix.msc4140.max_delay': maxDelay,
  })
}

/** Notes an event to be sent later. */
export async function sendLater(env: Env, { userId, deviceId }: Requester, delayed: Delayed) {
  limitUser('message', userId, settingsOf(env))
  const { roomId, ...event } = delayed
  // First: a room that is listed needlessly is found empty, one that is not would be forgotten.
  await userSyncOf(env, userId).noteDelayedRoom(roomId)
  const noted = await roomOf(env, roomId).delayEvent({
    ...event,
    delayId: newDelayId(roomId),
    sender: userId,
    deviceId,
  })
  const { delay_id } = unwrapAsMember(noted)
  return { delay_id }
}

/** `<room>.<secret>`: whoever knows it may act on the event. */
function newDelayId(roomId: RoomId): string {
  return `${encodeBase64UrlUnpadded(new TextEncoder().encode(roomId))}.${randomText(32)}`
}

/** The room of a delayed event; undefined for what no room gave out. */
export function roomOfDelayed(delayId: string): RoomId | undefined {
  const match = /^([\w-]{1,400})\.[A-Za-z0-9]{32}$/.exec(delayId)
  const bytes = match?.[1] === undefined ? undefined : decodeBase64(match[1])
  return bytes && parseRoomId(new TextDecoder().decode(bytes))
}
