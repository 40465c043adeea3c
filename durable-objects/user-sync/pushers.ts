/**
 * A user's pushers, and what still has to be sent to their gateways.
 *
 * Spec: client-server-api/#push-notifications, #post_matrixclientv3pushersset. A pusher belongs to the device that set it and
 * ends with it. Each has a queue of its own, in order; a gateway that fails is tried again later and keeps nobody waiting.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { isGivenUp, retryAt } from '#protocol/push-rules/push-retry.ts'

import type { RoomNotification } from '../room/push-news.ts'
import type { Sql } from '../shared/sql.ts'

/** As a client set it; the form was checked. */
export type PusherFields = {
  readonly pushkey: string
  readonly app_id: string
  readonly kind: string
  readonly app_display_name: string
  readonly device_display_name: string
  readonly lang: string
  readonly profile_tag?: string | undefined
  readonly data: JsonObject
}

export interface Pusher {
  readonly id: number
  readonly deviceId: string
  readonly fields: PusherFields
  /** MSC3881: one that is not enabled is kept and sent nothing. */
  readonly enabled: boolean
  /** Seconds since 1970. */
  readonly setAt: number
  /** The count that its gateway was told last. */
  readonly badge: number
  readonly failures: number
  /** Not tried before, in ms since 1970. */
  readonly nextAt: number
}

export interface PusherKey {
  readonly appId: string
  readonly pushkey: string
}

type PusherRow = {
  id: number
  device_id: string
  json: string
  enabled: number
  set_at: number
  badge: number
  failures: number
  next_at: number
}

/** More than anybody has phones. */
export const maxPushers = 50
/** Waiting notifications of one pusher; the oldest go first. */
const maxQueued = 100

const columns = 'id, device_id, json, enabled, set_at, badge, failures, next_at'

export function pushers(sql: Sql): Pusher[] {
  return sql.exec<PusherRow>(`SELECT ${columns} FROM pushers ORDER BY id`).toArray().map(fromRow)
}

export function pusherById(sql: Sql, id: number): Pusher | undefined {
  return sql.exec<PusherRow>(`SELECT ${columns} FROM pushers WHERE id = ?`, id).toArray().map(fromRow)[0]
}

function fromRow(row: PusherRow): Pusher {
  const { id, device_id: deviceId, set_at: setAt, badge, failures, next_at: nextAt } = row
  const fields: PusherFields = JSON.parse(row.json)
  return { id, deviceId, fields, enabled: row.enabled === 1, setAt, badge, failures, nextAt }
}

export function hasPushers(sql: Sql): boolean {
  return sql.exec('SELECT 1 AS found FROM pushers LIMIT 1').toArray().length > 0
}

/**
 * Adds or replaces the pusher of that app ID and pushkey. It belongs to the device that sets it, unless all that changed is
 * whether it is enabled: that may be done from another. False if there are too many. `now` in ms.
 */
export function setPusher(
  sql: Sql,
  { deviceId, fields, enabled }: Pick<Pusher, 'deviceId' | 'fields' | 'enabled'>,
  now: number,
): boolean {
  const json = JSON.stringify(fields)
  const old = pushers(sql).find(
    ({ fields: { app_id, pushkey } }) => app_id === fields.app_id && pushkey === fields.pushkey,
  )
  if (old) {
    const isToggle = JSON.stringify(old.fields) === json && old.enabled !== enabled
    sql.exec(
      'UPDATE pushers SET device_id = ?, json = ?, enabled = ?, set_at = ?, failures = 0, next_at = 0 WHERE id = ?',
      isToggle ? old.deviceId : deviceId,
      json,
      Number(enabled),
      Math.floor(now / 1000),
      old.id,
    )
    if (!enabled) sql.exec('DELETE FROM push_queue WHERE pusher_id = ?', old.id)
    return true
  }
  if (pushers(sql).length >= maxPushers) return false
  sql.exec(
    'INSERT INTO pushers(app_id, pushkey, device_id, json, enabled, set_at, badge) VALUES (?, ?, ?, ?, ?, ?, ?)',
    fields.app_id,
    fields.pushkey,
    deviceId,
    json,
    Number(enabled),
    Math.floor(now / 1000),
    unreadTotal(sql),
  )
  return true
}

