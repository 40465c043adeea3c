/**
 * One local user's stream: which rooms changed, account data, and whose sync is waiting. `idFromName(user_id)`.
 *
 * This class is the RPC surface only; each method calls a function of the file that holds the idea.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { DurableObject } from 'cloudflare:workers'

import type { Env } from '../../worker/env.ts'

export type Membership = 'join' | 'invite' | 'knock' | 'leave' | 'ban'

export interface RoomChange {
  readonly roomId: RoomId
  readonly pos: number
  readonly typing: number
  readonly membership: Membership
}

export class UserSyncDO extends DurableObject<Env> {
  #sql = this.ctx.storage.sql

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    this.#sql.exec(
      `CREATE TABLE IF NOT EXISTS rooms(room_id TEXT PRIMARY KEY, membership TEXT, known_pos INTEGER, known_typing INTEGER) WITHOUT ROWID`,
    )
    this.#sql.exec(
      `CREATE TABLE IF NOT EXISTS account_data(room_id TEXT, type TEXT, content TEXT, PRIMARY KEY(room_id, type)) WITHOUT ROWID`,
    )
  }

  /** A room tells that it has something newer for this user, or that the user's membership changed. Idempotent. */
  async roomChanged(change: RoomChange): Promise<void> {
    this.#sql.exec(
      `INSERT INTO rooms VALUES (?, ?, ?, ?) ON CONFLICT(room_id) DO UPDATE SET membership = excluded.membership,
         known_pos = max(known_pos, excluded.known_pos), known_typing = excluded.known_typing`,
      ...[change.roomId, change.membership, change.pos, change.typing],
    )
  }

  /** The rooms whose member this user is, as far as the rooms have told. */
  async joinedRooms(): Promise<string[]> {
    return this.#sql
      .exec<{ room_id: string }>(`SELECT room_id FROM rooms WHERE membership = 'join' ORDER BY room_id`)
      .toArray()
      .map((row) => row.room_id)
  }

  /** Sets one piece of account data; `roomId` undefined for global. */
  async setAccountData(data: { roomId?: RoomId; type: string; content: JsonObject }): Promise<{ ok: true }> {
    this.#sql.exec(
      `INSERT OR REPLACE INTO account_data VALUES (?, ?, ?)`,
      ...[data.roomId ?? '', data.type, JSON.stringify(data.content)],
    )
    return { ok: true }
  }

  /** The content of one piece of account data, or `not_found`. */
  async getAccountData(key: {
    roomId?: RoomId
    type: string
  }): Promise<{ ok: true; content: JsonObject } | { ok: false; reason: 'not_found' }> {
    const [row] = this.#sql
      .exec<{
        content: string
      }>(`SELECT content FROM account_data WHERE room_id = ? AND type = ?`, key.roomId ?? '', key.type)
      .toArray()
    return row ? { ok: true, content: JSON.parse(row.content) } : { ok: false, reason: 'not_found' }
  }
}
