/**
 * Server-side backups of room keys. Only the newest version takes keys; older ones can be read until they are deleted.
 *
 * Spec: client-server-api/#server-side-key-backups. `etag` changes with every change of the keys.
 */
import { type BackedUpKey, isBetterKey, type SessionToBackUp } from '#protocol/device-keys/key-backup.ts'
import { fail, type Failure, type Outcome } from '#protocol/errors.ts'
import type { JsonObject } from '#protocol/json/json.ts'

import type { Sql } from '../shared/sql.ts'

export interface BackupInfo {
  readonly version: string
  readonly algorithm: string
  readonly authData: JsonObject
  readonly etag: string
  readonly count: number
}

export type BackupState = Pick<BackupInfo, 'etag' | 'count'>

/** A whole backup, one room, or one session. */
export interface BackupScope {
  readonly version: string
  readonly roomId?: string | undefined
  readonly sessionId?: string | undefined
}

/** A refusal that tells which version is the current one. */
export interface WrongVersion extends Failure {
  readonly currentVersion?: string
}

type BackupRow = { version: number; algorithm: string; auth_data: string; etag: number }
type KeyRow = {
  room_id: string
  session_id: string
  first_message_index: number
  forwarded_count: number
  is_verified: number
  session_data: string
}

export function createBackup(sql: Sql, algorithm: string, authData: JsonObject): string {
  const [row] = sql
    .exec<{ version: number }>(
      'INSERT INTO backups(algorithm, auth_data, etag) VALUES (?, ?, 0) RETURNING version',
      algorithm,
      JSON.stringify(authData),
    )
    .toArray()
  return String(row?.version)
}

/** A version, or the newest. */
export function backupInfo(sql: Sql, version?: string): Outcome<BackupInfo> {
  const row = backupRow(sql, version)
  if (!row) return fail('not_found', 'No such backup')
  return {
    ok: true,
    version: String(row.version),
    algorithm: row.algorithm,
    authData: JSON.parse(row.auth_data),
    ...stateOf(sql, row.version),
  }
}

export function updateBackup(
  sql: Sql,
  version: string,
  { algorithm, authData }: { algorithm: string; authData: JsonObject },
): Outcome {
  const row = backupRow(sql, version)
  if (!row) return fail('not_found', 'No such backup')
  if (row.algorithm !== algorithm) return fail('invalid_param', 'The algorithm of a backup cannot be changed')
  sql.exec('UPDATE backups SET auth_data = ? WHERE version = ?', JSON.stringify(authData), row.version)
  return { ok: true }
}

export function deleteBackup(sql: Sql, version: string): Outcome {
  const row = backupRow(sql, version)
  if (!row) return fail('not_found', 'No such backup')
  sql.exec('DELETE FROM backup_keys WHERE version = ?', row.version)
  sql.exec('UPDATE backups SET is_deleted = 1 WHERE version = ?', row.version)
  return { ok: true }
}

/** Stores keys where they are better than what is there. Fails with `wrong_room_keys_version` unless it is the newest. */
export function putKeys(
  sql: Sql,
  version: string,
  sessions: readonly SessionToBackUp[],
): Outcome<BackupState> | WrongVersion {
  const current = backupRow(sql)
  if (!current) return fail('not_found', 'There is no backup')
  if (String(current.version) !== version) {
    return { ...fail('wrong_room_keys_version'), currentVersion: String(current.version) }
  }
  let hasChanged = false
  for (const { roomId, sessionId, key } of sessions) {
    const [known] = keyRows(sql, { version, roomId, sessionId }, undefined, 1)
    if (known && !isBetterKey(key, keyOf(known))) continue
    hasChanged = true
    sql.exec(
      'INSERT OR REPLACE INTO backup_keys VALUES (?, ?, ?, ?, ?, ?, ?)',
      current.version,
      roomId,
      sessionId,
      key.first_message_index,
      key.forwarded_count,
      key.is_verified ? 1 : 0,
      JSON.stringify(key.session_data),
    )
  }
  if (hasChanged) sql.exec('UPDATE backups SET etag = etag + 1 WHERE version = ?', current.version)
  return { ok: true, ...stateOf(sql, current.version) }
}

