/**
 * What a client learns of its rooms and has to answer by its keys: others who verify it in a chat of two.
 *
 * Clients on matrix-rust-sdk (Element X) look at rooms with one request and at keys with another, and send what their
 * encryption has to say only when the second begins anew. So an answer with such events is followed by one of that request,
 * as soon as the client shows that it has read the first; else every step of a verification would take as long as a wait.
 */
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, type JsonValue, own } from '#protocol/json/json.ts'

import type { SlidingRead } from '../../durable-objects/user-sync/sliding/sliding-read.ts'
import type { GatheredSliding } from './gather-sliding.ts'

const verification = 'm.key.verification.'

/** Whether that goes for an answer: it is on a request for rooms alone. */
export function givesKeysToDo(
  userId: UserId,
  read: SlidingRead,
  gathered: Pick<GatheredSliding, 'rooms' | 'pairs'>,
): boolean {
  if (read.extensions.e2ee) return false
  return read.rooms.some(({ roomId, isDirect }) => {
    // Clients do not mark every direct chat as one.
    const room = isDirect || gathered.pairs.has(roomId) ? gathered.rooms[roomId] : undefined
    const [timeline, live] = room ? [own(room, 'timeline'), own(room, 'num_live')] : []
    if (!Array.isArray(timeline) || typeof live !== 'number' || live === 0) return false
    return timeline.slice(-live).some((event) => mayVerify(userId, event))
  })
}

/** Encrypted events may be anything. */
function mayVerify(userId: UserId, event: JsonValue): boolean {
  if (!isObject(event) || own(event, 'sender') === userId) return false
  const [type, content] = [own(event, 'type'), own(event, 'content')]
  if (typeof type !== 'string') return false
  const kind = type === 'm.room.message' && isObject(content) ? own(content, 'msgtype') : type
  return kind === 'm.room.encrypted' || (typeof kind === 'string' && kind.startsWith(verification))
}
