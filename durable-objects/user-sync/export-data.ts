/** What a user's stream knows of its user, for the export of their data. */
import type { JsonObject } from '#protocol/json/json.ts'

import type { Sql } from '../shared/sql.ts'

export interface ExportedStream {
  readonly rooms: readonly { readonly room_id: string; readonly membership: string }[]
  /** `room_id` is absent where it is about no room. */
  readonly accountData: readonly { readonly room_id?: string; readonly type: string; readonly content: JsonObject }[]
}

export function exportData(sql: Sql): ExportedStream {
  const rooms = sql
    .exec<{ room_id: string; membership: string }>('SELECT room_id, membership FROM rooms ORDER BY room_id')
    .toArray()
  const data = sql.exec<{ room_id: string; type: string; content: string }>(
    "SELECT room_id, type, content FROM account_data WHERE content <> '{}' ORDER BY room_id, type",
  )
  const accountData = data.toArray().map(({ room_id, type, content }) => ({
    ...(room_id === '' ? {} : { room_id }),
    type,
    content: JSON.parse(content),
  }))
  return { rooms: rooms.map(({ room_id, membership }) => ({ room_id, membership })), accountData }
}
