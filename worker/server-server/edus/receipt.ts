/** Spec: server-server-api/#receipts. */
import { parseEventId } from '#protocol/identifiers/event-id.ts'
import { parseRoomId, type RoomId } from '#protocol/identifiers/room-id.ts'
import { parseUserId, serverNameOf } from '#protocol/identifiers/user-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { isObject, own, type JsonObject, type JsonValue } from '#protocol/json/json.ts'

import type { RemoteReceipt } from '../../../durable-objects/room/federation/remote-ephemeral.ts'
import { roomOf } from '../../rooms.ts'
import type { EduHandler } from './receive-edus.ts'

/** Rooms of one transaction, users of a room in one EDU, and events of a user that are looked at. */
const maxRooms = 200
const maxUsers = 200
const maxEvents = 20

export const receiveReceipts: EduHandler = async (env, origin, contents) => {
  const byRoom = new Map<RoomId, RemoteReceipt[]>()
  for (const [room, byType] of contents.flatMap((content) => Object.entries(content))) {
    const roomId = parseRoomId(room)
    // Private receipts never leave their server; other types are not specified.
    const users = isObject(byType) ? own(byType, 'm.read') : undefined
    if (!roomId || !isObject(users) || (byRoom.size >= maxRooms && !byRoom.has(roomId))) continue
    byRoom.set(roomId, [...(byRoom.get(roomId) ?? []), ...receiptsOf(origin, users)])
  }
  for (const [roomId, receipts] of byRoom) {
    if (receipts.length > 0) await roomOf(env, roomId).remoteReceipts({ origin, receipts })
  }
}

/** A server speaks for its own users only. */
function receiptsOf(origin: ServerName, users: JsonObject): RemoteReceipt[] {
  return Object.entries(users)
    .slice(0, maxUsers)
    .flatMap(([name, receipt]) => {
      const user = parseUserId(name)
      if (!user || serverNameOf(user) !== origin || !isObject(receipt)) return []
      const list = own(receipt, 'event_ids')
      const eventIds = (Array.isArray(list) ? list.slice(0, maxEvents) : []).flatMap(
        (id: JsonValue) => parseEventId(id) ?? [],
      )
      const data = own(receipt, 'data')
      const ts = isObject(data) ? own(data, 'ts') : undefined
      const thread = isObject(data) ? own(data, 'thread_id') : undefined
      if (eventIds.length === 0) return []
      return [
        {
          user,
          eventIds,
          threadId: typeof thread === 'string' ? thread : undefined,
          ts: typeof ts === 'number' && Number.isSafeInteger(ts) ? ts : Date.now(),
        },
      ]
    })
}
