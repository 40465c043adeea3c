/**
 * What another server says a room is, in a list of published rooms or in the tree of a space: field by field, and nothing
 * that it added beside them.
 *
 * Spec: data/api/client-server/definitions/public_rooms_chunk.yaml, room_summary.yaml. A field of another type than it should
 * have is absent; an entry without a room ID, or with a member count that is none, is no entry.
 */
import { parseRoomId, type RoomId } from './identifiers/room-id.ts'
import { isObject, type JsonObject, type JsonValue, own } from './json/json.ts'

export interface ForeignSummary {
  readonly roomId: RoomId
  readonly joinRule: string
  readonly isWorldReadable: boolean
  readonly roomType: string | undefined
  /** Of restricted rooms: those whose members may come in. */
  readonly allowedRooms: readonly RoomId[]
  /** What clients are told. */
  readonly summary: JsonObject
}

const texts = ['name', 'topic', 'canonical_alias', 'avatar_url', 'room_type', 'room_version', 'encryption']
const longestText = 4096
/** Conditions of one room that are kept. */
const maxAllowed = 50

/** A RoomSummary; undefined for what is none. */
export function readSummary(json: JsonValue | undefined): ForeignSummary | undefined {
  if (!isObject(json)) return undefined
  const roomId = parseRoomId(own(json, 'room_id'))
  const members = own(json, 'num_joined_members')
  if (roomId === undefined || typeof members !== 'number' || !Number.isSafeInteger(members) || members < 0) {
    return undefined
  }
  // "If the room's join rule is not `public`, this must be present."
  const joinRule = textOf(json, 'join_rule') ?? 'public'
  const isWorldReadable = own(json, 'world_readable') === true
  const allowed = own(json, 'allowed_room_ids')
  const allowedRooms = (Array.isArray(allowed) ? allowed : [])
    .slice(0, maxAllowed)
    .flatMap((id) => parseRoomId(id) ?? [])
  return {
    roomId,
    joinRule,
    isWorldReadable,
    roomType: textOf(json, 'room_type'),
    allowedRooms,
    summary: {
      room_id: roomId,
      ...Object.fromEntries(texts.flatMap((key) => entry(key, textOf(json, key)))),
      join_rule: joinRule,
      num_joined_members: members,
      world_readable: isWorldReadable,
      guest_can_join: own(json, 'guest_can_join') === true,
      ...(allowedRooms.length > 0 ? { allowed_room_ids: allowedRooms } : {}),
    },
  }
}

const ofSummariesOnly = new Set(['room_version', 'encryption', 'allowed_room_ids'])

/** A PublishedRoomsChunk; undefined for what is none. */
export function readPublishedRoom(json: JsonValue): JsonObject | undefined {
  const read = readSummary(json)
  return read && Object.fromEntries(Object.entries(read.summary).filter(([key]) => !ofSummariesOnly.has(key)))
}

function textOf(json: JsonObject, key: string): string | undefined {
  const value = own(json, key)
  return typeof value === 'string' && value !== '' && value.length <= longestText ? value : undefined
}

function entry(key: string, value: string | undefined): [string, string][] {
  return value === undefined ? [] : [[key, value]]
}
