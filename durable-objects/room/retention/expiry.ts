/**
 * Whether a message of this room is over: the one place that says so. MSC1763 (unstable).
 *
 *     older than the room's lifetime        hidden at once from everybody who reads (visibility.ts, server-visibility.ts)
 *     taken away by the purge (purge.ts)    hidden for ever, also once messages are kept again
 *
 * "Retention is only considered for non-state events." Redactions count as messages; what they took away stays so.
 */
import { lifetimeOf } from '#protocol/retention.ts'

import type { Room } from '../room.ts'
import type { Nid, StoredEvent } from '../stored-event.ts'

/** `redacted_by` of a message that was taken away because of its age: no event has this nid. */
export const takenAway: Nid = 0

/** Messages from before this are over; milliseconds since 1970. */
export type Horizon = number

const never: Horizon = -Infinity

/** For how long messages are kept here, in milliseconds; undefined: for ever. */
export function lifetimeIn({ reader, retention }: Room): number | undefined {
  if (!retention || !reader.isKnown()) return undefined
  return lifetimeOf(retention, reader.current('m.room.retention', '')?.pdu.content)
}

export function horizonOf(room: Room, now = Date.now()): Horizon {
  const lifetime = lifetimeIn(room)
  return lifetime === undefined ? never : now - lifetime
}

/** Whether an event is a message that is over. */
export function isOver(
  { state_key, redactedBy, origin_server_ts }: Pick<StoredEvent, 'state_key' | 'redactedBy' | 'origin_server_ts'>,
  horizon: Horizon,
): boolean {
  return state_key === undefined && (redactedBy === takenAway || origin_server_ts < horizon)
}
