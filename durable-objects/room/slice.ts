/**
 * A slice of a room for `/sync`: what is asked, what is answered, and the parts that the sections have in common.
 *
 * Spec: client-server-api/#syncing, data/api/client-server/sync.yaml.
 */
import { membershipOf } from '#protocol/events/fields.ts'
import { stateMapKey } from '#protocol/events/state-map.ts'
import { passesFilter, type RoomEventFilter, type RoomFilter } from '#protocol/filters/filter.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import type { RoomPushRules } from '#protocol/push-rules/stored-rules.ts'
import { formatTimelineToken } from '#protocol/sync/timeline-token.ts'

import type { Heard, StickyRest } from '../user-sync/marks.ts'
import type { StickyFacts } from '../user-sync/sliding/room-facts.ts'
import { timelineEvents } from './bundled-events.ts'
import { type EventFormat, stateEvent, timelineEvent } from './client-event.ts'
import type { Choice } from './history-page.ts'
import type { MemberChanges } from './member-changes.ts'
import type { Room } from './room.ts'
import { stateGroupAt } from './state-at.ts'
import { changesFor, type LazyLoading, stateSlice, type StateSpan } from './state-slice.ts'
import type { Nid, StoredEvent } from './stored-event.ts'
import { countsOf } from './summary.ts'
import type { View } from './visibility.ts'

export interface SliceRequest {
  readonly reader: UserId
  readonly deviceId: string
  /** What the client has heard of the room; null for nothing. */
  readonly from: Heard | null
  /** The parts `timeline`, `state` and `ephemeral` for this room. */
  readonly filter: RoomFilter
  readonly eventFormat?: 'client' | 'federation'
  readonly fullState: boolean
  /** `state_after` in place of `state`. */
  readonly useStateAfter: boolean
  readonly ignoredUsers?: readonly string[]
  /** Count what is unread by these rules. */
  readonly pushRules?: RoomPushRules
  /** The client has synced before, if not this room: it hears who came and went (for `device_lists`). */
  readonly isIncremental?: boolean
}

export interface Slice {
  /** `none`: there is nothing that this reader is to be shown. */
  readonly section: 'join' | 'invite' | 'knock' | 'leave' | 'none'
  /** Where the room stood: the client has heard all of it up to there. */
  readonly pos: number
  readonly typing: number
  /** Sticky events that did not fit: the next answer goes on with them. */
  readonly sticky?: StickyRest
  readonly stickyFacts?: StickyFacts | undefined
  /** The room's JSON in that section. */
  readonly room: JsonObject
  readonly memberChanges?: MemberChanges
}

/** A section and its JSON; undefined where there is nothing to show. */
export type Shown =
  | (Pick<Slice, 'room' | 'sticky'> & { readonly section: Exclude<Slice['section'], 'none'> })
  | undefined

/** One request on its way through the functions that answer it. */
export interface Asked {
  readonly view: View
  readonly request: SliceRequest
  /** Milliseconds since 1970. */
  readonly now: number
}

const usualLimit = 10
const maxLimit = 1000

export function timelineLimit({ filter }: SliceRequest): number {
  return Math.min(filter.timeline?.limit ?? usualLimit, maxLimit)
}

export function timelineChoice({ filter, ignoredUsers }: SliceRequest): Choice {
  return { filter: filter.timeline, ignoredUsers }
}

/** Memberships looked through; with more, the client is given the room anew, which is never wrong. */
const maxChanges = 100

/** The memberships of the reader, newest first, up to and including `from`: each is what the one before it replaced. */
function* membershipsUpTo({ room, reader }: View, from: Nid | undefined): Generator<StoredEvent> {
  const key = stateMapKey('m.room.member', reader)
  let nid = from
  for (let changes = 0; changes < maxChanges && nid !== undefined; changes++) {
    const event = room.reader.eventOf(nid)
    yield event
    nid = event.stateBefore === undefined ? undefined : room.groups.read(event.stateBefore, key)
  }
}

function memberNidAt({ room, reader }: View, pos: number): Nid | undefined {
  const group = stateGroupAt(room, pos)
  return group === undefined ? undefined : room.groups.read(group, stateMapKey('m.room.member', reader))
}

/** The membership that the reader had at a position of the room. */
export function membershipAt(view: View, pos: number): string | undefined {
  const nid = memberNidAt(view, pos)
  return nid === undefined ? undefined : membershipOf(view.room.reader.eventOf(nid).pdu)
}

