/**
 * Keys of a server-side backup.
 *
 * Spec: client-server-api/#server-side-key-backups, data/api/client-server/definitions/key_backup_data.yaml. What a session
 * holds is encrypted for its owner; the server reads only what decides between two copies of it.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import { isObject, type JsonObject, type JsonValue, own } from '#protocol/json/json.ts'

export interface BackedUpKey {
  readonly first_message_index: number
  readonly forwarded_count: number
  readonly is_verified: boolean
  readonly session_data: JsonObject
}

export interface SessionToBackUp {
  readonly roomId: string
  readonly sessionId: string
  readonly key: BackedUpKey
}

const maxNameLength = 255
const maxDataLength = 64 * 1024

export function parseBackedUpKey(json: JsonValue | undefined): Outcome<{ key: BackedUpKey }> {
  if (!isObject(json)) return fail('bad_json', 'A key of a backup is an object')
  const index = own(json, 'first_message_index')
  const count = own(json, 'forwarded_count')
  const verified = own(json, 'is_verified')
  const data = own(json, 'session_data')
  if (!isCount(index)) return fail('bad_json', 'first_message_index: Expected a whole number')
  if (!isCount(count)) return fail('bad_json', 'forwarded_count: Expected a whole number')
  if (typeof verified !== 'boolean') return fail('bad_json', 'is_verified: Expected a boolean')
  if (!isObject(data)) return fail('bad_json', 'session_data: Expected an object')
  if (JSON.stringify(data).length > maxDataLength) return fail('too_large', 'session_data is too large')
  const key = { first_message_index: index, forwarded_count: count, is_verified: verified, session_data: data }
  return { ok: true, key }
}

/** `{"sessions": {<session>: …}}` of one room. */
export function parseSessions(roomId: string, json: JsonValue | undefined): Outcome<{ sessions: SessionToBackUp[] }> {
  const list = isObject(json) ? own(json, 'sessions') : undefined
  if (!isObject(list)) return fail('bad_json', 'sessions: Expected an object')
  const sessions: SessionToBackUp[] = []
  for (const [sessionId, data] of Object.entries(list)) {
    if (sessionId.length > maxNameLength || roomId.length > maxNameLength) {
      return fail('invalid_param', 'The name of a room or session is too long')
    }
    const parsed = parseBackedUpKey(data)
    if (!parsed.ok) return parsed
    sessions.push({ roomId, sessionId, key: parsed.key })
  }
  return { ok: true, sessions }
}

/** `{"rooms": {<room>: {"sessions": …}}}`. */
export function parseRooms(json: JsonValue | undefined): Outcome<{ sessions: SessionToBackUp[] }> {
  const rooms = isObject(json) ? own(json, 'rooms') : undefined
  if (!isObject(rooms)) return fail('bad_json', 'rooms: Expected an object')
  const sessions: SessionToBackUp[] = []
  for (const [roomId, room] of Object.entries(rooms)) {
    const parsed = parseSessions(roomId, room)
    if (!parsed.ok) return parsed
    sessions.push(...parsed.sessions)
  }
  return { ok: true, sessions }
}

/**
 * Whether a key takes the place of one that is there: "keep the key that has `is_verified` set to `true`; … the key with a
 * lower `first_message_index`; and finally … a lower `forwarded_count`".
 */
export function isBetterKey(key: BackedUpKey, than: Omit<BackedUpKey, 'session_data'>): boolean {
  if (key.is_verified !== than.is_verified) return key.is_verified
  if (key.first_message_index !== than.first_message_index) return key.first_message_index < than.first_message_index
  return key.forwarded_count < than.forwarded_count
}

function isCount(value: JsonValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
