/**
 * A page of history: the next events of a walk that a reader may see and a filter lets through.
 *
 * Never stops at a page of only hidden events: it reads on until it has enough, until the history ends, or until it has done
 * a bounded amount of work; only then is a page short of events though there may be more, and says so by its `next`.
 */
import { passesFilter, type RoomEventFilter } from '#protocol/filters/filter.ts'
import type { TimelineToken } from '#protocol/sync/timeline-token.ts'

import { type ReadRows, tokenAfter, type Walk, walkHistory } from './history-walk.ts'
import { isRelatedTo } from './related-filter.ts'
import type { StoredEvent } from './stored-event.ts'
import type { View } from './visibility.ts'

/** Events read for one page: more than the largest page, so that mostly hidden history is skipped in few pages. */
const maxWork = 3000
const [leastChunk, mostChunk] = [10, 100]

/** What is shown beside what the reader may see. */
export interface Choice {
  readonly filter?: RoomEventFilter | undefined
  /** "message events from ignored users" are left out; state is not. Spec: client-server-api/#ignoring-users. */
  readonly ignoredUsers?: readonly string[] | undefined
}

export interface HistoryPage {
  readonly events: readonly StoredEvent[]
  /** Where the walk goes on; undefined when there is no more event to be seen. */
  readonly next: TimelineToken | undefined
}

/** `read`: the rows to go through, where they are not all of the room. */
export function readPage(view: View, walk: Walk, limit: number, choice: Choice, read?: ReadRows): HistoryPage {
  const events: StoredEvent[] = []
  let work = 0
  const chunk = Math.min(Math.max(limit + 1, leastChunk), mostChunk)
  for (const { event, counts } of walkHistory(view.room.reader, walk, chunk, read)) {
    if (counts && isShown(view, event, choice)) {
      const last = events.at(-1)
      if (events.length === limit) return { events, next: last ? tokenAfter(walk, last) : undefined }
      events.push(event)
    }
    work += 1
    if (work >= maxWork) return { events, next: tokenAfter(walk, event) }
  }
  return { events, next: undefined }
}

/** Whether an event belongs into an answer: the reader may see it, and asked for such. */
export function isShown(view: View, event: StoredEvent, { filter, ignoredUsers }: Choice): boolean {
  if (event.state_key === undefined && ignoredUsers?.includes(event.sender)) return false
  // Before a filter looks into it: there may be very many.
  if (view.isOver(event)) return false
  return passesFilter(filter, event.pdu) && view.mayRead(event) && isRelatedTo(view, event, filter, ignoredUsers)
}
