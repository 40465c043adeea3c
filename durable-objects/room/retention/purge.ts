/**
 * Takes away what messages said that are over.
 *
 * MSC1763 (unstable). What the DAG needs of an event stays, as after a redaction: other events and other servers name it, so
 * it is neither missing nor fetched again. One row is written for a message, and those of its relation and its words.
 *
 * Times in events are what servers wrote, in no order; an index of them would cost a row for each message. So messages are
 * taken in blocks by nid, as in time-index.ts, of which the earliest time is kept:
 *
 *     nid  0 ······ 255 | 256 ····· 511 | 512 ··· 600
 *          nothing left | from 12 May   | not full yet: looked through
 */
import { redact } from '#protocol/events/redaction.ts'

import type { Room } from '../room.ts'
import { editedBy, noteUnsaid } from '../search/search-index.ts'
import { unstick } from '../sticky/sticky-rows.ts'
import { eventColumns, type EventRow, type Nid, type StoredEvent } from '../stored-event.ts'
import { type Horizon, takenAway } from './expiry.ts'

/** Nids of one block. */
const span = 256
/** Blocks that are noted, and that are looked through, in one turn. */
const [notedAtOnce, searchedAtOnce] = [100, 50]

const messages = 'state_key IS NULL AND redacted_by IS NULL'

/** Takes away up to so many messages from before the horizon, in one turn. True if there may be more. */
export function purge(room: Room, horizon: Horizon, atMost: number): boolean {
  const purged = room.transactor.turn(() => ({ ok: true, more: purgeSome(room, horizon, atMost) }))
  return purged.more
}

function purgeSome(room: Room, horizon: Horizon, atMost: number): boolean {
  const { sql } = room.reader
  const isNoted = noteBlocks(room, notedAtOnce)
  const query = 'SELECT block FROM retention_blocks WHERE earliest < ? ORDER BY block LIMIT ?'
  const blocks = sql.exec<{ block: number }>(query, horizon, searchedAtOnce).toArray()
  let left = atMost
  for (const { block } of blocks) {
    const range = [block * span, (block + 1) * span] as const
    left -= purgeRange(room, range, horizon, left)
    if (left <= 0) return true
    const [earliest] = earliestIn(room, ...range)
    sql.exec('UPDATE retention_blocks SET earliest = ? WHERE block = ?', earliest ?? null, block)
  }
  if (!isNoted || blocks.length === searchedAtOnce) return true
  return purgeRange(room, [openBlock(room) * span, Number.MAX_SAFE_INTEGER], horizon, left) === left
}

function purgeRange(room: Room, [from, end]: readonly [Nid, Nid], horizon: Horizon, atMost: number): number {
  const query = `SELECT ${eventColumns} FROM events WHERE nid >= ? AND nid < ? AND ${messages} AND origin_server_ts < ? LIMIT ?`
  const rows = room.reader.sql.exec<EventRow>(query, from, end, horizon, atMost).toArray()
  for (const row of rows) takeAway(room, room.reader.fromRow(row))
  return rows.length
}

/** Leaves of a message what the DAG needs. Part of a turn. */
export function takeAway(room: Room, event: StoredEvent): void {
  const edited = editedBy(room, event)
  room.transactor.redactEvent(event, takenAway, redact(room.reader.rules, event.pdu.json))
  unstick(room, event)
  // Nothing else that is a message stands in the index.
  if (event.type !== 'm.room.message') return
  noteUnsaid(room, event, edited?.redactedBy === undefined ? edited : undefined)
}

/** Notes blocks that have become full. False if there are more than so many. */
function noteBlocks(room: Room, atMost: number): boolean {
  const { sql } = room.reader
  const full = openBlock(room)
  const known = sql
    .exec<{ block: number }>('SELECT coalesce(max(block), -1) AS block FROM retention_blocks')
    .one().block
  const until = Math.min(full, known + 1 + atMost)
  for (let block = known + 1; block < until; block++) {
    const [earliest] = earliestIn(room, block * span, (block + 1) * span)
    sql.exec('INSERT INTO retention_blocks(block, earliest) VALUES (?, ?)', block, earliest ?? null)
  }
  return until >= full
}

/** The block that is not full yet. */
function openBlock({ reader }: Room): number {
  return Math.floor((reader.lastNid() + 1) / span)
}

/** The earliest time of a message that is whole; none where all are taken away. */
function earliestIn({ reader: { sql } }: Room, from: Nid, end: Nid): number[] {
  const query = `SELECT min(origin_server_ts) AS ts FROM events WHERE nid >= ? AND nid < ? AND ${messages}`
  const { ts } = sql.exec<{ ts: number | null }>(query, from, end).one()
  return ts === null ? [] : [ts]
}

/**
 * The time of the earliest message of the room that is whole; undefined where there is none. A room that was not looked at
 * for long is said to have very old ones.
 */
export function earliestMessage(room: Room): number | undefined {
  const { sql } = room.reader
  if (!noteBlocks(room, 4)) return 0
  const { ts } = sql.exec<{ ts: number | null }>('SELECT min(earliest) AS ts FROM retention_blocks').one()
  const times = [...(ts === null ? [] : [ts]), ...earliestIn(room, openBlock(room) * span, Number.MAX_SAFE_INTEGER)]
  return times.length === 0 ? undefined : Math.min(...times)
}
