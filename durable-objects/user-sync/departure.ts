/**
 * The end of a user's account, as far as it is this object's: what it holds goes at once, the rooms are left one after the
 * other. A row says what is still to be done, so that whatever is cut off is taken up again.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'

import type { Sql } from '../shared/sql.ts'

export interface Departure {
  /** Later readers of this user's rooms get redacted copies. */
  readonly erase: boolean
  readonly attempts: number
}

/** What outlives the account: how the object works, what is still to be done, and which devices to refuse. */
const kept = new Set(['migrations', 'stream', 'days', 'alarms', 'departure', 'devices', 'rooms', 'device_list_stream'])

/** After so many attempts a room that cannot be left is given up: its servers are gone. */
export const mostAttempts = 12

export function planDeparture(sql: Sql, erase: boolean): void {
  sql.exec(
    `INSERT INTO departure(id, erase, attempts) VALUES (1, ?, 0)
     ON CONFLICT(id) DO UPDATE SET erase = max(erase, excluded.erase)`,
    erase ? 1 : 0,
  )
}

export function plannedDeparture(sql: Sql): Departure | undefined {
  const [row] = sql.exec<{ erase: number; attempts: number }>('SELECT erase, attempts FROM departure').toArray()
  return row && { erase: row.erase === 1, attempts: row.attempts }
}

export function dropDeparture(sql: Sql): void {
  sql.exec('DELETE FROM departure')
}

export function countAttempt(sql: Sql): void {
  sql.exec('UPDATE departure SET attempts = attempts + 1')
}

/** Empties every table but those that are kept, also ones that came after this was written, and ends all devices. */
export function forgetEverything(sql: Sql): void {
  const tables = sql
    .exec<{ name: string }>(
      String.raw`SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
        AND name NOT LIKE '\_cf\_%' ESCAPE '\'`,
    )
    .toArray()
  for (const { name } of tables) if (!kept.has(name)) sql.exec(`DELETE FROM "${name}"`)
  sql.exec(`UPDATE devices SET ended = 1, has_keys = 0, one_time_keys = '{}', unused_fallback_keys = '[]'`)
}

/** Rooms that the user is still in, is asked to come to, or knocked on. */
export function roomsToLeave(sql: Sql): RoomId[] {
  return sql
    .exec<{ roomId: RoomId }>(
      "SELECT room_id AS roomId FROM rooms WHERE membership IN ('join', 'invite', 'knock') ORDER BY room_id",
    )
    .toArray()
    .map(({ roomId }) => roomId)
}
