/**
 * What of a user's account data follows a room to the room that replaces it; push rules see to themselves.
 *
 * Spec: client-server-api/#room-upgrades: "When a user joins the new room, the server should automatically
 * transfer/replicate some of the user's personalized settings such as notifications, tags, etc."
 */
import type { RoomId } from './identifiers/room-id.ts'
import type { JsonObject } from './json/json.ts'

/** `m.direct` with the new room beside the old one, or undefined when the old one is not in it or the new one is. */
export function succeedInDirect(content: JsonObject, from: RoomId, to: RoomId): JsonObject | undefined {
  let changed = false
  const entries = Object.entries(content).map(([user, rooms]) => {
    if (!Array.isArray(rooms) || !rooms.includes(from) || rooms.includes(to)) return [user, rooms]
    changed = true
    return [user, [...rooms, to]]
  })
  return changed ? Object.fromEntries(entries) : undefined
}
