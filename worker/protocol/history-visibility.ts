/**
 * Who may see which event of a room's past.
 *
 * Spec: client-server-api/#room-history-visibility. What counts is the state *at the event*, not the room's state of
 * today. Whether the reader may ask about the room at all, and rejected, soft-failed and redacted events, are the caller's
 * business.
 */
import { historyVisibilityOf } from '#protocol/events/fields.ts'
import type { StateLookup } from '#protocol/events/pdu.ts'

export type HistoryVisibility = 'world_readable' | 'shared' | 'invited' | 'joined'

/** "If no history_visibility is set, or if the value is not understood, the visibility is assumed to be shared." */
export function historyVisibilityIn(state: StateLookup): HistoryVisibility {
  const event = state('m.room.history_visibility', '')
  return readHistoryVisibility(event === undefined ? undefined : historyVisibilityOf(event))
}

export function readHistoryVisibility(value: unknown): HistoryVisibility {
  return value === 'world_readable' || value === 'invited' || value === 'joined' ? value : 'shared'
}

/**
 * The state just before and just after an event, as far as it matters. The two differ only where the event itself makes
 * the difference: an `m.room.history_visibility`, or an `m.room.member` of the reader.
 */
export interface EventSeenByUser {
  readonly visibilityBefore: HistoryVisibility
  readonly visibilityAfter: HistoryVisibility
  /** The reader's membership; undefined for none. */
  readonly membershipBefore: string | undefined
  readonly membershipAfter: string | undefined
  /** The reader joined at any point after the event, whether or not they left since. */
  readonly joinedSince: boolean
}

/** Whether a user may see an event. */
export function mayRead(event: EventSeenByUser): boolean {
  const { visibilityBefore, visibilityAfter, membershipBefore, membershipAfter, joinedSince } = event
  // "For m.room.history_visibility events themselves, the user should be allowed to see the event if the
  // history_visibility before or after the event would allow them to see it. Likewise, for the user's own m.room.member
  // events, … if their membership before or after the event would allow them to see it."
  return (
    isVisible(visibilityBefore, membershipBefore, joinedSince) ||
    isVisible(visibilityAfter, membershipAfter, joinedSince)
  )
}

/** The same for another server, whose users count together. */
export interface EventSeenByServer {
  readonly visibilityBefore: HistoryVisibility
  readonly visibilityAfter: HistoryVisibility
  /** The memberships that users of the server had. */
  readonly membershipsBefore: Iterable<string>
  readonly membershipsAfter: Iterable<string>
  /** A user of the server joined at any point after the event, or is joined now. */
  readonly joinedSince: boolean
}

/**
 * Whether a server may be given an event: if any of its users may see it. Never for an event whose state is not known
 * (an outlier): there is nothing to judge by.
 */
export function mayServerRead(event: EventSeenByServer): boolean {
  const { visibilityBefore, visibilityAfter, membershipsBefore, membershipsAfter, joinedSince } = event
  return (
    isVisibleToAny(visibilityBefore, membershipsBefore, joinedSince) ||
    isVisibleToAny(visibilityAfter, membershipsAfter, joinedSince)
  )
}

function isVisibleToAny(visibility: HistoryVisibility, memberships: Iterable<string>, joinedSince: boolean): boolean {
  if (isVisible(visibility, undefined, joinedSince)) return true
  for (const membership of memberships) if (isVisible(visibility, membership, joinedSince)) return true
  return false
}

function isVisible(visibility: HistoryVisibility, membership: string | undefined, joinedSince: boolean): boolean {
  // 1. "If the history_visibility was set to world_readable, allow."
  if (visibility === 'world_readable') return true
  // 2. "If the user's membership was join, allow."
  if (membership === 'join') return true
  // 3. "If history_visibility was set to shared, and the user joined the room at any point after the event was sent,
  // allow."
  if (visibility === 'shared' && joinedSince) return true
  // 4. "If the user's membership was invite, and the history_visibility was set to invited, allow."
  if (visibility === 'invited' && membership === 'invite') return true
  // 5. "Otherwise, deny."
  return false
}
