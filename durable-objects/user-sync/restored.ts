/**
 * A user's stream that came out of a backup goes on as another stream: nothing it gave out is given out twice.
 *
 * Tokens of clients name the old one: they get everything anew. One-time keys may have been claimed after the backup, so all
 * are void, and clients upload others. Who follows the user's devices may have heard of more changes than are known here: all
 * are told again, at positions that never were.
 */
import type { Sql } from '../shared/sql.ts'
import { leap } from '../shared/restored.ts'
import { noteDeviceChange } from './device-changes.ts'

/** To be called before the stream is loaded. */
export function renewStream(sql: Sql, newEpoch: () => string): void {
  sql.exec('UPDATE stream SET epoch = ?, reserved = reserved + ?', newEpoch(), leap)
  sql.exec('DELETE FROM one_time_keys')
  // The newest known one stays, since something is better than no session at all; that it is used makes a client renew it.
  sql.exec('UPDATE fallback_keys SET is_used = 1')
  sql.exec("UPDATE devices SET one_time_keys = '{}', unused_fallback_keys = '[]'")
  // Connections of sliding sync begin anew under numbers that never were.
  sql.exec('DELETE FROM connection_rooms')
  const [newest] = sql.exec<{ id: number }>('SELECT coalesce(max(id), 0) AS id FROM connections').toArray()
  sql.exec('DELETE FROM connections')
  sql.exec(
    `INSERT INTO connections(id, device_id, conn_id, acked, acked_read, sent, sent_read, used_day, params, idle)
     VALUES (?, '', '', 0, 0, 0, 0, 0, '', '')`,
    (newest?.id ?? 0) + leap,
  )
  sql.exec('DELETE FROM connections')
  const devices = sql.exec<{ device_id: string }>('SELECT device_id FROM devices WHERE has_keys = 1 AND ended <> 1')
  for (const { device_id: name } of devices.toArray()) noteDeviceChange(sql, { kind: 'device', name })
  if (hasAny(sql)) noteDeviceChange(sql, { kind: 'signing', name: '' })
}

function hasAny(sql: Sql): boolean {
  return sql.exec('SELECT 1 AS found FROM devices WHERE has_keys = 1 LIMIT 1').toArray().length > 0
}
