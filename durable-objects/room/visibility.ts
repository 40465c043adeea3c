/**
 * What one reader may see of this room. Made for one request; it must not outlive the turn in which it was made.
 *
 * Spec: client-server-api/#room-history-visibility. "In all cases except world_readable, a user needs to join a room to view
 * events in that room … After a user has left a room, they may see any events which they were allowed to see before they
 * left the room, but no events received after they left."
 *
 * The state at an event is a state group, and neighbouring events mostly share one: a group is asked once per request.
 * Rejected and soft-failed events, and outliers, are seen by nobody, and neither are messages that are over, nor redactions
 * that redact nothing.
 */
import { historyVisibilityOf, membershipOf } from '#protocol/events/fields.ts'
import { stateMapKey } from '#protocol/events/state-map.ts'
import { type HistoryVisibility, mayRead, readHistoryVisibility } from '#protocol/history-visibility.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import { isWithheld } from './redaction-effect.ts'
import { horizonOf, isOver } from './retention/expiry.ts'
import type { Room } from './room.ts'
import { type GroupId, outcomes, type StoredEvent } from './stored-event.ts'

/** How the reader stands to the room now. */
export type Standing =
  | { readonly kind: 'joined' }
  /** `until`: the event by which they last ceased to be joined, whatever came since. */
  | { readonly kind: 'departed'; readonly until: StoredEvent }
  /** Never joined, or has forgotten the room. */
  | { readonly kind: 'outside' }

export interface View {
  readonly room: Room
  readonly reader: UserId
  readonly standing: Standing
  mayRead(event: StoredEvent): boolean
  /** A message that is older than the room keeps them: nobody may read it. Asks for nothing but the event's row. */
  isOver(event: StoredEvent): boolean
  /** Whether the reader may know of an event, be it over or not: of the room as it was then, of who has read it. */
  mayKnowOf(event: StoredEvent): boolean
  /** The reader's membership right after an event, with what the event changes of it; undefined for none. */
  membershipAfter(event: StoredEvent): string | undefined
}

interface Circumstances {
  readonly visibility: HistoryVisibility
  readonly membership: string | undefined
}

const visibilityKey = stateMapKey('m.room.history_visibility', '')

/** The view of a local user on a known room. */
export function viewOf(room: Room, reader: UserId): View {
  const standing = standingOf(room, reader)
  const memberKey = stateMapKey('m.room.member', reader)
  const known = new Map<GroupId, Circumstances>()
  const horizon = horizonOf(room)

  const at = (group: GroupId): Circumstances => {
    let found = known.get(group)
    if (!found) {
      const nids = room.groups.readMany(group, [visibilityKey, memberKey])
      const [visibility, member] = [nids.get(visibilityKey), nids.get(memberKey)]
      found = {
        visibility: readHistoryVisibility(visibility && historyVisibilityOf(room.reader.eventOf(visibility).pdu)),
        membership: member === undefined ? undefined : membershipOf(room.reader.eventOf(member).pdu),
      }
      known.set(group, found)
    }
    return found
  }

  const changesCircumstances = ({ type, state_key }: StoredEvent) =>
    (type === 'm.room.history_visibility' && state_key === '') || (type === 'm.room.member' && state_key === reader)

  return {
    room,
    reader,
    standing,
    isOver: (event) => isOver(event, horizon),
    mayRead: (event) => !isOver(event, horizon) && mayKnowOf(event) && !isWithheld(room, event, reader),
    mayKnowOf,
    membershipAfter({ stateAfter }) {
      return stateAfter === undefined ? undefined : at(stateAfter).membership
    },
  }

  function mayKnowOf(event: StoredEvent): boolean {
    const { outcome, stateBefore, stateAfter } = event
    if (outcome !== outcomes.accepted || stateBefore === undefined || stateAfter === undefined) return false
    const before = at(stateBefore)
    const after = changesCircumstances(event) ? at(stateAfter) : before
    if (before.visibility === 'world_readable' || after.visibility === 'world_readable') return true
    if (isRefusal(event, before.membership, after.membership)) return true
    if (standing.kind === 'outside') return false
    if (standing.kind === 'departed' && event.nid !== standing.until.nid && !isBefore(event, standing.until)) {
      return false
    }
    return mayRead({
      visibilityBefore: before.visibility,
      visibilityAfter: after.visibility,
      membershipBefore: before.membership,
      membershipAfter: after.membership,
      joinedSince: standing.kind === 'joined' || event.nid !== standing.until.nid,
    })
  }

  /**
   * The end of the reader's own invite or knock. The rules above hide it from them, but nobody else can tell them that the
   * invite they were given is void; it says nothing of the room.
   */
  function isRefusal({ type, state_key }: StoredEvent, before: string | undefined, after: string | undefined): boolean {
    return (
      type === 'm.room.member' &&
      state_key === reader &&
      (before === 'invite' || before === 'knock') &&
      (after === 'leave' || after === 'ban')
    )
  }
}

/** Invites, refusals, bans and unbans since the reader was joined: more than anyone has who is not being toyed with. */
const maxChanges = 1000

function standingOf({ reader, groups }: Room, user: UserId): Standing {
  const current = reader.currentEntry('m.room.member', user)
  if (current?.membership === 'join') return { kind: 'joined' }
  if (!current || reader.hasForgotten(user)) return { kind: 'outside' }
  const memberKey = stateMapKey('m.room.member', user)
  let event = reader.eventOf(current.nid)
  for (let changes = 0; changes < maxChanges; changes++) {
    const nid = event.stateBefore === undefined ? undefined : groups.read(event.stateBefore, memberKey)
    if (nid === undefined) break
    const before = reader.eventOf(nid)
    if (membershipOf(before.pdu) === 'join') return { kind: 'departed', until: event }
    event = before
  }
  return { kind: 'outside' }
}

/**
 * Whether an event was there before another: it arrived before. What was fetched later to fill the past has no position;
 * there the depth decides, which is greater in all events that are built on `end`.
 */
function isBefore(event: StoredEvent, end: StoredEvent): boolean {
  if (event.pos !== undefined && end.pos !== undefined) return event.pos < end.pos
  return event.depth < end.depth
}
