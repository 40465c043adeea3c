/**
 * What of this room a search finds.
 *
 * Spec: client-server-api/#server-side-search: "Only events that the user is allowed to see will be searched." Every match is
 * judged by the reader's view before anything is told of it, its number included: to learn that a word was said is to have
 * read it. The index is read newest first and no further than the answer needs; by rank, the newest matches are ranked.
 */
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import type { RoomCursor } from '#protocol/search/search-token.ts'
import { formatTimelineToken } from '#protocol/sync/timeline-token.ts'

import { timelineEventBundled, timelineEvents } from '../bundled-events.ts'
import type { ClientEvent, EventFormat } from '../client-event.ts'
import { hidesErased } from '../erasures.ts'
import { around } from '../context.ts'
import { editsOf } from '../edits.ts'
import { type Choice, isShown } from '../history-page.ts'
import { pointAfter, pointBefore } from '../history-walk.ts'
import { sendersIn } from '../lazy-members.ts'
import { viewIfInside } from '../room-access.ts'
import type { Room } from '../room.ts'
import type { StoredEvent } from '../stored-event.ts'
import type { View } from '../visibility.ts'
import { isSearchable, nidOfRow } from './search-index.ts'

export interface RoomSearch extends Choice {
  readonly reader: UserId
  readonly match: string
  readonly order: 'rank' | 'recent'
  readonly limit: number
  /** Where to go on; from the newest match without it. */
  readonly after?: RoomCursor | undefined
  /** Matches to look at for an estimate of their number. */
  readonly countUpTo: number
}

export interface Hit {
  readonly eventId: EventId
  readonly sender: UserId
  readonly originServerTs: number
  /** Higher is closer; by rank only. */
  readonly rank?: number | undefined
  /** Goes on behind this hit. */
  readonly next: RoomCursor
}

export interface RoomHits {
  /** In the order asked for. */
  readonly hits: readonly Hit[]
  /** Of all that were looked at. */
  readonly count: number
  /** Where to go on when none of the hits is taken, but matches remain that were not looked at. */
  readonly unread?: RoomCursor | undefined
}

interface Match {
  readonly rowId: number
  readonly rank: number | undefined
  readonly next: RoomCursor
}

/** Matches that are looked at for one answer: a filter or the history's visibility may hide very many. */
const maxWork = 1000
/** The newest of this many matches are ranked. */
const maxRanked = 500
/** Matches read at a time. */
const [leastChunk, mostChunk] = [10, 50]
const chunkFor = ({ limit, countUpTo }: RoomSearch) => Math.min(Math.max(limit, countUpTo, leastChunk), mostChunk)

/** The first hits of a search; none for those who are not and were not in the room. */
export function searchRoom(room: Room, search: RoomSearch): RoomHits {
  const view = viewIfInside(room, search.reader)
  if (!view || view.standing.kind === 'outside' || !isSearchable(room)) return { hits: [], count: 0 }
  const matches = search.order === 'rank' ? byRank(room, search) : newestFirst(room, search)
  const hits: Hit[] = []
  let [count, work] = [0, 0]
  let last: Match | undefined
  for (const some of inChunks(matches, chunkFor(search))) {
    const events = new Map(room.reader.events(some.map(({ rowId }) => nidOfRow(rowId))).map((each) => [each.nid, each]))
    const hidden = withHiddenEdit(view, [...events.values()])
    for (const match of some) {
      const event = events.get(nidOfRow(match.rowId))
      work += 1
      last = match
      if (!event || hidden.has(event.event_id) || !isShown(view, event, search)) continue
      count += 1
      if (hits.length < search.limit) hits.push(hitOf(event, match))
    }
    if (hits.length >= search.limit && work >= search.countUpTo) break
    if (work >= maxWork) return { hits, count, unread: last?.next }
  }
  return { hits, count }
}

function hitOf({ event_id, sender, origin_server_ts }: StoredEvent, { rank, next }: Match): Hit {
  return { eventId: event_id, sender, originServerTs: origin_server_ts, rank, next }
}

const newest = 'SELECT rowid AS rowId FROM search WHERE search MATCH ? AND rowid <= ? ORDER BY rowid DESC LIMIT ?'

function* newestFirst({ reader }: Room, search: RoomSearch): Generator<Match> {
  const { match, after } = search
  const chunk = chunkFor(search)
  let upTo = after?.newest ?? Number.MAX_SAFE_INTEGER
  for (;;) {
    const rows = reader.sql.exec<{ rowId: number }>(newest, match, upTo, chunk).toArray()
    for (const { rowId } of rows) yield { rowId, rank: undefined, next: { newest: rowId - 1, taken: 0 } }
    const last = rows.at(-1)
    if (!last || rows.length < chunk) return
    upTo = last.rowId - 1
  }
}

