/**
 * Which events of a room are sticky, and that a soft failure of one is not for good.
 *
 * Spec: MSC4354. "Soft-failure checks MUST be re-evaluated when the membership state changes for a user with unexpired sticky
 * events", since servers come to different ones: who was kicked on one fork was not on the other. They are judged again
 * whenever the current state is another. What is let in then takes its place in the past, as what is fetched later does: it
 * gets into histories and into the list of what is sticky, and changes nothing of the present.
 *
 * "Policy servers … still apply to these events, in which case the stickiness of the event is prevented."
 */
import { checkAuthRules } from '#protocol/event-auth/check-auth-rules.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import { stickyDurationOf, stickyUntil } from '#protocol/sticky-events.ts'

import type { Arrival } from '../append.ts'
import { entryDepth } from '../federation/holes.ts'
import { policyFault } from '../policy.ts'
import { noteRelation } from '../relations.ts'
import { currentStateLookup, type Room } from '../room.ts'
import { noteSearchable } from '../search/search-index.ts'
import { outcomes, type StoredEvent } from '../stored-event.ts'
import { showSticky, softFailedSticky, stick } from './sticky-rows.ts'

/** Soft-failed events that are judged again at one change of the state; further ones have their turn at the next. */
const mostJudged = 200

/**
 * Whether an event goes to clients by what is sticky alone. What servers send to newcomers is from before the newcomers' time,
 * and what leads to it is not there: in the timeline it would stand after all that was said since, with a hole before it.
 */
export function isAside(room: Room, pdu: Pdu, now = Date.now()): boolean {
  const { reader } = room
  const { depth, origin_server_ts: originServerTs } = pdu
  const duration = pdu.state_key === undefined ? stickyDurationOf(pdu.json) : undefined
  if (duration === undefined || stickyUntil({ originServerTs, receivedTs: now, duration }) <= now) return false
  const isLate = reader.header().extremities.some((nid) => reader.eventOf(nid).depth > depth)
  const lacks = (id: EventId) => reader.eventById(id)?.stateAfter === undefined
  return isLate && (pdu.prev_events.some(lacks) || depth < entryDepth(room))
}

/** Notes an event that was just given its place, if it is sticky; `now` in ms since 1970. */
export function noteSticky(room: Room, event: StoredEvent, source: Arrival['source'], now = Date.now()): void {
  const duration = stickyDurationOf(event.pdu.json)
  const { nid, outcome, origin_server_ts: originServerTs } = event
  if (duration === undefined || (outcome !== outcomes.accepted && outcome !== outcomes.softFailed)) return
  const expiresAt = stickyUntil({ originServerTs, receivedTs: now, duration })
  if (expiresAt <= now) return
  // What comes as history was not judged by the state of now: any server could have somebody say old things.
  const isShown = outcome === outcomes.accepted && (source !== 'history' || fits(room, event))
  const pos = isShown ? (event.pos ?? room.transactor.nextPos()) : undefined
  stick(room, { nid, pos, expiresAt }, now)
}

/** The current state is another than before: what soft-failed by the former one may fit into this. */
export function reconsiderSticky(room: Room, now = Date.now()): void {
  for (const nid of softFailedSticky(room, mostJudged, now)) {
    const event = room.reader.eventOf(nid)
    if (fits(room, event)) letIn(room, event)
  }
}

function fits(room: Room, { pdu }: StoredEvent): boolean {
  const { reader, crypto } = room
  return checkAuthRules(reader.rules, pdu, currentStateLookup(room), crypto).ok && policyFault(room, pdu) === undefined
}

function letIn(room: Room, event: StoredEvent): void {
  const { reader, transactor } = room
  if (event.outcome === outcomes.softFailed) {
    const { stateBefore, stateAfter } = event
    transactor.judgeAnew(event, { outcome: outcomes.accepted, stateBefore, stateAfter })
    const accepted = reader.eventOf(event.nid)
    noteRelation(room, accepted)
    noteSearchable(room, accepted, false)
  }
  showSticky(room, event.nid, transactor.nextPos())
}
