/**
 * Accepted events by their `origin_server_ts`, nearest to a moment first.
 *
 * Servers write what they like into that field, so neither order of this room says anything of it; and an index would cost a
 * row for each event, for a question that is asked once in a while. So events are taken in blocks by nid, of which the
 * earliest and latest time are kept. Blocks are noted when somebody asks; what came since then is looked at one by one:
 *
 *     nid  0 ······ 255 | 256 ····· 511 | 512 ··· 600
 *          10:00–11:30  | 09:00–12:10   | not noted yet
 */
import type { Nid, StoredEvent } from './stored-event.ts'
import type { Reader } from './reader.ts'

/** Events of one block. */
const span = 256

interface Block {
  readonly block: number
  /** Of its events none is nearer than this. */
  readonly bound: number
}
type Candidate = { nid: Nid; ts: number; depth: number }

/**
 * The events at or after a moment (`f`), or at or before it (`b`). Those of the same time come in the order of the room, or
 * backwards in that order.
 */
export function* eventsFrom(reader: Reader, ts: number, dir: 'b' | 'f'): Generator<StoredEvent> {
  const sign = dir === 'f' ? 1 : -1
  const nearest = (a: Candidate, b: Candidate) => sign * (a.ts - b.ts || a.depth - b.depth || a.nid - b.nid)
  const blocks = blocksFrom(reader, ts, dir)
  let found: Candidate[] = []
  for (;;) {
    const [block, first] = [blocks[0], found[0]]
    // What another block holds may be nearer, or as near.
    if (block && (!first || sign * (block.bound - first.ts) <= 0)) {
      blocks.shift()
      found = [...found, ...eventsOf(reader, block.block, ts, dir)].sort(nearest)
      continue
    }
    if (!first) return
    found.shift()
    const event = reader.event(first.nid)
    if (event) yield event
  }
}

/** Blocks in which there may be such events, nearest first. */
function blocksFrom(reader: Reader, ts: number, dir: 'b' | 'f'): Block[] {
  const { sql } = reader
  const open = Math.floor((reader.lastNid() + 1) / span)
  const known = sql.exec<{ block: number }>('SELECT coalesce(max(block), -1) AS block FROM time_blocks').one().block
  for (let block = known + 1; block < open; block++) {
    sql.exec(
      'INSERT INTO time_blocks(block, earliest, latest) ' +
        'SELECT ?, coalesce(min(origin_server_ts), 0), coalesce(max(origin_server_ts), 0) FROM events WHERE nid >= ? AND nid < ?',
      block,
      block * span,
      (block + 1) * span,
    )
  }
  const query =
    dir === 'f'
      ? 'SELECT block, max(earliest, ?1) AS bound FROM time_blocks WHERE latest >= ?1 ORDER BY bound'
      : 'SELECT block, min(latest, ?1) AS bound FROM time_blocks WHERE earliest <= ?1 ORDER BY bound DESC'
  return [{ block: open, bound: ts }, ...sql.exec<{ block: number; bound: number }>(query, ts).toArray()]
}

function eventsOf({ sql }: Reader, block: number, ts: number, dir: 'b' | 'f'): Candidate[] {
  const query =
    'SELECT nid, origin_server_ts AS ts, depth FROM events WHERE nid >= ? AND nid < ? AND outcome = 0 ' +
    `AND state_before IS NOT NULL AND origin_server_ts ${dir === 'f' ? '>=' : '<='} ?`
  return sql.exec<Candidate>(query, block * span, (block + 1) * span, ts).toArray()
}
