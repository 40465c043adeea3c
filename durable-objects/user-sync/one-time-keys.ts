/**
 * One-time keys and fallback keys of a user's devices: each one-time key is given out once, in order of arrival.
 *
 * Spec: client-server-api/#one-time-and-fallback-keys, #post_matrixclientv3keysclaim. The counts that `/sync` tells stand in
 * `devices` and are written in the turn that changes the keys, so that an idle sync reads one row.
 */
import type { OneTimeKey } from '#protocol/device-keys/one-time-keys.ts'
import { fail, type Outcome } from '#protocol/errors.ts'
import type { JsonValue } from '#protocol/json/json.ts'

import type { Sql } from '../shared/sql.ts'

/** Unclaimed keys of a device; clients keep up to a hundred. */
const maxHeld = 5000
/** Claimed keys that are remembered, for uploads that are repeated. */
const remembered = 500

export interface UploadedKeys {
  readonly deviceId: string
  readonly oneTimeKeys: readonly OneTimeKey[]
  readonly fallbackKeys: readonly OneTimeKey[]
}

/** Which device's keys are claimed: how many of each algorithm. */
export type ClaimedDevices = Readonly<Record<string, Readonly<Record<string, number>>>>
/** Keys by device and `algorithm:key_id`. */
export type GivenKeys = Record<string, Record<string, JsonValue>>

/** Adds keys, all or none. A key ID that came before with another key is refused; with the same key it is no news. */
export function addKeys(sql: Sql, { deviceId, oneTimeKeys, fallbackKeys }: UploadedKeys): Outcome {
  const news: OneTimeKey[] = []
  for (const key of oneTimeKeys) {
    const [known] = sql
      .exec<{ json: string; is_claimed: number }>(
        'SELECT json, is_claimed FROM one_time_keys WHERE device_id = ? AND algorithm = ? AND key_id = ?',
        deviceId,
        key.algorithm,
        key.keyId,
      )
      .toArray()
    if (known && known.json !== key.json && known.is_claimed === 0) {
      return fail('invalid_param', `One time key ${key.algorithm}:${key.keyId} already exists with another value`)
    }
    if (!known || known.json !== key.json) news.push(key)
  }
  const counts = countKeys(sql, deviceId)
  const held = Object.values(counts).reduce((sum, count) => sum + count, 0)
  if (held + news.length > maxHeld) return fail('too_large', 'The device has too many one-time keys')
  for (const { algorithm, keyId, json } of news) {
    counts[algorithm] = (counts[algorithm] ?? 0) + 1
    sql.exec(
      'INSERT OR REPLACE INTO one_time_keys(device_id, algorithm, key_id, json) VALUES (?, ?, ?, ?)',
      deviceId,
      algorithm,
      keyId,
      json,
    )
  }
  for (const { algorithm, keyId, json } of fallbackKeys) {
    // The same key again, as when an upload is repeated, does not become unused by that.
    sql.exec(
      `INSERT INTO fallback_keys(device_id, algorithm, key_id, json, is_used) VALUES (?, ?, ?, ?, 0)
       ON CONFLICT(device_id, algorithm) DO UPDATE SET key_id = excluded.key_id, json = excluded.json, is_used = 0
       WHERE fallback_keys.key_id <> excluded.key_id OR fallback_keys.json <> excluded.json`,
      deviceId,
      algorithm,
      keyId,
      json,
    )
  }
  for (const algorithm of new Set(news.map((key) => key.algorithm))) forgetClaimed(sql, deviceId, algorithm)
  if (news.length + fallbackKeys.length > 0) noteCounts(sql, deviceId, counts)
  return { ok: true }
}

/** Only where keys come in many: each look goes through all that are remembered. */
function forgetClaimed(sql: Sql, deviceId: string, algorithm: string): void {
  sql.exec(
    `DELETE FROM one_time_keys WHERE device_id = ?1 AND algorithm = ?2 AND is_claimed = 1 AND id <=
       (SELECT id FROM one_time_keys WHERE device_id = ?1 AND algorithm = ?2 AND is_claimed = 1
        ORDER BY id DESC LIMIT 1 OFFSET ?3)`,
    deviceId,
    algorithm,
    remembered,
  )
}