/** Ends pushers and what waited for them; with the last one, what is remembered of rooms. Returns those that are no more. */
export function dropPushers(sql: Sql, isDropped: (pusher: Pusher) => boolean): PusherKey[] {
  const dropped = pushers(sql).filter(isDropped)
  for (const { id } of dropped) {
    sql.exec('DELETE FROM pushers WHERE id = ?', id)
    sql.exec('DELETE FROM push_queue WHERE pusher_id = ?', id)
  }
  if (dropped.length > 0 && !hasPushers(sql)) sql.exec('DELETE FROM push_rooms')
  return dropped.map(({ fields }) => ({ appId: fields.app_id, pushkey: fields.pushkey }))
}

/** A notification that waits; null for one of the count alone. */
export interface Queued {
  readonly id: number
  readonly roomId: RoomId | undefined
  readonly notification: RoomNotification | null
}

/** Queues notifications for every pusher that is enabled; without any, the count for those whose count is another now. */
export function queueNotifications(sql: Sql, notifications: readonly RoomNotification[], now: number): void {
  const total = unreadTotal(sql)
  for (const { id, enabled, badge } of pushers(sql)) {
    if (!enabled) continue
    for (const each of notifications) insert(sql, id, JSON.stringify(each), now)
    if (notifications.length === 0 && badge !== total && !nextQueued(sql, id)) insert(sql, id, 'null', now)
    if (notifications.length > 0) trim(sql, id)
  }
}

function insert(sql: Sql, pusherId: number, json: string, now: number): void {
  sql.exec('INSERT INTO push_queue(pusher_id, queued_at, json) VALUES (?, ?, ?)', pusherId, now, json)
}

function trim(sql: Sql, pusherId: number): void {
  sql.exec(
    `DELETE FROM push_queue WHERE pusher_id = ?1 AND id <=
       (SELECT id FROM push_queue WHERE pusher_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)`,
    pusherId,
    maxQueued,
  )
}

export function nextQueued(sql: Sql, pusherId: number): Queued | undefined {
  const [row] = sql
    .exec<{ id: number; json: string }>(
      'SELECT id, json FROM push_queue WHERE pusher_id = ? ORDER BY id LIMIT 1',
      pusherId,
    )
    .toArray()
  if (!row) return undefined
  const notification: RoomNotification | null = JSON.parse(row.json)
  return { id: row.id, roomId: notification?.room_id, notification }
}

/** A gateway took it. */
export function noteSent(sql: Sql, pusher: Pusher, queued: Queued, badge: number): void {
  sql.exec('DELETE FROM push_queue WHERE id = ?', queued.id)
  if (pusher.badge === badge && pusher.failures === 0) return
  sql.exec('UPDATE pushers SET badge = ?, failures = 0, next_at = 0 WHERE id = ?', badge, pusher.id)
}

/** A gateway did not take it: later again; what is a day old is no news any more. */
export function noteFailure(sql: Sql, { id, failures }: Pusher, now: number): void {
  sql.exec('UPDATE pushers SET failures = ?, next_at = ? WHERE id = ?', failures + 1, retryAt(failures + 1, now), id)
  const rows = sql.exec<{ id: number; at: number }>(
    'SELECT id, queued_at AS at FROM push_queue WHERE pusher_id = ?',
    id,
  )
  for (const row of rows.toArray()) {
    if (isGivenUp(row.at, now)) sql.exec('DELETE FROM push_queue WHERE id = ?', row.id)
  }
}

/** When the next gateway is to be tried, in ms; undefined if nothing waits. */
export function nextTry(sql: Sql): number | undefined {
  const { at } = sql
    .exec<{ at: number | null }>(
      'SELECT min(next_at) AS at FROM pushers WHERE EXISTS (SELECT 1 FROM push_queue WHERE pusher_id = pushers.id)',
    )
    .toArray()[0] ?? { at: null }
  return at ?? undefined
}

/** Takes so many more for known to all gateways. */
export function addToBadges(sql: Sql, unread: number): void {
  if (unread > 0) sql.exec('UPDATE pushers SET badge = badge + ?', unread)
}

/** All that is unread, in all rooms. */
export function unreadTotal(sql: Sql): number {
  return (
    sql.exec<{ total: number }>('SELECT coalesce(sum(unread), 0) AS total FROM push_rooms').toArray()[0]?.total ?? 0
  )
}
