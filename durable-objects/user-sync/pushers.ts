/**
 * A user's pushers, and what still has to be sent to their gateways.
 *
 * Spec: client-server-api/#push-notifications, #post_matrixclientv3pushersset. A pusher belongs to the device that set it and
 * ends with it. Each has a queue of its own, in order; a gateway that fails is tried again later and keeps nobody waiting.
 * Pushers of kind `email` collect theirs for a letter (mail-digest.ts); those of web push begin once a client has proven
 * that it gets what is sent (MSC4174).
 */
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'
import { isWebPush } from '#protocol/push-rules/pusher-kinds.ts'
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
  /** False for web push whose client has not answered the activation yet. */
  readonly isActive: boolean
  /** Of web push the token that activates it, of e-mail the one that ends it. */
  readonly secret: string | undefined
}

export type WantedPusher = Pick<Pusher, 'deviceId' | 'fields' | 'enabled'> & {
  /** Made anew for this call. */
  readonly secret: string
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
  active: number
  secret: string | null
}

/** More than anybody has phones. */
export const maxPushers = 50
/** Waiting notifications of one pusher; the oldest go first. */
const maxQueued = 100

/** "The server must expire the `ack_token` after 5 minutes", in ms. */
const activationTime = 300_000
/** What waits for letters that nobody carries, in ms. */
const keptForLetters = 3 * 86_400_000

const columns = 'id, device_id, json, enabled, set_at, badge, failures, next_at, active, secret'

export function pushers(sql: Sql): Pusher[] {
  return sql.exec<PusherRow>(`SELECT ${columns} FROM pushers ORDER BY id`).toArray().map(fromRow)
}

export function pusherById(sql: Sql, id: number): Pusher | undefined {
  return sql.exec<PusherRow>(`SELECT ${columns} FROM pushers WHERE id = ?`, id).toArray().map(fromRow)[0]
}

function fromRow(row: PusherRow): Pusher {
  const { id, device_id: deviceId, set_at: setAt, badge, failures, next_at: nextAt } = row
  const fields: PusherFields = JSON.parse(row.json)
  const state = { enabled: row.enabled === 1, isActive: row.active === 1, secret: row.secret ?? undefined }
  return { id, deviceId, fields, setAt, badge, failures, nextAt, ...state }
}

export function hasPushers(sql: Sql): boolean {
  return sql.exec('SELECT 1 AS found FROM pushers LIMIT 1').toArray().length > 0
}

/**
 * Adds or replaces the pusher of that app ID and pushkey. It belongs to the device that sets it, unless all that changed is
 * whether it is enabled: that may be done from another. Returns it; undefined if there are too many. `now` in ms.
 */
export function setPusher(sql: Sql, wanted: WantedPusher, now: number): Pusher | undefined {
  const { deviceId, fields, enabled } = wanted
  const json = JSON.stringify(fields)
  const old = findPusher(sql, { appId: fields.app_id, pushkey: fields.pushkey })
  if (!old && pushers(sql).length >= maxPushers) return undefined
  const isToggle = old && JSON.stringify(old.fields) === json && old.enabled !== enabled
  const isActive = !isWebPush(fields.kind) || (old?.isActive === true && isSameSubscription(old.fields, fields))
  // The links of old letters go on working.
  const secret = old && !isWebPush(fields.kind) ? (old.secret ?? wanted.secret) : wanted.secret
  sql.exec(
    `INSERT INTO pushers(app_id, pushkey, device_id, json, enabled, set_at, badge, active, secret, secret_until)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT(app_id, pushkey) DO UPDATE SET device_id = excluded.device_id, json = excluded.json,
       enabled = excluded.enabled, set_at = excluded.set_at, active = excluded.active, secret = excluded.secret,
       secret_until = excluded.secret_until, failures = 0, next_at = 0`,
    fields.app_id,
    fields.pushkey,
    isToggle ? old.deviceId : deviceId,
    json,
    Number(enabled),
    Math.floor(now / 1000),
    unreadTotal(sql),
    Number(isActive),
    secret,
    now + activationTime,
  )
  const pusher = findPusher(sql, { appId: fields.app_id, pushkey: fields.pushkey })
  if (!pusher) throw new Error('a pusher was not stored')
  if (!enabled || !isActive) sql.exec('DELETE FROM push_queue WHERE pusher_id = ?', pusher.id)
  if (!isActive) insert(sql, pusher.id, JSON.stringify({ ack_token: secret }), now)
  return pusher
}

/** "Re-subscribing an existing pusher, with the same `pushkey`, `PusherData.url` and `PusherData.auth`." */
function isSameSubscription({ kind, data }: PusherFields, other: PusherFields): boolean {
  return isWebPush(kind) && ['url', 'auth'].every((name) => own(data, name) === own(other.data, name))
}

function findPusher(sql: Sql, { appId, pushkey }: PusherKey): Pusher | undefined {
  const query = `SELECT ${columns} FROM pushers WHERE app_id = ? AND pushkey = ?`
  return sql.exec<PusherRow>(query, appId, pushkey).toArray().map(fromRow)[0]
}

