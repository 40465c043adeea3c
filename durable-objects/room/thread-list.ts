/**
 * The threads of a room, by latest activity.
 *
 * Spec: client-server-api/#get_matrixclientv1roomsroomidthreads, data/api/client-server/threads_list.yaml: "the thread roots,
 * ordered by the latest_event in each event's aggregated children". The room's thread events are gone through from the
 * newest, and a thread has its place where its latest event lies that this reader may see: what they may not see neither
 * shows nor moves a thread.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import { parseEventId } from '#protocol/identifiers/event-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { formatTimelineToken, parseTimelineToken } from '#protocol/sync/timeline-token.ts'

import { timelineEventBundled } from './bundled-events.ts'
import type { ClientEvent } from './client-event.ts'
import { visibleEvent } from './event-by-id.ts'
import { isShown } from './history-page.ts'
import { planWalk, type ReadRows, tokenAfter, walkHistory } from './history-walk.ts'
import { outermost } from './messages.ts'
import { relationOf } from './relations.ts'
import { openFor } from './room-access.ts'
import type { Room } from './room.ts'
import { eventColumns, type EventRow, type StoredEvent } from './stored-event.ts'
import { latestInThread, threadCounts } from './threads.ts'
import type { View } from './visibility.ts'

export interface ThreadsRequest {
  readonly reader: UserId
  readonly deviceId?: string
  /** Only threads the reader took part in. */
  readonly participated: boolean
  readonly from?: string
  /** 1 or more. */
  readonly limit: number
  readonly ignoredUsers: readonly string[]
}

export interface Threads {
  readonly chunk: readonly ClientEvent[]
  readonly next_batch?: string
}

/** Thread events read for one page: a busy thread may bury the others under many. */
const maxWork = 2000

/** A page of thread roots. Fails with `not_in_room` or `invalid_param`. */
export function threads(room: Room, request: ThreadsRequest, now: number): Outcome<Threads> {
  const opened = openFor(room, request.reader)
  if (!opened.ok) return opened
  const { view } = opened
  const from = request.from === undefined ? outermost(view, 'b') : parseTimelineToken(request.from)
  if (!from) return fail('invalid_param', 'from is not a token of this room')
  const { deviceId, ignoredUsers, limit } = request
  const format = { now, deviceId, withRoomId: true, ignoredUsers }
  const walk = planWalk(room.reader, 'b', from, undefined)
  const chunk: ClientEvent[] = []
  if (!walk) return { ok: true, chunk }
  const goOn = (last: StoredEvent) => ({ next_batch: formatTimelineToken(tokenAfter(walk, last)) })

  let work = 0
  let last: StoredEvent | undefined
  for (const { event } of walkHistory(room.reader, walk, 100, threadRows(room))) {
    const root = rootWithLatest(view, event, request)
    if (root) {
      if (chunk.length === limit && last) return { ok: true, chunk, ...goOn(last) }
      chunk.push(asShown(timelineEventBundled(view, root, format), ignoredUsers))
      last = event
    }
    if (++work >= maxWork) return { ok: true, chunk, ...goOn(event) }
  }
  return { ok: true, chunk }
}

const query =
  `SELECT ${eventColumns} FROM relations JOIN events ON nid = child WHERE rel_type = 'm.thread' ` +
  'AND (child_depth, child) <= (?, ?) ORDER BY child_depth DESC, child DESC LIMIT ?'

/** The events of all threads, backwards only. */
const threadRows =
  ({ reader }: Room): ReadRows =>
  (_, { depth, nid }, chunk) =>
    reader.sql.exec<EventRow>(query, depth, nid, chunk).toArray()

/** The root of the thread of which this is the latest event, if the reader wants it and may see both. */
function rootWithLatest(view: View, event: StoredEvent, request: ThreadsRequest): StoredEvent | undefined {
  const { ignoredUsers, participated } = request
  if (event.state_key !== undefined || !isShown(view, event, { ignoredUsers })) return undefined
  const rootId = parseEventId(relationOf(event.pdu)?.parent)
  if (rootId === undefined || latestInThread(view, rootId, ignoredUsers)?.nid !== event.nid) return undefined
  const root = visibleEvent(view, rootId)
  if (!root || root.state_key !== undefined || relationOf(root.pdu)) return undefined
  if (!participated || root.sender === view.reader) return root
  return threadCounts(view, rootId, ignoredUsers).byReader ? root : undefined
}

/** "If the thread root event was sent by an ignored user, the event is returned redacted to the caller." */
function asShown(root: ClientEvent, ignoredUsers: readonly string[]): ClientEvent {
  return ignoredUsers.includes(root.sender) ? { ...root, content: {} } : root
}
