/**
 * What this object knows of each device: whether it was signed out, when it was last seen, how many keys it has left.
 *
 * D1 is the authority on devices. But the Worker trusts an access token for some seconds after reading it there, and a
 * waiting sync outlives that: so a device that was ended, or whose account is locked, is refused here as well.
 */
import type { DeviceKeys } from '#protocol/sync/wait-request.ts'

import type { Sql } from '../shared/sql.ts'
import { forgetDehydratedDevice } from './dehydrated-device.ts'
import { dropKeys } from './one-time-keys.ts'

type DeviceRow = {
  ended: number
  seen_day: number
  one_time_keys: string
  unused_fallback_keys: string
}

/** Notes that a device reads today, and returns its keys; undefined when it was ended. A device not heard of before is welcome. */
export function seeDevice(sql: Sql, deviceId: string, today: number): DeviceKeys | undefined {
  const [row] = sql
    .exec<DeviceRow>(
      'SELECT ended, seen_day, one_time_keys, unused_fallback_keys FROM devices WHERE device_id = ?',
      deviceId,
    )
    .toArray()
  if (row && row.ended !== 0) return undefined
  if (row?.seen_day !== today) {
    sql.exec(
      `INSERT INTO devices(device_id, seen_day) VALUES (?, ?)
       ON CONFLICT(device_id) DO UPDATE SET seen_day = excluded.seen_day`,
      deviceId,
      today,
    )
  }
  return {
    oneTimeKeyCounts: row ? JSON.parse(row.one_time_keys) : {},
    unusedFallbackKeyTypes: row ? JSON.parse(row.unused_fallback_keys) : [],
  }
}

/** Refuses the device from now on and drops what waited for it, and its keys. */
export function endDevice(sql: Sql, deviceId: string, today: number): void {
  dropKeys(sql, deviceId)
  forgetDehydratedDevice(sql, deviceId)
  sql.exec('DELETE FROM to_device WHERE device_id = ?', deviceId)
  sql.exec('INSERT OR REPLACE INTO devices(device_id, seen_day, ended) VALUES (?, ?, 1)', deviceId, today)
}

/** Refuses devices for as long as their account is locked: 2 in `ended`. Nothing of theirs is lost. */
export function setLocked(sql: Sql, deviceIds: readonly string[], isLocked: boolean, today: number): void {
  if (!isLocked) sql.exec('UPDATE devices SET ended = 0 WHERE ended = 2')
  else {
    sql.exec('UPDATE devices SET ended = 2 WHERE ended = 0')
    sql.exec(
      'INSERT OR IGNORE INTO devices(device_id, seen_day, ended) SELECT value, ?, 2 FROM json_each(?)',
      today,
      JSON.stringify(deviceIds),
    )
  }
}

/** Forgets devices that were ended days ago: no Worker can still believe their tokens. */
export function forgetEndedDevices(sql: Sql, today: number): void {
  sql.exec('DELETE FROM devices WHERE ended = 1 AND seen_day < ?', today - 1)
}

/** A device ID is signed in, perhaps one that was ended before. Nothing of its former life remains. */
export function addDevice(sql: Sql, deviceId: string): void {
  dropKeys(sql, deviceId)
  forgetDehydratedDevice(sql, deviceId)
  sql.exec('DELETE FROM to_device WHERE device_id = ?', deviceId)
  sql.exec('DELETE FROM devices WHERE device_id = ?', deviceId)
}

/** Whether a device has identity keys, so that others follow it; or not, and others were told of it all the same. */
export function knownAs(sql: Sql, deviceId: string): 'encrypting' | 'named' | undefined {
  const query = 'SELECT has_keys AS has FROM devices WHERE device_id = ?'
  const has = sql.exec<{ has: number }>(query, deviceId).toArray()[0]?.has
  if (has === undefined || has === 0) return undefined
  return has === 1 ? 'encrypting' : 'named'
}

/** Others are told of a device, be it without keys. */
export function noteNamed(sql: Sql, deviceId: string): void {
  sql.exec(
    `INSERT INTO devices(device_id, seen_day, has_keys) VALUES (?, 0, 2)
     ON CONFLICT(device_id) DO UPDATE SET has_keys = 2 WHERE has_keys = 0 AND ended = 0`,
    deviceId,
  )
}

export function noteKeys(sql: Sql, deviceId: string): void {
  sql.exec('UPDATE devices SET has_keys = 1 WHERE device_id = ?', deviceId)
}