/** A page of keys in the order of rooms and sessions, after one of them. */
export function readKeys(
  sql: Sql,
  scope: BackupScope,
  after: { roomId: string; sessionId: string } | undefined,
  limit: number,
): Outcome<{ sessions: SessionToBackUp[] }> {
  if (!backupRow(sql, scope.version)) return fail('not_found', 'No such backup')
  const rows = keyRows(sql, scope, after, limit)
  const sessions = rows.map((row) => ({ roomId: row.room_id, sessionId: row.session_id, key: keyOf(row) }))
  return { ok: true, sessions }
}

export function deleteKeys(sql: Sql, { version, roomId, sessionId }: BackupScope): Outcome<BackupState> {
  const row = backupRow(sql, version)
  if (!row) return fail('not_found', 'No such backup')
  const gone = sql
    .exec(
      `DELETE FROM backup_keys WHERE version = ?1 AND room_id = coalesce(?2, room_id) AND session_id = coalesce(?3, session_id)
       RETURNING 1 AS gone`,
      row.version,
      roomId ?? null,
      sessionId ?? null,
    )
    .toArray()
  if (gone.length > 0) sql.exec('UPDATE backups SET etag = etag + 1 WHERE version = ?', row.version)
  return { ok: true, ...stateOf(sql, row.version) }
}

function backupRow(sql: Sql, version?: string): BackupRow | undefined {
  const columns = 'SELECT version, algorithm, auth_data, etag FROM backups WHERE is_deleted = 0'
  if (version === undefined) return sql.exec<BackupRow>(`${columns} ORDER BY version DESC LIMIT 1`).toArray()[0]
  // A version is what this object gave out: digits without leading zeros.
  if (!/^[1-9]\d{0,14}$/.test(version)) return undefined
  return sql.exec<BackupRow>(`${columns} AND version = ?`, Number(version)).toArray()[0]
}

function stateOf(sql: Sql, version: number): BackupState {
  const [row] = sql
    .exec<{ etag: number; count: number }>(
      'SELECT etag, (SELECT count(*) FROM backup_keys WHERE version = ?1) AS count FROM backups WHERE version = ?1',
      version,
    )
    .toArray()
  return { etag: String(row?.etag ?? 0), count: row?.count ?? 0 }
}

function keyRows(
  sql: Sql,
  { version, roomId, sessionId }: BackupScope,
  after: { roomId: string; sessionId: string } | undefined,
  limit: number,
): KeyRow[] {
  const columns = 'room_id, session_id, first_message_index, forwarded_count, is_verified, session_data'
  const from = after ?? { roomId: roomId ?? '', sessionId: '' }
  if (sessionId !== undefined) {
    const query = `SELECT ${columns} FROM backup_keys WHERE version = ? AND room_id = ? AND session_id = ?`
    return sql.exec<KeyRow>(query, Number(version), roomId ?? '', sessionId).toArray()
  }
  // The bounds are written so that the primary key finds the page.
  const query =
    roomId === undefined
      ? `SELECT ${columns} FROM backup_keys WHERE version = ?1 AND (room_id, session_id) > (?2, ?3)
         ORDER BY room_id, session_id LIMIT ?4`
      : `SELECT ${columns} FROM backup_keys WHERE version = ?1 AND room_id = ?2 AND session_id > ?3
         ORDER BY session_id LIMIT ?4`
  return sql.exec<KeyRow>(query, Number(version), from.roomId, from.sessionId, limit).toArray()
}

function keyOf(row: KeyRow): BackedUpKey {
  return {
    first_message_index: row.first_message_index,
    forwarded_count: row.forwarded_count,
    is_verified: row.is_verified === 1,
    session_data: JSON.parse(row.session_data),
  }
}
