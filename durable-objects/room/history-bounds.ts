/**
 * Between which points of the order of history, (depth, nid), the events lie that arrived in a span of positions.
 *
 * Servers write into `depth` what they like, so that neither order says anything of the other for sure; and a client may come
 * with a token from long ago. So live events are taken in blocks of 256 positions. A block that is full never changes, and is
 * noted when somebody asks: its own lowest event, the highest of all blocks so far, and the lowest from here on.
 *
 *     pos        0 ······· 255 | 256 ······ 511 | 512 ·· 600
 *     depths     1 – 250       | 180 – 500      | not noted yet
 *     lowest     1             | 180
 *     from here  1             | 180
 *     peak       250           | 500
 */
import type { HistoryPoint } from '#protocol/sync/timeline-token.ts'

import type { Reader } from './reader.ts'

/** Positions of one block. */
const span = 256
/** Events that are looked at from above, before blocks are. */
const probe = 64
/** Blocks that are noted at once. */
const atOnce = 16

type PointRow = { depth: number; nid: number }
type PlacedRow = PointRow & { pos: number }

/** The highest of the accepted events that are not live, or arrived up to a position. */
export function highestUpTo(reader: Reader, upTo: number): HistoryPoint | undefined {
  const { sql } = reader
  const to = Math.min(upTo, reader.header().pos)
  // Few events mostly came since the token was given: the first ones from above are looked at before anything else.
  const above = 'SELECT depth, nid, pos FROM events WHERE outcome = 0 ORDER BY depth DESC, nid DESC LIMIT ?'
  // A cursor that is not read to its end keeps the object from dropping tables, as joins do.
  const first = sql.exec<PointRow & { pos: number | null }>(above, probe).toArray()
  const found = first.find(({ pos }) => pos === null || pos <= to)
  if (found) return { depth: found.depth, nid: found.nid }
  const filled = 'SELECT depth, nid FROM events WHERE outcome = 0 AND pos IS NULL ORDER BY depth DESC, nid DESC LIMIT 1'
  const block = noteBlocks(reader, Math.floor((to + 1) / span))
  const peak =
    'SELECT peak_depth AS depth, peak_nid AS nid FROM history_blocks WHERE block < ? ORDER BY block DESC LIMIT 1'
  return lastOf([
    ...sql.exec<PointRow>(filled),
    ...sql.exec<PointRow>(peak, block),
    ...liveBetween(reader, block * span, to),
  ])
}

/** The lowest of the live events that arrived after a position and up to another. */
export function lowestBetween(reader: Reader, after: number, upTo: number): HistoryPoint | undefined {
  const { pos: newest } = reader.header()
  const to = Math.min(upTo, newest)
  // Full blocks lie between these two; before the first and from the second on events are looked at one by one.
  const first = Math.floor((after + span) / span)
  const end = to - after < 2 * span ? first : noteBlocks(reader, Math.floor((to + 1) / span))
  if (end <= first) return firstOf(liveBetween(reader, after + 1, to))
  const isOpen = to === newest
  const lowest = isOpen
    ? 'SELECT floor_depth AS depth, floor_nid AS nid FROM history_blocks WHERE block >= ? AND block < ? ORDER BY block LIMIT 1'
    : 'SELECT low_depth AS depth, low_nid AS nid FROM history_blocks WHERE block >= ? AND block < ?'
  return firstOf([
    ...liveBetween(reader, after + 1, first * span - 1),
    ...reader.sql.exec<PointRow>(lowest, first, end),
    ...liveBetween(reader, end * span, to),
  ])
}

/** Notes the full blocks below `end` that are not noted yet. Returns `end`. */
function noteBlocks({ sql }: Reader, end: number): number {
  const newest = sql
    .exec<Peak>('SELECT block, peak_depth AS depth, peak_nid AS nid FROM history_blocks ORDER BY block DESC LIMIT 1')
    .toArray()[0]
  let peak: HistoryPoint | undefined = newest
  let next = (newest?.block ?? -1) + 1
  while (next < end) {
    const few = 'SELECT depth, nid, pos FROM events WHERE pos >= ? AND pos < ? ORDER BY pos LIMIT ?'
    const rows = sql.exec<PlacedRow>(few, next * span, end * span, atOnce * span).toArray()
    const last = rows.at(-1)
    if (!last) break
    // The last block may go on behind the rows that were read.
    const full = rows.length < atOnce * span ? end : blockOf(last)
    for (let block = blockOf(rows[0] ?? last); block <= blockOf(last) && block < full; block++) {
      const events = rows.filter((row) => blockOf(row) === block)
      const lowest = firstOf(events)
      peak = lastOf([...(peak ? [peak] : []), ...events])
      if (lowest && peak) noteBlock(sql, block, lowest, peak)
    }
    next = full
  }
  return end
}

type Peak = PointRow & { block: number }

function blockOf({ pos }: PlacedRow): number {
  return Math.floor(pos / span)
}

/** What is lowest from a block on may be lower than was noted with the blocks right before it. */
function noteBlock(sql: SqlStorage, block: number, { depth, nid }: HistoryPoint, peak: HistoryPoint): void {
  sql.exec(
    `INSERT INTO history_blocks(block, low_depth, low_nid, floor_depth, floor_nid, peak_depth, peak_nid)
     VALUES (?1, ?2, ?3, ?2, ?3, ?4, ?5)`,
    block,
    depth,
    nid,
    peak.depth,
    peak.nid,
  )
  const before =
    'SELECT block, floor_depth AS depth, floor_nid AS nid FROM history_blocks WHERE block < ? ORDER BY block DESC LIMIT 1'
  for (let at = block; ;) {
    const earlier = sql.exec<Peak>(before, at).toArray()[0]
    if (!earlier || compare(earlier, { depth, nid }) <= 0) return
    sql.exec('UPDATE history_blocks SET floor_depth = ?, floor_nid = ? WHERE block = ?', depth, nid, earlier.block)
    at = earlier.block
  }
}

function liveBetween({ sql }: Reader, from: number, to: number): HistoryPoint[] {
  if (to < from) return []
  return sql.exec<PointRow>('SELECT depth, nid FROM events WHERE pos >= ? AND pos <= ?', from, to).toArray()
}

function compare(a: HistoryPoint, b: HistoryPoint): number {
  return a.depth - b.depth || a.nid - b.nid
}

function firstOf(points: readonly HistoryPoint[]): HistoryPoint | undefined {
  return points.reduce<HistoryPoint | undefined>(
    (one, each) => (one && compare(one, each) <= 0 ? one : each),
    undefined,
  )
}

function lastOf(points: readonly HistoryPoint[]): HistoryPoint | undefined {
  return points.reduce<HistoryPoint | undefined>(
    (one, each) => (one && compare(one, each) >= 0 ? one : each),
    undefined,
  )
}
