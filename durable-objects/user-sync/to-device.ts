/**
 * Send-to-device messages that wait for this user's devices.
 *
 * Spec: client-server-api/#send-to-device-messaging "Server behaviour": kept until the device comes back with a token that
 * proves delivery, given in order of arrival, at most 100 at a time.
 */
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { isHiddenToDevice } from '#protocol/ignored-users.ts'
import type { JsonObject } from '#protocol/json/json.ts'

import type { Sql } from '../shared/sql.ts'
import { ignoredUsers } from './account-data.ts'
import { advance, type Stream } from './stream.ts'

export interface ToDeviceEvent {
  readonly sender: string
  readonly type: string
  readonly content: JsonObject
}

/** Messages in one answer at most. */
export const perAnswer = 100

export function queueToDevice(sql: Sql, stream: Stream, deviceId: string, event: ToDeviceEvent): void {
  sql.exec(
    'INSERT INTO to_device(position, device_id, sender, type, content) VALUES (?, ?, ?, ?, ?)',
    advance(sql, stream),
    deviceId,
    event.sender,
    event.type,
    JSON.stringify(event.content),
  )
}

/** A message, or one message for each of several devices, as it came once. */
export interface ToDeviceDelivery {
  readonly sender: string
  /** The same when it is sent again. */
  readonly messageId: string
  readonly type: string
  /** Content by device. */
  readonly messages: Readonly<Record<string, JsonObject>>
}

/**
 * Queues messages unless they came before, or are kept from a user (`self`) who ignores their sender; false if so. `today` in
 * days since 1970.
 */
export function deliverToDevices(
  sql: Sql,
  stream: Stream,
  delivery: ToDeviceDelivery,
  { self, today }: { readonly self: UserId; readonly today: number },
): boolean {
  const { sender, messageId, type, messages } = delivery
  if (isHiddenToDevice(type) && sender !== self && ignoredUsers(sql).includes(sender)) return false
  const noted = sql.exec(
    'INSERT INTO to_device_seen(sender, message_id, day) VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING day',
    sender,
    messageId,
    today,
  )
  if (noted.toArray().length === 0) return false
  for (const [deviceId, content] of Object.entries(messages)) {
    queueToDevice(sql, stream, deviceId, { sender, type, content })
  }
  return true
}

/** Messages are not sent again after so many days. */
const seenDays = 14

export function forgetSeenMessages(sql: Sql, today: number): void {
  sql.exec('DELETE FROM to_device_seen WHERE day < ?', today - seenDays)
}

/**
 * What waits for a device after a position, and the position up to which the answer reaches. `read`: where the stream
 * stands. `last`: the position of the last message.
 */
export function toDeviceAfter(
  sql: Sql,
  deviceId: string,
  position: number,
  read: number,
  limit = perAnswer,
): { events: ToDeviceEvent[]; upTo: number; last: number | undefined } {
  const rows = sql
    .exec<{ position: number; sender: string; type: string; content: string }>(
      'SELECT position, sender, type, content FROM to_device WHERE device_id = ? AND position > ? ORDER BY position LIMIT ?',
      deviceId,
      position,
      limit,
    )
    .toArray()
  return {
    events: rows.map(({ sender, type, content }) => ({ sender, type, content: JSON.parse(content) })),
    last: rows.at(-1)?.position,
    upTo: rows.length < limit ? read : (rows.at(-1)?.position ?? read),
  }
}

/** Forgets what has been delivered: everything up to a position that the device itself presented. */
export function acknowledgeToDevice(sql: Sql, deviceId: string, position: number): void {
  sql.exec('DELETE FROM to_device WHERE device_id = ? AND position <= ?', deviceId, position)
}

/** Messages that wait for one device at most: for years, or a flood. */
const maxWaiting = 50_000
/** Positions of the stream after which that is looked at. */
const lookEvery = 512

/** Whether the queues are to be looked at, as the stream went from one position to another. */
export function isTimeToBound(before: number, after: number): boolean {
  return Math.floor(before / lookEvery) < Math.floor(after / lookEvery)
}

/**
 * Forgets messages of a device for which more wait than any client would read: the oldest of those servers that sent most. A
 * flood drives out itself, and not the keys that others sent to a device that was away.
 */
export function boundQueues(sql: Sql, most = maxWaiting): void {
  const devices = sql.exec<{ id: string; waiting: number }>(
    'SELECT device_id AS id, count(*) AS waiting FROM to_device GROUP BY device_id HAVING waiting > ?',
    most,
  )
  for (const { id } of devices.toArray()) {
    const query = `SELECT ${serverOfSender} AS server, count(*) AS waiting FROM to_device
      WHERE device_id = ? GROUP BY server ORDER BY waiting`
    const shares = sql.exec<{ server: string; waiting: number }>(query, id).toArray()
    let left = most
    for (const [at, { server, waiting }] of shares.entries()) {
      // What those leave who sent little is shared among the others.
      const kept = Math.min(waiting, Math.floor(left / (shares.length - at)))
      left -= kept
      if (kept < waiting) forgetOldest(sql, id, server, waiting - kept)
    }
  }
}

const serverOfSender = "substr(sender, instr(sender, ':') + 1)"

function forgetOldest(sql: Sql, deviceId: string, server: string, count: number): void {
  const oldest = `SELECT position FROM to_device WHERE device_id = ? AND ${serverOfSender} = ? ORDER BY position LIMIT ?`
  sql.exec(`DELETE FROM to_device WHERE position IN (${oldest})`, deviceId, server, count)
}
