/** A single event. Spec: client-server-api/#get_matrixclientv3roomsroomideventeventid, data/api/client-server/rooms.yaml. */
import { fail, type Outcome } from '#protocol/errors.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import { timelineEventBundled } from './bundled-events.ts'
import type { ClientEvent } from './client-event.ts'
import { viewIfInside } from './room-access.ts'
import type { Room } from './room.ts'
import type { StoredEvent } from './stored-event.ts'
import type { View } from './visibility.ts'

export interface EventRequest {
  readonly reader: UserId
  readonly deviceId?: string
  readonly eventId: EventId
  /** Left out of what is bundled with the event. */
  readonly ignoredUsers?: readonly string[]
}

/** The event, or `unknown_event`: "The event was not found or you do not have permission to read this event." */
export function eventById(room: Room, request: EventRequest, now: number): Outcome<{ event: ClientEvent }> {
  const view = viewIfInside(room, request.reader)
  const event = view && visibleEvent(view, request.eventId)
  if (!event) return fail('unknown_event')
  const { deviceId, ignoredUsers = [] } = request
  return { ok: true, event: timelineEventBundled(view, event, { now, deviceId, withRoomId: true, ignoredUsers }) }
}

/** The event of that ID, if the reader may see it. */
export function visibleEvent(view: View, eventId: EventId): StoredEvent | undefined {
  const event = view.room.reader.eventById(eventId)
  return event && view.mayRead(event) ? event : undefined
}