const ranked =
  'SELECT rowid AS rowId, -bm25(search) AS rank FROM search WHERE search MATCH ? AND rowid <= ? ORDER BY rowid DESC LIMIT ?'

function* byRank({ reader }: Room, { match, after }: RoomSearch): Generator<Match> {
  const upTo = after?.newest ?? Number.MAX_SAFE_INTEGER
  const rows = reader.sql.exec<{ rowId: number; rank: number }>(ranked, match, upTo, maxRanked).toArray()
  const first = rows[0]
  if (!first) return
  // What comes later does not move the ones that were given out.
  const from = after?.newest ?? first.rowId
  rows.sort((a, b) => b.rank - a.rank || b.rowId - a.rowId)
  for (const [index, { rowId, rank }] of rows.entries()) {
    if (index >= (after?.taken ?? 0)) yield { rowId, rank, next: { newest: from, taken: index + 1 } }
  }
}

function* inChunks(matches: Iterable<Match>, chunk: number): Generator<Match[]> {
  let some: Match[] = []
  for (const match of matches) {
    some.push(match)
    if (some.length < chunk) continue
    yield some
    some = []
  }
  if (some.length > 0) yield some
}

const edited =
  "SELECT DISTINCT parent FROM relations WHERE parent IN (SELECT value FROM json_each(?)) AND rel_type = 'm.replace'"

/** Events that were found by an edit which the reader may not see. */
function withHiddenEdit(view: View, events: readonly StoredEvent[]): Set<string> {
  const byId = new Map<string, StoredEvent>(events.map((event) => [event.event_id, event]))
  const parents = view.room.reader.sql.exec<{ parent: string }>(edited, JSON.stringify([...byId.keys()])).toArray()
  const found = parents.filter(({ parent }) => {
    const event = byId.get(parent)
    const edit = event && editsOf(view.room, event)[0]
    return edit !== undefined && !view.mayRead(edit)
  })
  return new Set(found.map(({ parent }) => parent))
}

export interface ContextWish {
  readonly before: number
  readonly after: number
  readonly withProfiles: boolean
}

export interface FoundRequest {
  readonly reader: UserId
  readonly deviceId: string
  readonly eventIds: readonly EventId[]
  readonly context?: ContextWish | undefined
  readonly ignoredUsers: readonly string[]
}

/** A hit as the answer shows it. */
export interface Found {
  readonly result: ClientEvent
  readonly context?: JsonObject
}

/** The events of hits with what is around them, in the order asked for; those that meanwhile cannot be seen are left out. */
export function foundEvents(room: Room, request: FoundRequest, now: number): Found[] {
  const view = viewIfInside(room, request.reader)
  if (!view) return []
  const format = { now, deviceId: request.deviceId, withRoomId: true, ignoredUsers: request.ignoredUsers }
  return request.eventIds.flatMap((eventId) => {
    const event = room.reader.eventById(eventId)
    if (!event || event.redactedBy !== undefined || !view.mayRead(event) || hidesErased(view, event)) return []
    const result = timelineEventBundled(view, event, format)
    return [request.context ? { result, context: contextOf(view, event, request.context, format) } : { result }]
  })
}

function contextOf(
  view: View,
  event: StoredEvent,
  { before, after, withProfiles }: ContextWish,
  format: EventFormat & { readonly ignoredUsers: readonly string[] },
): JsonObject {
  const earlier = around(view, event, 'b', before, format)
  const later = around(view, event, 'f', after, format)
  return {
    start: formatTimelineToken({ kind: 'history', at: pointBefore(earlier.at(-1) ?? event) }),
    end: formatTimelineToken({ kind: 'history', at: pointAfter(later.at(-1) ?? event) }),
    events_before: timelineEvents(view, earlier, format),
    events_after: timelineEvents(view, later, format),
    ...(withProfiles ? { profile_info: profilesOf(view, event, [...earlier, event, ...later]) } : {}),
  }
}

/** "The historic profile information of the users that sent the events returned." */
function profilesOf({ room }: View, { stateAfter }: StoredEvent, events: readonly StoredEvent[]): JsonObject {
  if (stateAfter === undefined) return {}
  const profiles = sendersIn(room, stateAfter, events).map(({ state_key, pdu }) => {
    const { displayname, avatar_url } = pdu.content
    return [state_key ?? '', { ...text('displayname', displayname), ...text('avatar_url', avatar_url) }]
  })
  return Object.fromEntries(profiles)
}

function text(name: string, value: unknown): JsonObject {
  return typeof value === 'string' ? { [name]: value } : {}
}
