/** The rows of a federation sender: what survives when the object is put to sleep or its machine dies. */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import { parseServerName, type ServerName } from '#protocol/identifiers/server-name.ts'
import type { JsonObject } from '#protocol/json/json.ts'

import type { Sql } from '../shared/sql.ts'

export interface Pending {
  readonly roomId: RoomId
  readonly after: number
  readonly pos: number
  readonly destinations: ServerName[]
}
export interface DurableEdu {
  readonly id: number
  readonly edu: JsonObject
  readonly destinations: ServerName[]
}
export interface Failing {
  readonly failures: number
  readonly retryAt: number
}

const day = 24 * 3_600_000
/** EDUs older than this are given up: their readers have started anew since. */
const eduLifetime = 30 * day
/** A server that comes back after months must hear whose devices changed: nothing else would make it look. */
const updateLifetime = 365 * day

export class SenderStorage {
  readonly #sql: Sql

  constructor(sql: Sql) {
    this.#sql = sql
  }

  pending(): Pending[] {
    return this.#sql
      .exec<{ roomId: RoomId; after: number; pos: number; destinations: string }>(
        'SELECT room_id AS roomId, after, pos, destinations FROM pending',
      )
      .toArray()
      .map((row) => ({ ...row, destinations: namesIn(row.destinations) }))
  }

  savePending({ roomId, after, pos, destinations }: Pending): void {
    this.#sql.exec(
      'INSERT OR REPLACE INTO pending(room_id, after, pos, destinations) VALUES (?, ?, ?, ?)',
      roomId,
      after,
      pos,
      JSON.stringify(destinations),
    )
  }

  deletePending(roomId: RoomId): void {
    this.#sql.exec('DELETE FROM pending WHERE room_id = ?', roomId)
  }

  behind(): { destination: ServerName; roomId: RoomId; after: number }[] {
    return this.#sql
      .exec<{ destination: ServerName; roomId: RoomId; after: number }>(
        'SELECT destination, room_id AS roomId, after FROM behind ORDER BY destination, after',
      )
      .toArray()
  }

  /** The earliest position stands. */
  saveBehind(destination: ServerName, roomId: RoomId, after: number): void {
    this.#sql.exec(
      'INSERT INTO behind(destination, room_id, after) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET after = min(after, ?3)',
      destination,
      roomId,
      after,
    )
  }

  advanceBehind(destination: ServerName, roomId: RoomId, after: number): void {
    this.#sql.exec('UPDATE behind SET after = ? WHERE destination = ? AND room_id = ?', after, destination, roomId)
  }

  deleteBehind(destination: ServerName, roomId: RoomId): void {
    this.#sql.exec('DELETE FROM behind WHERE destination = ? AND room_id = ?', destination, roomId)
  }

  failing(): (Failing & { destination: ServerName })[] {
    return this.#sql
      .exec<{ destination: ServerName; failures: number; retryAt: number }>(
        'SELECT destination, failures, retry_at AS retryAt FROM failing',
      )
      .toArray()
  }

  saveFailing(destination: ServerName, { failures, retryAt }: Failing): void {
    this.#sql.exec(
      'INSERT OR REPLACE INTO failing(destination, failures, retry_at) VALUES (?, ?, ?)',
      destination,
      failures,
      retryAt,
    )
  }

  deleteFailing(destination: ServerName): void {
    this.#sql.exec('DELETE FROM failing WHERE destination = ?', destination)
  }

  edus(): DurableEdu[] {
    return this.#sql
      .exec<{ id: number; json: string; destinations: string }>('SELECT id, json, destinations FROM edus ORDER BY id')
      .toArray()
      .map(({ id, json, destinations }) => ({ id, edu: JSON.parse(json), destinations: namesIn(destinations) }))
  }

  insertEdu(edu: JsonObject, destinations: readonly ServerName[], now: number): number {
    const rows = this.#sql
      .exec<{ id: number }>(
        'INSERT INTO edus(json, destinations, created_at) VALUES (?, ?, ?) RETURNING id',
        JSON.stringify(edu),
        JSON.stringify(destinations),
        now,
      )
      .toArray()
    return rows[0]?.id ?? 0
  }

  saveEduDestinations(id: number, destinations: readonly ServerName[]): void {
    if (destinations.length === 0) this.#sql.exec('DELETE FROM edus WHERE id = ?', id)
    else this.#sql.exec('UPDATE edus SET destinations = ? WHERE id = ?', JSON.stringify(destinations), id)
  }

  deleteOldEdus(now: number): void {
    this.#sql.exec(
      `DELETE FROM edus WHERE created_at < ?1
       AND (created_at < ?2 OR json_extract(json, '$.edu_type') NOT LIKE '%_update')`,
      now - eduLifetime,
      now - updateLifetime,
    )
  }
}

function namesIn(json: string): ServerName[] {
  const list: unknown = JSON.parse(json)
  return Array.isArray(list) ? list.flatMap((name) => parseServerName(name) ?? []) : []
}
