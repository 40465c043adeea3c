/**
 * Where a search goes on: `next_batch` of its answers.
 *
 * Spec: client-server-api/#server-side-search "Pagination". A token holds, for each room that results were taken from, how far.
 * It fits the search it came from and no other. Nothing in it opens anything: rooms judge every event anew.
 */
import { utf8ToBytes } from '@noble/hashes/utils.js'
import { isObject, type JsonValue } from '../json/json.ts'
import { decodeBase64, encodeBase64UrlUnpadded } from '../signing/base64.ts'

/** Matches of a room up to the index entry `newest`, of which `taken` (by rank) were looked at. */
export interface RoomCursor {
  readonly newest: number
  readonly taken: number
}

export interface SearchGroup {
  readonly key: 'room_id' | 'sender'
  readonly value: string
}

export interface SearchToken {
  /** Names the search. */
  readonly search: string
  /** As it was first found. */
  readonly count: number
  /** By `roomMark`. */
  readonly rooms: ReadonlyMap<string, RoomCursor>
  readonly group?: SearchGroup | undefined
}

export function formatSearchToken({ search, count, rooms, group }: SearchToken): string {
  const cursors = [...rooms].map(([room, { newest, taken }]): JsonValue => [room, newest, taken])
  const parts: JsonValue = [search, count, cursors, ...(group ? [[group.key, group.value]] : [])]
  return encodeBase64UrlUnpadded(utf8ToBytes(encodeURIComponent(JSON.stringify(parts))))
}

/** Undefined for what no search gave out. */
export function parseSearchToken(text: string): SearchToken | undefined {
  const parts = json(text)
  if (!Array.isArray(parts) || parts.length < 3 || parts.length > 4) return undefined
  const [search, count, cursors, inGroup] = parts
  if (typeof search !== 'string' || !isWhole(count) || !Array.isArray(cursors)) return undefined
  const rooms = new Map<string, RoomCursor>()
  for (const cursor of cursors) {
    if (!Array.isArray(cursor)) return undefined
    const [room, newest, taken] = cursor
    if (typeof room !== 'string' || !Number.isSafeInteger(newest) || !isWhole(taken)) return undefined
    rooms.set(room, { newest: Number(newest), taken })
  }
  if (inGroup === undefined) return { search, count, rooms }
  const group = groupOf(inGroup)
  return group && { search, count, rooms, group }
}

function groupOf(value: unknown): SearchGroup | undefined {
  if (!Array.isArray(value)) return undefined
  const [key, name] = value
  return (key === 'room_id' || key === 'sender') && typeof name === 'string' ? { key, value: name } : undefined
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}

function json(text: string): unknown {
  const bytes = decodeBase64(text)
  if (!bytes) return undefined
  try {
    const value: unknown = JSON.parse(decodeURIComponent(String.fromCharCode(...bytes)))
    return isObject(value) ? undefined : value
  } catch {
    return undefined
  }
}
