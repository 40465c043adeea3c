/**
 * The newest events of a room that a client has not heard of, in order of arrival.
 *
 * Spec: client-server-api/#syncing. Bounded: where very many events are hidden from the reader or filtered out, the slice
 * ends early and says that events were left out.
 */
import { type Choice, isShown } from './history-page.ts'
import { eventColumns, type EventRow, type StoredEvent } from './stored-event.ts'
import type { View } from './visibility.ts'

export interface TimelineSlice {
  /** Oldest first. */
  readonly events: readonly StoredEvent[]
  /** There are, or may be, further events to be seen between the position asked from and these. */
  readonly leftOut: boolean
  /** The position right before the events; where the span ends if there are none. */
  readonly start: number
}

/** Events that are read for one slice beside those it shows. */
const maxHidden = 1000
const [leastChunk, mostChunk] = [10, 100]

/** The newest `limit` events after one position up to another. */
export function timelineSlice(
  view: View,
  span: { readonly after: number; readonly upTo: number },
  limit: number,
  choice: Choice,
): TimelineSlice {
  const gap = newestGap(view, span)
  const floor = gap === undefined ? span.after : gap - 1
  const events: StoredEvent[] = []
  const slice = (leftOut: boolean, start: number): TimelineSlice => ({
    events: events.toReversed(),
    leftOut: leftOut || gap !== undefined,
    start: (events.at(-1)?.pos ?? start + 1) - 1,
  })
  let hidden = 0
  for (const event of newestFirst(view, floor, span.upTo, Math.min(Math.max(limit + 1, leastChunk), mostChunk))) {
    const pos = event.pos ?? 0
    if (isShown(view, event, choice)) {
      if (events.length === limit) return slice(true, span.upTo)
      events.push(event)
    } else if (++hidden > maxHidden) return slice(true, pos - 1)
  }
  return slice(false, span.upTo)
}

/** The newest live event in a span before which events are missing: the timeline cannot run on across it. */
function newestGap({ room }: View, { after, upTo }: { after: number; upTo: number }): number | undefined {
  const query = 'SELECT pos FROM timeline_gaps WHERE pos > ? AND pos <= ? ORDER BY pos DESC LIMIT 1'
  return room.reader.sql.exec<{ pos: number }>(query, after, upTo).toArray()[0]?.pos
}

const query = `SELECT ${eventColumns} FROM events WHERE pos > ? AND pos <= ? ORDER BY pos DESC LIMIT ?`

function* newestFirst({ room }: View, after: number, upTo: number, size: number): Generator<StoredEvent> {
  const { reader } = room
  for (let at = upTo; at > after;) {
    const rows = reader.sql.exec<EventRow>(query, after, at, size).toArray()
    for (const row of rows) yield reader.fromRow(row)
    if (rows.length < size) return
    at = (rows.at(-1)?.pos ?? 0) - 1
  }
}
