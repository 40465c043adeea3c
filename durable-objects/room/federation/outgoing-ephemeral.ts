/**
 * Typing and public receipts of local users, for the other servers in the room. They may be lost: a newer one replaces an
 * older that was not sent yet.
 *
 * Spec: server-server-api/#typing-notifications, #receipts.
 */
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'

import type { ReceiptRequest } from '../receipts.ts'
import type { Room } from '../room.ts'

export interface PassingEdu {
  /** Of several with the same key the last one counts. */
  readonly key: string
  readonly edu: JsonObject
  readonly destinations: ServerName[]
}

export function typingEdu(room: Room, user: UserId, typing: boolean): PassingEdu {
  const { roomId } = room.reader.header()
  const content = { room_id: roomId, user_id: user, typing }
  return { key: `typing ${roomId} ${user}`, edu: { edu_type: 'm.typing', content }, destinations: others(room) }
}

/** Undefined for private receipts, which stay here. `ts` is in milliseconds since 1970. */
export function receiptEdu(
  room: Room,
  { user, type, eventId, threadId }: ReceiptRequest,
  ts: number,
): PassingEdu | undefined {
  if (type !== 'm.read') return undefined
  const { roomId } = room.reader.header()
  const data = { ts, ...(threadId === undefined ? {} : { thread_id: threadId }) }
  const content = { [roomId]: { 'm.read': { [user]: { event_ids: [eventId], data } } } }
  const key = `receipt ${roomId} ${user} ${threadId ?? ''}`
  return { key, edu: { edu_type: 'm.receipt', content }, destinations: others(room) }
}

function others({ reader }: Room): ServerName[] {
  return [...reader.serversIn()].filter((server) => server !== reader.serverName)
}
