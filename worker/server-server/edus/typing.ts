/** Spec: server-server-api/#typing-notifications. */
import { parseRoomId, type RoomId } from '#protocol/identifiers/room-id.ts'
import { parseUserId, serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'
import { own } from '#protocol/json/json.ts'

import { roomOf } from '../../rooms.ts'
import type { EduHandler } from './receive-edus.ts'

/** How long a remote user is shown as typing unless the server says otherwise: it repeats itself before that. */
const shownMs = 30_000

export const receiveTyping: EduHandler = async (env, origin, contents) => {
  const latest = new Map<string, { readonly roomId: RoomId; readonly user: UserId; readonly typing: boolean }>()
  for (const content of contents) {
    const roomId = parseRoomId(own(content, 'room_id'))
    const user = parseUserId(own(content, 'user_id'))
    // A server speaks for its own users only.
    if (!roomId || !user || serverNameOf(user) !== origin) continue
    latest.set(`${roomId} ${user}`, { roomId, user, typing: own(content, 'typing') === true })
  }
  for (const { roomId, user, typing } of latest.values()) {
    await roomOf(env, roomId).remoteTyping({ origin, user, typing, timeoutMs: shownMs })
  }
}
