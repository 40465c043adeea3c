/** The events around an event. Spec: client-server-api/#event-context, data/api/client-server/event_context.yaml. */
import { fail, type Outcome } from '#protocol/errors.ts'
import { passesFilter, type RoomEventFilter } from '#protocol/filters/filter.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { formatTimelineToken } from '#protocol/sync/timeline-token.ts'

import { timelineEventBundled, timelineEvents } from './bundled-events.ts'
import { type ClientEvent, type EventFormat, stateEvent } from './client-event.ts'
import { type EventRequest, shownEvent } from './event-by-id.ts'
import { type Choice, readPage } from './history-page.ts'
import { type Direction, pointAfter, pointBefore } from './history-walk.ts'
import { sendersIn } from './lazy-members.ts'
import { viewIfInside } from './room-access.ts'
import type { Room } from './room.ts'
import { stateOfGroup } from './state-of-group.ts'
import type { StoredEvent } from './stored-event.ts'
import type { View } from './visibility.ts'

export interface ContextRequest extends EventRequest {
  readonly reader: UserId
  /** Of events before and after together. */
  readonly limit: number
  readonly filter?: RoomEventFilter
}

export interface EventContext {
  readonly start: string
  readonly end: string
  readonly events_before: readonly ClientEvent[]
  readonly event: ClientEvent
  readonly events_after: readonly ClientEvent[]
  readonly state: readonly ClientEvent[]
}

const maxLimit = 100

/** The event and what the reader may see around it; `unknown_event` if they may not see the event itself. */
export function eventContext(room: Room, request: ContextRequest, now: number): Outcome<EventContext> {
  const view = viewIfInside(room, request.reader)
  const { ignoredUsers = [] } = request
  const event = view && shownEvent(view, request.eventId, ignoredUsers)
  if (!event) return fail('unknown_event')
  const limit = Math.min(Math.max(request.limit, 0), maxLimit)
  const before = around(view, event, 'b', Math.floor(limit / 2), request)
  const after = around(view, event, 'f', limit - Math.floor(limit / 2), request)
  const format: EventFormat = { now, deviceId: request.deviceId, withRoomId: true }
  const bundle = { ...format, ignoredUsers }
  return {
    ok: true,
    start: formatTimelineToken({ kind: 'history', at: pointBefore(before.at(-1) ?? event) }),
    end: formatTimelineToken({ kind: 'history', at: pointAfter(after.at(-1) ?? event) }),
    events_before: timelineEvents(view, before, bundle),
    event: timelineEventBundled(view, event, bundle),
    events_after: timelineEvents(view, after, bundle),
    state: stateAtEnd(view, [...before, event, ...after], request.filter, format),
  }
}

/** The events next to one that the reader may see, nearest first. */
export function around(
  view: View,
  event: StoredEvent,
  dir: Direction,
  limit: number,
  choice: Choice,
): readonly StoredEvent[] {
  if (limit === 0) return []
  const start = dir === 'b' ? pointBefore(event) : pointAfter(event)
  const walk = { dir, start, stop: undefined, after: 0, upTo: Infinity, bound: undefined }
  return readPage(view, walk, limit, choice).events
}

/** "The state of the room at the last event returned." */
function stateAtEnd(
  view: View,
  events: readonly StoredEvent[],
  filter: RoomEventFilter | undefined,
  format: EventFormat,
): ClientEvent[] {
  const group = events.at(-1)?.stateAfter
  if (group === undefined) return []
  const lazy = filter?.lazy_load_members === true
  const state = stateOfGroup(view.room, group, lazy)
  const members = lazy ? sendersIn(view.room, group, events) : []
  return [...state, ...members]
    .filter((event) => passesFilter(filter, event.pdu))
    .map((event) => stateEvent(view, event, format))
}
