/**
 * How large a message to a device may be, and how many of them go to another server in one EDU.
 *
 * Spec: client-server-api/#send-to-device-messaging. It names no size; what is larger than an event fits into no transaction
 * that other servers would take, and those of the reference implementation refuse it as well.
 */
import { utf8Length } from '#protocol/identifiers/characters.ts'
import { isObject, type JsonObject, type JsonValue } from '#protocol/json/json.ts'

/** Bytes of the content of one message, and of the messages of one EDU unless it holds a single one. */
const maxBytes = 65_536
/** "type: … MUST NOT exceed 255 bytes", as of events. */
const maxTypeBytes = 255

export function isToDeviceType(type: string): boolean {
  return utf8Length(type) <= maxTypeBytes
}

/** Whether this is the content of a message that may be delivered. */
export function isDeliverable(content: JsonValue | undefined): content is JsonObject {
  return isObject(content) && sizeOf(content) <= maxBytes
}

function sizeOf(content: JsonObject): number {
  return utf8Length(JSON.stringify(content))
}

/**
 * Contents by user and device, in parts that fit into an EDU each. The same messages make the same parts, so that a part that
 * is sent again is known again.
 */
export function splitMessages(users: ReadonlyMap<string, JsonObject>): JsonObject[] {
  const parts: Map<string, [deviceId: string, content: JsonValue][]>[] = []
  let room = 0
  for (const [userId, byDevice] of users) {
    for (const [deviceId, content] of Object.entries(byDevice)) {
      if (content === undefined) continue
      const size = utf8Length(JSON.stringify([userId, deviceId, content]))
      if (parts.length === 0 || size > room) {
        parts.push(new Map())
        room = maxBytes
      }
      const part = parts.at(-1) ?? new Map()
      part.set(userId, [...(part.get(userId) ?? []), [deviceId, content]])
      room -= size
    }
  }
  return parts.map((part) =>
    Object.fromEntries([...part].map(([userId, messages]) => [userId, Object.fromEntries(messages)])),
  )
}
