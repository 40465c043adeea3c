/**
 * Walks the accepted events of a room in the order of `/messages`, (depth, nid), a chunk of rows at a time.
 *
 * An event that arrives late, from a server that was cut off, has a low depth: it lies far back in this order, but at the
 * end of the order in which `/sync` tells events. Where paging begins or ends at a position of `/sync`, the walk keeps to
 * the events on the right side of that position, so that pages and timeline together have each event once:
 *
 *     arrival (pos)    1  2  3  4  5       depth: 1 2 3 2 4       sync showed 5 (prev_batch p4)
 *     backwards from p4:  3(pos 3)  2(pos 4)  2(pos 2)  1(pos 1)
 */
import type { HistoryPoint, PagingBound, TimelineToken } from '#protocol/sync/timeline-token.ts'

import { highestUpTo, lowestBetween } from './history-bounds.ts'
import type { Reader } from './reader.ts'
import { eventColumns, type EventRow, type StoredEvent } from './stored-event.ts'

export type Direction = 'b' | 'f'

/** What a walk goes through. Positions concern live events only; others pass. */
export interface Walk {
  readonly dir: Direction
  /** Where it begins: backwards with the event at that point, forwards with the one behind it. */
  readonly start: HistoryPoint
  /** Where it ends: backwards before the event at that point, forwards with it. */
  readonly stop: HistoryPoint | undefined
  /** Live events must have arrived after this position … */
  readonly after: number
  /** … and up to this one. */
  readonly upTo: number
  /** Goes into the tokens of further pages. */
  readonly bound: PagingBound | undefined
}

const beginning: HistoryPoint = { depth: 0, nid: 0 }

/** The walk from one token to another; undefined if there is nothing between them. */
export function planWalk(
  reader: Reader,
  dir: Direction,
  from: TimelineToken,
  to: TimelineToken | undefined,
): Walk | undefined {
  const bound = boundOf(dir, from)
  const toPos = to?.kind === 'live' ? to.pos : undefined
  const toPoint = to?.kind === 'history' ? to.at : undefined
  if (dir === 'b') {
    const upTo = bound?.pos ?? Infinity
    const after = toPos ?? 0
    const stop = toPos === undefined ? toPoint : before(lowestBetween(reader, after, upTo))
    if (toPos !== undefined && stop === undefined) return undefined
    const start = from.kind === 'history' ? from.at : highestUpTo(reader, upTo)
    return start && { dir, start, stop, after, upTo, bound }
  }
  const after = bound?.pos ?? 0
  const start = from.kind === 'history' ? from.at : before(lowestBetween(reader, after, toPos ?? Infinity))
  return start && { dir, start, stop: toPoint, after, upTo: toPos ?? Infinity, bound }
}

/** The beginning of the room's history, as a token. */
export const beginningOfHistory: TimelineToken = { kind: 'history', at: beginning }

/** A token for where a walk stands after `last`, its newest event so far. */
export function tokenAfter({ dir, bound }: Pick<Walk, 'dir' | 'bound'>, last: StoredEvent): TimelineToken {
  return { kind: 'history', at: dir === 'b' ? pointBefore(last) : pointAfter(last), bound }
}

export function pointAfter({ depth, nid }: StoredEvent): HistoryPoint {
  return { depth, nid }
}

export function pointBefore({ depth, nid }: StoredEvent): HistoryPoint {
  return { depth, nid: nid - 1 }
}

function boundOf(dir: Direction, from: TimelineToken): PagingBound | undefined {
  if (from.kind === 'live') return { dir, pos: from.pos }
  return from.bound?.dir === dir ? from.bound : undefined
}

function before(point: HistoryPoint | undefined): HistoryPoint | undefined {
  return point && { depth: point.depth, nid: point.nid - 1 }
}

const backwards = `SELECT ${eventColumns} FROM events WHERE outcome = 0 AND (depth, nid) <= (?, ?) ORDER BY depth DESC, nid DESC LIMIT ?`
const forwards = `SELECT ${eventColumns} FROM events WHERE outcome = 0 AND (depth, nid) > (?, ?) ORDER BY depth, nid LIMIT ?`

/** Reads up to so many rows of a walk on from a point: backwards with the event there, forwards behind it. */
export type ReadRows = (dir: Direction, at: HistoryPoint, chunk: number) => EventRow[]

/** All accepted events of the room. */
export const allRows =
  ({ sql }: Reader): ReadRows =>
  (dir, at, chunk) =>
    sql.exec<EventRow>(dir === 'b' ? backwards : forwards, at.depth, at.nid, chunk).toArray()

/** The events of a walk. Those on the wrong side of a position are yielded too (`counts: false`): reading them is work. */
export function* walkHistory(
  reader: Reader,
  walk: Walk,
  chunk: number,
  read: ReadRows = allRows(reader),
): Generator<{ readonly event: StoredEvent; readonly counts: boolean }> {
  let at = walk.start
  for (;;) {
    const rows = read(walk.dir, at, chunk)
    for (const row of rows) {
      const event = reader.fromRow(row)
      if (walk.stop && isBeyond(walk.dir, event, walk.stop)) return
      at = walk.dir === 'b' ? pointBefore(event) : pointAfter(event)
      const { pos } = event
      yield { event, counts: pos === undefined || (pos > walk.after && pos <= walk.upTo) }
    }
    if (rows.length < chunk) return
  }
}

function isBeyond(dir: Direction, event: StoredEvent, stop: HistoryPoint): boolean {
  const isAfterStop = event.depth > stop.depth || (event.depth === stop.depth && event.nid > stop.nid)
  return dir === 'b' ? !isAfterStop : isAfterStop
}
