/**
 * The dehydrated device: a device without a client, which keeps messages for a user whose every client is gone.
 *
 * MSC3814. It is a device like others in D1 and for key queries, claims and messages; here stands which one it is, and the
 * data from which a client that knows the user's secret brings it to life. A user has one at most.
 */
import type { JsonObject } from '#protocol/json/json.ts'

import type { Sql } from '../shared/sql.ts'
import { perAnswer, type ToDeviceEvent, toDeviceAfter } from './to-device.ts'

export interface DehydratedDevice {
  readonly deviceId: string
  /** As the client gave it, `algorithm` among it. */
  readonly deviceData: JsonObject
}

export function dehydratedDevice(sql: Sql): DehydratedDevice | undefined {
  const [row] = sql
    .exec<{ device_id: string; device_data: string }>('SELECT device_id, device_data FROM dehydrated_device')
    .toArray()
  return row && { deviceId: row.device_id, deviceData: JSON.parse(row.device_data) }
}

/** Makes a device the dehydrated one. Returns the ID of the device that was it before, if it was another. */
export function setDehydratedDevice(sql: Sql, { deviceId, deviceData }: DehydratedDevice): string | undefined {
  const before = dehydratedDevice(sql)
  sql.exec(
    'INSERT OR REPLACE INTO dehydrated_device(id, device_id, device_data) VALUES (1, ?, ?)',
    deviceId,
    JSON.stringify(deviceData),
  )
  return before?.deviceId === deviceId ? undefined : before?.deviceId
}

/** A device has ended, or was signed in by a client of its own: it is not the dehydrated one any more. */
export function forgetDehydratedDevice(sql: Sql, deviceId: string): void {
  sql.exec('DELETE FROM dehydrated_device WHERE device_id = ?', deviceId)
}

export interface DehydratedEvents {
  readonly events: ToDeviceEvent[]
  /** Where the next page begins. */
  readonly next: number
  /** There may be a next page. */
  readonly limited: boolean
}

/**
 * A page of what waits for the dehydrated device. Nothing is deleted by being read: the client may fail before it has kept
 * the keys, and deletes the device when it is done.
 */
export function dehydratedEvents(sql: Sql, deviceId: string, after: number): DehydratedEvents {
  const { events, last } = toDeviceAfter(sql, deviceId, after, after)
  return { events, next: last ?? after, limited: events.length === perAnswer }
}