/** A client gives back the token that it was sent by web push. MSC4174. */
export function activatePusher(
  sql: Sql,
  { appId, token }: { readonly appId: string; readonly token: string },
  now: number,
): 'active' | 'no_pusher' | 'unknown' | 'expired' {
  const rows = sql
    .exec<{ id: number; secret: string | null; until: number; kind: string }>(
      "SELECT id, secret, secret_until AS until, json->>'kind' AS kind FROM pushers WHERE app_id = ?",
      appId,
    )
    .toArray()
    .filter(({ kind }) => isWebPush(kind))
  if (rows.length === 0) return 'no_pusher'
  const row = rows.find(({ secret }) => secret === token)
  if (!row) return 'unknown'
  if (now > row.until) return 'expired'
  sql.exec('UPDATE pushers SET active = 1, badge = ? WHERE id = ?', unreadTotal(sql), row.id)
  return 'active'
}

/** Ends pushers and what waited for them; with the last one, what is remembered of rooms. Returns those that are no more. */
export function dropPushers(sql: Sql, isDropped: (pusher: Pusher) => boolean): PusherKey[] {
  const dropped = pushers(sql).filter(isDropped)
  for (const { id } of dropped) {
    sql.exec('DELETE FROM pushers WHERE id = ?', id)
    sql.exec('DELETE FROM push_queue WHERE pusher_id = ?', id)
    sql.exec('DELETE FROM mailed_rooms WHERE pusher_id = ?', id)
  }
  if (dropped.length > 0 && !hasPushers(sql)) sql.exec('DELETE FROM push_rooms')
  return dropped.map(({ fields }) => ({ appId: fields.app_id, pushkey: fields.pushkey }))
}

/** A notification that waits; null for one of the count alone. Of web push the first is the token that activates it. */
export type Queued = { readonly id: number; readonly at: number } & (
  | { readonly notification: RoomNotification | null }
  | { readonly ackToken: string }
)

/** Queues notifications for every pusher that is enabled; without any, the count for those whose count is another now. */
export function queueNotifications(sql: Sql, notifications: readonly RoomNotification[], now: number): void {
  const total = unreadTotal(sql)
  for (const { id, enabled, isActive, badge, fields } of pushers(sql)) {
    if (!enabled || !isActive) continue
    for (const each of notifications) insert(sql, id, JSON.stringify(each), now)
    const isCount = notifications.length === 0 && badge !== total && wantsCounts(fields)
    if (isCount && !nextQueued(sql, id)) insert(sql, id, 'null', now)
    if (notifications.length > 0) trim(sql, id)
  }
}

/** A letter has no badge; and a browser shows something for whatever it gets, unless its client can do without. */
function wantsCounts({ kind, data }: PusherFields): boolean {
  return kind !== 'email' && own(data, 'events_only') !== true
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
  return queued(sql, pusherId, 1)[0]
}

/** All that waits for a pusher, oldest first. */
export function queued(sql: Sql, pusherId: number, limit = maxQueued): Queued[] {
  const query = 'SELECT id, queued_at AS at, json FROM push_queue WHERE pusher_id = ? ORDER BY id LIMIT ?'
  return sql
    .exec<{ id: number; at: number; json: string }>(query, pusherId, limit)
    .toArray()
    .map(({ id, at, json }) => {
      const row: RoomNotification | { ack_token: string } | null = JSON.parse(json)
      return isObject(row) && 'ack_token' in row ? { id, at, ackToken: row.ack_token } : { id, at, notification: row }
    })
}

/** A gateway took it. Where the user has read on meanwhile, it hears of the count, which nobody else will tell it. */
export function noteSent(sql: Sql, pusher: Pusher, sent: Queued, badge: number): void {
  sql.exec('DELETE FROM push_queue WHERE id = ?', sent.id)
  if (pusher.badge !== badge || pusher.failures > 0) {
    sql.exec('UPDATE pushers SET badge = ?, failures = 0, next_at = 0 WHERE id = ?', badge, pusher.id)
  }
  const wants = pusher.isActive && wantsCounts(pusher.fields)
  if (wants && unreadTotal(sql) !== badge && !nextQueued(sql, pusher.id)) insert(sql, pusher.id, 'null', Date.now())
}

/** A gateway did not take it: later again; what is a day old is no news any more. */
export function noteFailure(sql: Sql, pusher: Pusher, now: number): void {
  postpone(sql, pusher, now)
  const rows = sql.exec<{ id: number; at: number }>(
    'SELECT id, queued_at AS at FROM push_queue WHERE pusher_id = ?',
    pusher.id,
  )
  for (const row of rows.toArray()) {
    if (isGivenUp(row.at, now)) sql.exec('DELETE FROM push_queue WHERE id = ?', row.id)
  }
}

/** A carrier did not take a letter. What it was about may have waited for a day already, so it is given longer. */
export function noteMailFailure(sql: Sql, pusher: Pusher, now: number): void {
  postpone(sql, pusher, now)
  sql.exec('DELETE FROM push_queue WHERE pusher_id = ? AND queued_at < ?', pusher.id, now - keptForLetters)
}

function postpone(sql: Sql, { id, failures }: Pusher, now: number): void {
  sql.exec('UPDATE pushers SET failures = ?, next_at = ? WHERE id = ?', failures + 1, retryAt(failures + 1, now), id)
}

/** Whether a token that waits to be sent would come too late. */
export function isActivationOver({ at }: Pick<Queued, 'at'>, now: number): boolean {
  return now - at > activationTime
}

/** When the next gateway is to be tried, in ms; undefined if nothing waits. Letters have times of their own. */
export function nextTry(sql: Sql): number | undefined {
  const { at } = sql
    .exec<{ at: number | null }>(
      `SELECT min(next_at) AS at FROM pushers WHERE json->>'kind' <> 'email'
         AND EXISTS (SELECT 1 FROM push_queue WHERE pusher_id = pushers.id)`,
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
