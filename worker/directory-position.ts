/**
 * Tokens of the room directory: `f` or `b`, the size of the room at which a page ended, and its ID. A list that changes
 * between pages may repeat a room or miss one whose size changed, but never loses its place.
 */
import { parseRoomId } from '#protocol/identifiers/room-id.ts'

import type { DirectoryEntry, DirectoryPosition } from './accounts/public-rooms.ts'

export function printPosition(
  forwards: boolean,
  { num_joined_members: size, room_id: roomId }: DirectoryEntry,
): string {
  return `${forwards ? 'f' : 'b'}${size}${roomId}`
}

/** Undefined for a token that no page of a directory ended with. */
export function readPosition(token: string): DirectoryPosition | undefined {
  const parts = /^([fb])(\d{1,15})(!.*)$/su.exec(token)
  const roomId = parseRoomId(parts?.[3])
  if (!parts || roomId === undefined) return undefined
  return { forwards: parts[1] === 'f', size: Number(parts[2]), roomId }
}