/** Whether the reader was joined all the time from a position to their member event `last`, a join. */
export function wasJoinedFrom(view: View, pos: number, last: StoredEvent): boolean {
  const first = memberNidAt(view, pos)
  for (const member of membershipsUpTo(view, last.nid)) {
    if (membershipOf(member.pdu) !== 'join') return false
    if (member.nid === first) return true
  }
  return false
}

/** Whether the reader had been joined by a position: then a client that has heard the room up to there keeps a timeline. */
export function hadJoined(view: View, pos: number): boolean {
  for (const member of membershipsUpTo(view, memberNidAt(view, pos))) {
    if (membershipOf(member.pdu) === 'join') return true
  }
  return false
}

/**
 * Whether there is more of the room than a slice which read all of it from its beginning. In a client's first sync, what a
 * filter hides is no more: "true if the number of events returned was limited by the `limit` on the filter". To one that goes
 * on (`isIncremental`) a room which has just been entered is limited wherever something lies before the slice.
 */
export function hasOlder({ reader }: Room, isIncremental: boolean, start: number): boolean {
  const [first] = reader.sql
    .exec<{ pos: number; type: string }>('SELECT pos, type FROM events WHERE pos IS NOT NULL ORDER BY pos LIMIT 1')
    .toArray()
  if (first === undefined) return false
  return first.type !== 'm.room.create' || (isIncremental && first.pos <= start)
}

export function eventFormat({ request, now }: Asked): EventFormat {
  return { now, deviceId: request.deviceId, withRoomId: false, as: request.eventFormat ?? 'client' }
}

/** `timeline` of a section. */
export function timelineJson(
  asked: Asked,
  timeline: { readonly events: readonly StoredEvent[]; readonly limited: boolean; readonly start: number },
): JsonObject {
  const format = eventFormat(asked)
  return {
    // A client that was told everything aggregates by itself.
    events: timeline.limited
      ? timelineEvents(asked.view, timeline.events, { ...format, ignoredUsers: asked.request.ignoredUsers ?? [] })
      : timeline.events.map((event) => timelineEvent(asked.view, event, format)),
    limited: timeline.limited,
    prev_batch: formatTimelineToken({ kind: 'live', pos: timeline.start }),
  }
}

/** `state` or `state_after` of a section. */
export function stateJson(asked: Asked, events: readonly StoredEvent[]): JsonObject {
  const format = eventFormat(asked)
  const list = { events: events.map((event) => stateEvent(asked.view, event, format)) }
  return asked.request.useStateAfter ? { state_after: list } : { state: list }
}

/**
 * More members than fit into one answer. A client that asks for all of them is given those it needs, as with lazy loading;
 * it would otherwise get no answer at all, ever.
 */
const maxMembers = 10_000

/** The state events of a section, by the request's filter, with what lazy loading leaves out. Notes which members went out. */
export function stateEventsFor(
  { view, request }: Asked,
  span: StateSpan,
  heroes: readonly UserId[],
  pos: number,
): readonly StoredEvent[] {
  const { room, reader } = view
  const { lazyMembers } = room.memory
  const filter: RoomEventFilter | undefined = request.filter.state
  const from = request.from?.pos
  const tooMany = span.held === undefined && countsOf(room).known > maxMembers
  const isLazy = filter?.lazy_load_members === true || tooMany
  const lazy: LazyLoading = {
    users: new Set([...span.timeline.map(({ sender }) => sender), ...heroes, ...(span.held ? [] : [reader])]),
    has: (member) =>
      span.held !== undefined &&
      from !== undefined &&
      filter?.include_redundant_members !== true &&
      lazyMembers.has(request, member, from),
  }
  const { held } = span
  const told = isLazy && held && from !== undefined ? { ...held, changes: changesFor(room, held, from) } : held
  const events = stateSlice(room, { ...span, held: told }, isLazy ? lazy : undefined).filter((event) =>
    passesFilter(filter, event.pdu),
  )
  if (isLazy) lazyMembers.sent(request, [...(span.atEnd ? [] : span.timeline), ...events].filter(isMember), pos)
  return events
}

function isMember({ type, state_key }: StoredEvent): boolean {
  return type === 'm.room.member' && state_key !== undefined
}
