/** Spec: server-server-api/#typing-notifications. */
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import { parseUserId, serverNameOf } from '#protocol/identifiers/user-id.ts'
import { own } from '#protocol/json/json.ts'

import { roomOf } from '../../rooms.ts'
import type { EduHandler } from './receive-edus.ts'

/** How long a remote user is shown as typing unless the server says otherwise: it repeats itself before that. */
const shownMs = 30_000

export const receiveTyping: EduHandler = async (env, origin, content) => {
  const roomId = parseRoomId(own(content, 'room_id'))
  const user = parseUserId(own(content, 'user_id'))
  // A server speaks for its own users only.
  if (!roomId || !user || serverNameOf(user) !== origin) return
  await roomOf(env, roomId).remoteTyping({ origin, user, typing: own(content, 'typing') === true, timeoutMs: shownMs })
}
