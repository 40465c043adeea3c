/** A single event. Spec: client-server-api/#get_matrixclientv3roomsroomideventeventid, data/api/client-server/rooms.yaml. */
import { fail, type Outcome } from '#protocol/errors.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import { timelineEventBundled } from './bundled-events.ts'
import type { ClientEvent } from './client-event.ts'
import { redactsUnknown } from './redaction-effect.ts'
import { viewIfInside } from './room-access.ts'
import type { Room } from './room.ts'
import { hasSticky, stickyUntilOf } from './sticky/sticky-rows.ts'
import { outcomes, type StoredEvent } from './stored-event.ts'
import type { View } from './visibility.ts'

export interface EventRequest {
  readonly reader: UserId
  readonly deviceId?: string
  readonly eventId: EventId
  /** Their events are not shown, nor bundled with one. */
  readonly ignoredUsers?: readonly string[]
}

/** The event, or `unknown_event`: "The event was not found or you do not have permission to read this event." */
export function eventById(room: Room, request: EventRequest, now: number): Outcome<{ event: ClientEvent }> {
  const view = viewIfInside(room, request.reader)
  const { deviceId, ignoredUsers = [] } = request
  const event =
    view &&
    (shownEvent(view, request.eventId, ignoredUsers) ??
      stickyEvent(view, request, now) ??
      earlyRedaction(view, request))
  if (!event) return fail('unknown_event')
  return { ok: true, event: timelineEventBundled(view, event, { now, deviceId, withRoomId: true, ignoredUsers }) }
}

/**
 * "History visibility checks MUST NOT be applied to sticky events. Any joined user is authorised to see sticky events for the
 * duration they remain sticky." Spec: MSC4354.
 */
function stickyEvent(view: View, { eventId, ignoredUsers = [] }: EventRequest, now: number): StoredEvent | undefined {
  const { room, standing } = view
  const event = standing.kind === 'joined' && hasSticky(room, now) ? room.reader.eventById(eventId) : undefined
  if (event?.outcome !== outcomes.accepted || stickyUntilOf(room, event, now) === undefined) return undefined
  return view.isOver(event) || isHiddenSender(event, ignoredUsers) ? undefined : event
}

/** A redaction that no timeline shows, since what it redacts has not come. Who was given its ID may ask for it all the same. */
function earlyRedaction(view: View, { eventId, ignoredUsers = [] }: EventRequest): StoredEvent | undefined {
  const event = view.room.reader.eventById(eventId)
  if (!event || !redactsUnknown(view.room, event) || isHiddenSender(event, ignoredUsers)) return undefined
  return view.mayKnowOf(event) && !view.isOver(event) ? event : undefined
}

/** The same, unless it is by somebody whom the reader ignores. Spec: client-server-api/#ignoring-users. */
export function shownEvent(view: View, eventId: EventId, ignoredUsers: readonly string[]): StoredEvent | undefined {
  const event = visibleEvent(view, eventId)
  return event && isHiddenSender(event, ignoredUsers) ? undefined : event
}

function isHiddenSender({ state_key, sender }: StoredEvent, ignoredUsers: readonly string[]): boolean {
  return state_key === undefined && ignoredUsers.includes(sender)
}

/** The event of that ID, if the reader may see it. */
export function visibleEvent(view: View, eventId: EventId): StoredEvent | undefined {
  const event = view.room.reader.eventById(eventId)
  return event && view.mayRead(event) ? event : undefined
}
