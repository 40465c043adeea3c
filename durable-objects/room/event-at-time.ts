/**
 * Jumping to a date: the event nearest to a moment, in one direction.
 *
 * Spec: client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event. Events that the reader may not see are passed over.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import { missingPrevEvents } from './federation/receive-pdu.ts'
import { horizonOf } from './retention/expiry.ts'
import { openFor } from './room-access.ts'
import type { Room } from './room.ts'
import type { StoredEvent } from './stored-event.ts'
import { eventsFrom } from './time-index.ts'

export interface TimeRequest {
  readonly reader: UserId
  /** Milliseconds since 1970. */
  readonly ts: number
  readonly dir: 'b' | 'f'
}

export interface FoundInTime {
  readonly event_id: EventId
  readonly origin_server_ts: number
}

export interface NearInTime {
  readonly found: StoredEvent | undefined
  /** Events are missing here at that moment: one of them may be nearer. */
  readonly hasHole: boolean
}

/** Events passed over at most. */
const maxHidden = 2_000

/** What of this room is here. Fails with `not_in_room`. */
export function eventAtTime(room: Room, { reader: user, ts, dir }: TimeRequest): Outcome<NearInTime> {
  const opened = openFor(room, user)
  if (!opened.ok) return opened
  const { reader } = room
  let found: StoredEvent | undefined
  let hidden = 0
  for (const event of eventsFrom(reader, ts, dir)) {
    if (opened.view.mayRead(event)) found = event
    if (found || ++hidden === maxHidden) break
  }
  // Whichever way one looks: what is missing around that moment lies before the first event after it.
  const next = eventsFrom(reader, ts, 'f').next()
  const isMissing = next.done !== true && missingPrevEvents(room, next.value.pdu).length > 0
  // What is over there is not fetched.
  return { ok: true, found, hasHole: isMissing && ts >= horizonOf(room) }
}

export function foundInTime({ found }: NearInTime): Outcome<FoundInTime> {
  return found
    ? { ok: true, event_id: found.event_id, origin_server_ts: found.origin_server_ts }
    : fail('unknown_event', 'There is no event on that side of that moment')
}
