/** What kicking, banning and unbanning share: one user does something to another, and may say why. */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { redactEventsKey } from '#protocol/redact-events.ts'
import * as v from 'valibot'

import type { Env } from '../env.ts'
import { limitUser } from '../middleware/rate-limit.ts'
import { roomOf, unwrapAsMember } from '../rooms.ts'
import { settingsOf } from '../settings.ts'
import { userIdFrom } from './parameters.ts'

export const targetBody = v.looseObject({
  user_id: v.string(),
  reason: v.optional(v.string()),
  [redactEventsKey]: v.optional(v.boolean()),
})

interface Moderation {
  readonly sender: UserId
  readonly membership: 'leave' | 'ban'
  /** Tells the ways of setting `leave` apart: an unban of someone who is not banned must not become a kick. */
  readonly action: 'kick' | 'ban' | 'unban'
  readonly body: v.InferOutput<typeof targetBody>
}

/** Changes the membership of `body.user_id`; answers `{}`. */
export async function moderate(env: Env, roomId: RoomId, { sender, membership, action, body }: Moderation) {
  limitUser('membership', sender, settingsOf(env))
  const { user_id, reason, [redactEventsKey]: redactEvents } = body
  const change = {
    sender,
    target: userIdFrom(user_id),
    membership,
    action,
    ...(reason === undefined ? {} : { reason }),
    // MSC4293 (unstable): what they sent goes with them.
    ...(redactEvents === undefined || action === 'unban' ? {} : { content: { [redactEventsKey]: redactEvents } }),
  }
  unwrapAsMember(await roomOf(env, roomId).setMembership(change))
  return {}
}
