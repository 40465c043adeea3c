/** What one user has sent in a room, for the export of their data. */
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'

import { horizonOf, isOver } from './retention/expiry.ts'
import type { Room } from './room.ts'

export interface SentPage {
  /** Oldest first: type, content, state_key, origin_server_ts, event_id. */
  readonly events: readonly JsonObject[]
  /** Where the next page begins; undefined: that is all. */
  readonly next?: number
}

/** Events that one page looks at: nothing leads from a user to their events. */
const lookedAt = 5_000
/** Characters of a page, about. */
const pageSize = 2_000_000

/** A page of it, in the order in which events arrived here. What was redacted says nothing any more. */
export function sentBy(room: Room, user: UserId, after: number): SentPage {
  const { sql } = room.reader
  const { last } = sql
    .exec<{ last: number | null }>(
      'SELECT max(nid) AS last FROM (SELECT nid FROM events WHERE nid > ? ORDER BY nid LIMIT ?)',
      after,
      lookedAt,
    )
    .one()
  if (last === null) return { events: [] }
  const rows = sql.exec<{
    nid: number
    event_id: string
    json: string
    state_key: string | null
    ts: number
    redacted_by: number | null
  }>(
    `SELECT nid, event_id, json, state_key, origin_server_ts AS ts, redacted_by FROM (
       SELECT *, sum(length(json)) OVER (ORDER BY nid) - length(json) AS before
       FROM events WHERE nid > ? AND nid <= ? AND sender = ? AND outcome = 0
     ) WHERE before < ? ORDER BY nid`,
    after,
    last,
    user,
    pageSize,
  )
  const events: JsonObject[] = []
  let size = 0
  let end = last
  const horizon = horizonOf(room)
  for (const { nid, event_id, json, state_key, ts, redacted_by } of rows) {
    const event: unknown = JSON.parse(json)
    const stored = { state_key: state_key ?? undefined, redactedBy: redacted_by ?? undefined, origin_server_ts: ts }
    if (!isObject(event) || isOver(stored, horizon)) continue
    const fields = ['type', 'state_key', 'content', 'origin_server_ts'].map((name) => [name, own(event, name)])
    events.push({ event_id, ...Object.fromEntries(fields.filter(([, value]) => value !== undefined)) })
    size += json.length
    if (size >= pageSize) end = nid
  }
  return { events, next: end }
}
