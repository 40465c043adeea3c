/** Places at this server's SFU for users of others, who may listen there and not publish. MSC4195 (unstable). */
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import { parseUserId, serverNameOf } from '#protocol/identifiers/user-id.ts'
import * as v from 'valibot'

import { liveKitToken, memberParts, tokenFields } from '../calls/livekit-token.ts'
import { tokenPath } from '../client-server/livekit-token.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { roomOf } from '../rooms.ts'

export const getLiveKitTokenForServer = operation(
  `POST /_matrix/federation/${tokenPath}`,
  {
    id: 'getLiveKitTokenForServer',
    auth: 'server',
    body: v.object({ ...tokenFields, user_id: v.string() }),
    maxBody: 16 * 1024,
  },
  async ({ env, settings: { liveKit }, requester: { origin }, body }) => {
    if (!liveKit) return refuse('unrecognized')
    const userId = parseUserId(body.user_id) ?? refuse('invalid_param', 'user_id is not a user ID')
    if (serverNameOf(userId) !== origin) refuse('forbidden', 'That is a user of another server')
    const roomId = parseRoomId(body.room_id) ?? refuse('invalid_param', 'room_id is not a room ID')
    const member = memberParts(body) ?? refuse('missing_param', 'member is missing')
    const [joined] = await roomOf(env, roomId).joinedAmong([userId])
    if (joined === undefined) return refuse('forbidden', 'That user is not in the room')
    if (body.url.replace(/\/+$/, '') !== liveKit.url) refuse('invalid_param', 'url is not that of our SFU')
    const wishes = { roomId, slotId: body.slot_id, userId, member, canPublish: false }
    return { jwt: liveKitToken(liveKit, wishes, Date.now()) }
  },
)
