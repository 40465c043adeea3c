/**
 * Whose devices or keys this user's clients must look at again.
 *
 * Spec: client-server-api/#e2e-extensions-to-sync (`device_lists`). Only the newest change per user is kept: a client needs
 * to know that something changed, not how often.
 */
import type { UserId } from '#protocol/identifiers/user-id.ts'

import type { Sql } from '../shared/sql.ts'
import { advance, type Stream } from './stream.ts'

export interface DeviceLists {
  readonly changed: readonly string[]
  readonly left: readonly string[]
}

/** `left`: no encrypted room is shared with them any more. */
export function noteDeviceListChange(sql: Sql, stream: Stream, userId: UserId, left: boolean): void {
  sql.exec(
    `INSERT INTO device_list_changes(user_id, position, has_left) VALUES (?, ?, ?)
     ON CONFLICT(user_id) DO UPDATE SET position = excluded.position, has_left = excluded.has_left`,
    userId,
    advance(sql, stream),
    left ? 1 : 0,
  )
}

export function deviceListsAfter(sql: Sql, position: number): DeviceLists {
  const rows = sql
    .exec<{ user_id: string; has_left: number }>(
      'SELECT user_id, has_left FROM device_list_changes WHERE position > ? ORDER BY position',
      position,
    )
    .toArray()
  return {
    changed: rows.filter((row) => row.has_left === 0).map((row) => row.user_id),
    left: rows.filter((row) => row.has_left === 1).map((row) => row.user_id),
  }
}
