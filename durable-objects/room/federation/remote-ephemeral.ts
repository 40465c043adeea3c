/**
 * What other servers say of their own users' reading and typing here.
 *
 * Spec: server-server-api/#typing-notifications, #receipts. Only of joined members (CVE-2023-42453), from servers that the
 * room lets in, and of events that this room has.
 */
import { type EventId, parseEventId } from '#protocol/identifiers/event-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import { isInThread, storeReceipt } from '../receipts.ts'
import type { Room } from '../room.ts'
import { isServerIn } from './server-access.ts'

export interface RemoteTyping {
  readonly origin: ServerName
  /** A user of the origin: the caller has checked that. */
  readonly user: UserId
  readonly typing: boolean
  readonly timeoutMs: number
}

/** More than this are not shown, and would be sent to everybody at each change. */
const maxTypists = 100

/** Whether the list of who is typing changed. */
export function noteRemoteTyping(room: Room, { origin, user, typing, timeoutMs }: RemoteTyping, now: number): boolean {
  const { reader, memory } = room
  if (!reader.isKnown() || !isServerIn(room, origin) || !reader.mayBeJoined(user)) return false
  if (typing && memory.typing.users.length >= maxTypists) return false
  return memory.typing.set(user, typing ? now + timeoutMs : undefined, now)
}

export interface RemoteReceipt {
  /** A user of the origin: the caller has checked that. */
  readonly user: UserId
  readonly eventIds: readonly string[]
  readonly threadId: string | undefined
  /** Milliseconds since 1970. */
  readonly ts: number
}
export interface RemoteReceipts {
  readonly origin: ServerName
  readonly receipts: readonly RemoteReceipt[]
}

/** Whether any receipt moved. */
export function noteRemoteReceipts(room: Room, { origin, receipts }: RemoteReceipts): boolean {
  const { reader, transactor } = room
  if (!reader.isKnown() || !isServerIn(room, origin)) return false
  const lookup = (id: EventId) => reader.eventById(id)
  let moved = false
  transactor.turn(() => {
    for (const { user, eventIds, threadId, ts } of receipts) {
      if (!reader.mayBeJoined(user)) continue
      for (const id of eventIds) {
        const eventId = parseEventId(id)
        const event = eventId && reader.eventById(eventId)
        if (event?.stateBefore === undefined) continue
        // There are as many receipts as there are threads, and a server must not make those up.
        if (threadId !== undefined && threadId !== 'main' && !isInThread(event, threadId, lookup)) continue
        const thread = threadId === undefined ? {} : { threadId }
        moved = storeReceipt(room, { user, type: 'm.read', ...thread }, event, ts) || moved
      }
    }
    return { ok: true }
  })
  return moved
}
