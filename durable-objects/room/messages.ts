/**
 * Paging through the history of a room.
 *
 * Spec: client-server-api/#get_matrixclientv3roomsroomidmessages. Events come in the order (depth, nid), whichever way; `end`
 * is absent where the reader has come to the last event they may see: "because we have reached the start of the timeline, or
 * because the user does not have permission to see any more events". The newest event of a member's room is neither: what is
 * said next comes after it, so paging forwards has an `end` until it finds nothing. Clients know that from Synapse.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import { type RoomEventFilter, wantsRoom } from '#protocol/filters/filter.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { formatTimelineToken, parseTimelineToken, type TimelineToken } from '#protocol/sync/timeline-token.ts'

import { timelineEvents } from './bundled-events.ts'
import { type ClientEvent, type EventFormat, stateEvent } from './client-event.ts'
import { type HistoryPage, readPage } from './history-page.ts'
import { beginningOfHistory, type Direction, planWalk, tokenAfter } from './history-walk.ts'
import { sendersIn } from './lazy-members.ts'
import { isWorldReadable, openFor } from './room-access.ts'
import type { Room } from './room.ts'
import type { StoredEvent } from './stored-event.ts'
import type { View } from './visibility.ts'

export interface MessagesRequest {
  readonly reader: UserId
  readonly deviceId?: string
  readonly dir: Direction
  /** A token of `timeline-token.ts`; a token of `/sync` is to be turned into one before. */
  readonly from?: string
  readonly to?: string
  readonly limit: number
  readonly filter?: RoomEventFilter
  readonly ignoredUsers?: readonly string[]
}

export interface Messages {
  readonly start: string
  readonly end?: string
  readonly chunk: readonly ClientEvent[]
  readonly state?: readonly ClientEvent[]
}

const maxLimit = 1000

/** A page of what the reader may see. Fails with `not_in_room` or `invalid_param`. */
export function messages(room: Room, request: MessagesRequest, now: number): Outcome<Messages> {
  const opened = openFor(room, request.reader)
  if (!opened.ok) return opened
  const { view } = opened
  const from = request.from === undefined ? outermost(view, request.dir) : parseTimelineToken(request.from)
  const to = request.to === undefined ? undefined : parseTimelineToken(request.to)
  if (!from) return fail('invalid_param', 'from is not a token of this room')
  if (request.to !== undefined && !to) return fail('invalid_param', 'to is not a token of this room')

  const { events, next } = pageOf(view, request, from, to)
  const format: EventFormat = { now, deviceId: request.deviceId, withRoomId: true }
  return {
    ok: true,
    // "This will be the same as the value given in from."
    start: request.from ?? formatTimelineToken(from),
    ...(next ? { end: formatTimelineToken(next) } : {}),
    chunk: timelineEvents(view, events, { ...format, ignoredUsers: request.ignoredUsers ?? [] }),
    ...(request.filter?.lazy_load_members ? { state: membersOf(view, events, format) } : {}),
  }
}

function pageOf(view: View, request: MessagesRequest, from: TimelineToken, to: TimelineToken | undefined): HistoryPage {
  const { reader } = view.room
  const { dir, filter } = request
  const nothing: HistoryPage = { events: [], next: undefined }
  if (!wantsRoom(filter, reader.header().roomId)) return nothing
  const walk = planWalk(reader, dir, from, to)
  if (!walk) return nothing
  const page = readPage(view, walk, Math.min(Math.max(request.limit, 1), maxLimit), request)
  const last = page.events.at(-1)
  const goesOn = dir === 'f' && !to && view.standing.kind === 'joined'
  return goesOn && last ? { ...page, next: page.next ?? tokenAfter(walk, last) } : page
}

/** "From the first or last (per the value of the dir parameter) visible event in the room history for the requesting user." */
export function outermost({ room, standing }: View, dir: Direction): TimelineToken {
  if (dir === 'f') return beginningOfHistory
  // Whoever left sees nothing that came later, unless everybody may.
  const left = standing.kind === 'departed' && !isWorldReadable(room) ? standing.until.pos : undefined
  return { kind: 'live', pos: left ?? room.reader.header().pos }
}

/** Those who sent the events, as they were at the first event of the page. */
function membersOf(view: View, events: readonly StoredEvent[], format: EventFormat): ClientEvent[] {
  const group = events[0]?.stateAfter
  if (group === undefined) return []
  return sendersIn(view.room, group, events).map((member) => stateEvent(view, member, format))
}
