/**
 * Room IDs: `!opaque:server` up to room version 11; from version 12 on `!` and the reference hash of the create event.
 *
 * Spec: appendices/#room-ids, rooms/v12 "Event format".
 */
import { fitsIdentifier } from './characters.ts'
import { parseEventId } from './event-id.ts'
import type { EventId } from './event-id.ts'
import { splitIdentifier } from './server-name.ts'
import type { ServerName } from './server-name.ts'

declare const brand: unique symbol
export type RoomId = string & { readonly [brand]: 'RoomId' }

/** A SHA-256 hash in unpadded URL-safe base64. Its last character holds four bits only. */
const hashOnly = /^![0-9A-Za-z_-]{43}$/

/** The room ID in `value`, of any room version, or undefined. */
export function parseRoomId(value: unknown): RoomId | undefined {
  return isRoomId(value) ? value : undefined
}

function isRoomId(value: unknown): value is RoomId {
  if (typeof value !== 'string' || !fitsIdentifier(value)) return false
  return hashOnly.test(value) || splitIdentifier(value, '!') !== undefined
}

/** True for the room IDs of version 12 and later, which name no server. */
export function isHashRoomId(roomId: RoomId): boolean {
  return hashOnly.test(roomId)
}

/** The server that made up a room ID; undefined for one that is a hash. It says nothing about who is in the room. */
export function serverNameOfRoomId(roomId: RoomId): ServerName | undefined {
  return splitIdentifier(roomId, '!')?.[1]
}

/** The ID of the room that a version 12 create event creates. */
export function roomIdOfCreate(createEventId: EventId): RoomId {
  const roomId = parseRoomId(`!${createEventId.slice(1)}`)
  if (roomId === undefined) throw new TypeError('not the ID of a version 12 create event')
  return roomId
}

/** The ID of the create event of a version 12 room; undefined for room IDs with a server name. */
export function createEventIdOf(roomId: RoomId): EventId | undefined {
  return isHashRoomId(roomId) ? parseEventId(`$${roomId.slice(1)}`) : undefined
}