/** Gives out keys: one-time keys as far as there are any, else the fallback key. Devices with neither are left out. */
export function claimKeys(sql: Sql, wanted: ClaimedDevices): GivenKeys {
  const given: GivenKeys = {}
  for (const [deviceId, algorithms] of Object.entries(wanted)) {
    const keys: Record<string, JsonValue> = {}
    const counts = countKeys(sql, deviceId)
    for (const [algorithm, count] of Object.entries(algorithms)) {
      for (const { name, json } of claim(sql, deviceId, algorithm, count, counts)) keys[name] = JSON.parse(json)
    }
    if (Object.keys(keys).length === 0) continue
    noteCounts(sql, deviceId, counts)
    given[deviceId] = keys
  }
  return given
}

/** Takes what it gives out from `counts`. */
function claim(
  sql: Sql,
  deviceId: string,
  algorithm: string,
  count: number,
  counts: Record<string, number>,
): { name: string; json: string }[] {
  const keys = sql
    .exec<{ id: number; key_id: string; json: string }>(
      `SELECT id, key_id, json FROM one_time_keys
       WHERE device_id = ? AND algorithm = ? AND is_claimed = 0 ORDER BY id LIMIT ?`,
      deviceId,
      algorithm,
      count,
    )
    .toArray()
  for (const { id } of keys) sql.exec('UPDATE one_time_keys SET is_claimed = 1 WHERE id = ?', id)
  if (keys.length > 0) {
    counts[algorithm] = Math.max(0, (counts[algorithm] ?? 0) - keys.length)
    if (counts[algorithm] === 0) delete counts[algorithm]
    return keys.map(({ key_id: keyId, json }) => ({ name: `${algorithm}:${keyId}`, json }))
  }
  const fallback = sql
    .exec<{ key_id: string; json: string }>(
      'SELECT key_id, json FROM fallback_keys WHERE device_id = ? AND algorithm = ?',
      deviceId,
      algorithm,
    )
    .toArray()
  sql.exec(
    'UPDATE fallback_keys SET is_used = 1 WHERE device_id = ? AND algorithm = ? AND is_used = 0',
    deviceId,
    algorithm,
  )
  return fallback.map(({ key_id: keyId, json }) => ({ name: `${algorithm}:${keyId}`, json }))
}

/** Unclaimed keys of a device by algorithm, as they were noted last: every change notes them, so that nothing is counted. */
export function countKeys(sql: Sql, deviceId: string): Record<string, number> {
  const row = sql
    .exec<{ counts: string }>('SELECT one_time_keys AS counts FROM devices WHERE device_id = ?', deviceId)
    .toArray()[0]
  return row ? JSON.parse(row.counts) : {}
}

/** Forgets the keys of a device that ended. */
export function dropKeys(sql: Sql, deviceId: string): void {
  sql.exec('DELETE FROM one_time_keys WHERE device_id = ?', deviceId)
  sql.exec('DELETE FROM fallback_keys WHERE device_id = ?', deviceId)
}

/** Forgets the keys of a device that lives on with another identity. */
export function voidKeys(sql: Sql, deviceId: string): void {
  dropKeys(sql, deviceId)
  noteCounts(sql, deviceId, {})
}

function noteCounts(sql: Sql, deviceId: string, counts: Readonly<Record<string, number>>): void {
  const unused = sql
    .exec<{ algorithm: string }>(
      'SELECT algorithm FROM fallback_keys WHERE device_id = ? AND is_used = 0 ORDER BY algorithm',
      deviceId,
    )
    .toArray()
  sql.exec(
    `INSERT INTO devices(device_id, seen_day, one_time_keys, unused_fallback_keys) VALUES (?, 0, ?, ?)
     ON CONFLICT(device_id) DO UPDATE
     SET one_time_keys = excluded.one_time_keys, unused_fallback_keys = excluded.unused_fallback_keys`,
    deviceId,
    JSON.stringify(inOrder(counts)),
    JSON.stringify(unused.map(({ algorithm }) => algorithm)),
  )
}

/** The order in which counting told them: a row that says the same is written the same. */
function inOrder(counts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)))
}
