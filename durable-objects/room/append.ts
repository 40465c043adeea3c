/**
 * The single place that stores an event, whoever made it, and follows up what it changes: the state after it, the forward
 * extremities, the current state, relations, the search index, what is sticky, redactions.
 *
 * Spec: server-server-api/#pdus, #checks-performed-on-receipt-of-a-pdu, #rejection, #soft-failure; rooms/v3 "Handling
 * redactions". What an event's outcome is was decided before, by the authorisation rules; nothing is judged here. Runs
 * inside a turn of the transactor.
 */
import type { Pdu } from '#protocol/events/pdu.ts'
import { stateMapKey } from '#protocol/events/state-map.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import { changeCurrentState } from './current-state.ts'
import { extremitiesAfter } from './extremities.ts'
import { entryDepth } from './federation/holes.ts'
import { mergeState } from './merge-state.ts'
import { applyRedactions } from './redactions.ts'
import { noteRelation } from './relations.ts'
import { horizonOf, isOver } from './retention/expiry.ts'
import { takeAway } from './retention/purge.ts'
import type { Room } from './room.ts'
import { noteSearchable } from './search/search-index.ts'
import { isAside, noteSticky, reconsiderSticky } from './sticky/sticky-events.ts'
import { type EventOutcome, type GroupId, type Nid, outcomes, type StoredEvent } from './stored-event.ts'
import type { Transaction } from './transactor.ts'

export interface Arrival {
  readonly pdu: Pdu
  readonly outcome: EventOutcome
  /** State before the event: `stateAfterAll` of its prev_events, or as given where some are missing. None for outliers. */
  readonly stateBefore: GroupId | undefined
  /**
   * `own`: made here and now. `live`: news from another server. `history`: fetched to fill the past; it takes no position in
   * the timeline and changes nothing of the present.
   */
  readonly source: 'own' | 'live' | 'history'
  /** The state before was told, or found out otherwise than from the prev_events. */
  readonly isGiven?: boolean
  readonly rejectReason?: string | undefined
  readonly txn?: Transaction | undefined
}

export interface Appended {
  readonly event: StoredEvent
  /** Local users whose current membership is another than before. */
  readonly changedMembers: readonly UserId[]
}

/**
 * Stores an event. One that is stored already stays as it is, except that an outlier gets its place in the DAG, also one that
 * was rejected by its auth events: others build on it, and have to have a state. Auth events have to be stored before.
 */
export function append(room: Room, arrival: Arrival): Appended {
  const { reader, transactor } = room
  const { pdu, outcome, stateBefore, source } = arrival
  const stored = source === 'own' ? undefined : reader.eventById(pdu.event_id)
  if (stored && (stored.stateBefore !== undefined || stateBefore === undefined)) {
    return { event: stored, changedMembers: [] }
  }

  const nid = stored?.nid ?? reader.lastNid() + 1
  const counts = outcome === outcomes.accepted || outcome === outcomes.softFailed
  const stateAfter =
    stateBefore !== undefined && counts && pdu.state_key !== undefined
      ? room.groups.child(stateBefore, new Map([[stateMapKey(pdu.type, pdu.state_key), nid]]))
      : stateBefore
  const isLive = source === 'own' || (source === 'live' && !isAside(room, pdu))
  const isNews = outcome === outcomes.accepted && isLive
  const header = reader.header()
  const pos = isNews ? header.pos + 1 : undefined
  const auth = stored?.auth ?? authNids(room, pdu)
  const row = { ...arrival, nid, pos, stateBefore, stateAfter, auth }
  const event = stored ? transactor.placeOutlier(row, stored) : transactor.insertEvent(row)

  const wasMissing = source !== 'own' && outcome !== outcomes.outlier && transactor.endMissing(pdu.event_id)
  const hasHole = counts && source !== 'own' && noteMissing(room, event)
  // A room that is entered anew goes on from where the others are, not from where it ended here.
  const isEntered = isNews && header.pos > 0 && header.extremities.length === 0
  if ((hasHole || isEntered) && pos !== undefined) transactor.noteTimelineGap(pos)
  if (reader.partial.isOpen && stateBefore !== undefined) {
    reader.partial.noteEvent(nid, arrival.isGiven ? stateBefore : undefined, isLive, wasMissing)
  }
  const changedMembers = isNews ? advance(room, event, wasMissing) : []
  // State that somebody else set meanwhile is not overwritten by what was meant for before.
  if (isNews && event.state_key !== undefined) transactor.cancelDelayedState(event, event.state_key)
  // What comes late enough is over before anybody could read it.
  if (source !== 'own' && isOver(event, horizonOf(room))) takeAway(room, event)
  else {
    noteRelation(room, event)
    noteSearchable(room, event, source === 'own')
    noteSticky(room, event, source)
  }
  if (reader.header().currentGroup !== header.currentGroup) reconsiderSticky(room)
  applyRedactions(room, event, source)
  return { event, changedMembers }
}

/** The state after all of these events, which all have a place in the DAG: what an event with these prev_events stands on. */
export function stateAfterAll(room: Room, events: readonly StoredEvent[]): GroupId {
  return mergeState(
    room,
    events.map(({ event_id, stateAfter }) => {
      if (stateAfter === undefined) throw new Error(`${event_id} is an outlier`)
      return stateAfter
    }),
  )
}

function authNids({ reader }: Room, pdu: Pdu): Nid[] {
  return pdu.auth_events.map((id) => reader.nidOf(id)).filter((nid) => nid !== undefined)
}

/** Moves the present: an accepted event is the new end of the room, unless others were built on it before it came. */
function advance(room: Room, event: StoredEvent, isCited: boolean): UserId[] {
  const { reader, transactor } = room
  const header = reader.header()
  const isBuiltOn = isCited || isFromBefore(room, event)
  const extremities = extremitiesAfter(room, header.extremities, event, isBuiltOn)
  const ends = extremities.map((nid) => (nid === event.nid ? event : reader.eventOf(nid)))
  const currentGroup = ends.length === 0 ? event.stateAfter : stateAfterAll(room, ends)
  const changed = changeCurrentState(room, header.currentGroup, currentGroup, event)
  transactor.setHeader({ extremities, currentGroup, pos: event.pos ?? header.pos })
  if (event.pos !== undefined && currentGroup !== undefined && currentGroup !== event.stateAfter) {
    transactor.noteMergedState(event.pos, currentGroup)
  }
  return changed
}

/**
 * Whether an event that comes late is of the time before this server entered the room. Very likely others were built on it
 * then, which are not here; where none was, somebody who was there has it as an end, and will build on it. As an end of ours
 * it would merge a past into the present that was merged long ago, and differently.
 */
function isFromBefore(room: Room, { depth }: StoredEvent): boolean {
  const { reader } = room
  const isLate = reader.header().extremities.some((nid) => reader.eventOf(nid).depth > depth)
  return isLate && depth < entryDepth(room)
}

/** Remembers which prev_events are missing: backfill begins there. Returns whether any is. */
function noteMissing({ reader, transactor }: Room, event: StoredEvent): boolean {
  const missing = event.pdu.prev_events.filter((id) => {
    const prev = reader.eventById(id)
    return prev === undefined || prev.outcome === outcomes.outlier
  })
  for (const id of missing) transactor.addMissing(id, event.depth)
  return missing.length > 0
}
