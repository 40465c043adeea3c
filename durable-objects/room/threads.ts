/**
 * What a thread comes to for one reader: its latest event, how many there are, whether they took part.
 *
 * Spec: client-server-api/#server-side-aggregation-of-mthread-relationships. State events are no part of a thread.
 */
import type { EventId } from '#protocol/identifiers/event-id.ts'

import { isShown } from './history-page.ts'
import { walkHistory } from './history-walk.ts'
import { childRows } from './relations.ts'
import { eventColumns, type EventRow, type StoredEvent } from './stored-event.ts'
import type { View } from './visibility.ts'

/** Hidden events at the end of a thread that are passed over to find its latest. */
const maxHidden = 500

const wholeHistory = {
  dir: 'b',
  start: { depth: Number.MAX_SAFE_INTEGER, nid: Number.MAX_SAFE_INTEGER },
  stop: undefined,
  after: 0,
  upTo: Infinity,
  bound: undefined,
} as const

/** "The most recent event (topologically to the server) in the thread sent by an un-ignored user" that the reader may see. */
export function latestInThread(view: View, root: EventId, ignoredUsers: readonly string[]): StoredEvent | undefined {
  const rows = childRows(view.room, { parent: root, relType: 'm.thread' })
  let hidden = 0
  for (const { event } of walkHistory(view.room.reader, wholeHistory, 10, rows)) {
    if (event.state_key === undefined && isShown(view, event, { ignoredUsers })) return event
    if (++hidden > maxHidden) return undefined
  }
  return undefined
}

// What the reader may see of an event that is no state hangs on the state around it and on whether it was there before
// they left: events alike in that are counted together, and one of them (that of max(nid)) is asked for all.
const countsQuery =
  `SELECT ${eventColumns}, max(nid) AS newest, count(*) AS count, sum(sender = ?) AS mine FROM relations ` +
  "JOIN events ON nid = child WHERE parent = ? AND rel_type = 'm.thread' AND state_key IS NULL " +
  'AND sender NOT IN (SELECT value FROM json_each(?)) ' +
  'GROUP BY state_before, state_after, CASE WHEN pos IS NULL OR ? IS NULL THEN depth < ? ELSE pos < ? END'

/** How many events of a thread the reader may see, and whether any is theirs. */
export function threadCounts(
  view: View,
  root: EventId,
  ignoredUsers: readonly string[],
): { readonly count: number; readonly byReader: boolean } {
  const { room, reader, standing } = view
  const until = standing.kind === 'departed' ? standing.until : undefined
  const rows = room.reader.sql.exec<EventRow & { newest: number; count: number; mine: number }>(
    countsQuery,
    reader,
    root,
    JSON.stringify(ignoredUsers),
    until?.pos ?? null,
    until?.depth ?? Number.MAX_SAFE_INTEGER,
    until?.pos ?? null,
  )
  const seen = rows.toArray().filter((row) => view.mayRead(room.reader.fromRow(row)))
  return { count: seen.reduce((sum, row) => sum + row.count, 0), byReader: seen.some(({ mine }) => mine > 0) }
}
