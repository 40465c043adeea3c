/**
 * A PDU from another server: the checks on receipt that are the room's own, and where the event ends up.
 *
 * Spec: server-server-api/#checks-performed-on-receipt-of-a-pdu. Checks 1 to 3 (format, signatures, hashes) were done before
 * it came here (worker/federation-client/verify-pdus.ts). Each event ends rejected, soft-failed or accepted, or waits for
 * what it builds on. Nothing is asked of the network: one call is one synchronous step of a turn.
 *
 *      prev_events known ──► state before ──► 4 auth events ──► 5 state before ──► 6, 7 the present ──► accepted
 *             │                                    │ rejected          │ rejected          │ soft-failed
 *             └──► waiting (fetch-missing.ts goes for them)
 *
 * While the room's members are not all known here, all of that is provisional: federation/replay.ts judges anew.
 */
import { checkAuthEventsOf } from '#protocol/event-auth/auth-events.ts'
import { checkAuthRules } from '#protocol/event-auth/check-auth-rules.ts'
import { oversizedField } from '#protocol/events/event-format.ts'
import type { Pdu, StateLookup } from '#protocol/events/pdu.ts'
import { type StateMapKey, stateMapKey } from '#protocol/events/state-map.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import { createEventIdOf } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import { append, type Arrival, stateAfterAll } from '../append.ts'
import { placeUnjudged } from './outside.ts'
import { policyFault } from '../policy.ts'
import { currentStateLookup, type Room, stateLookup } from '../room.ts'
import { type GroupId, type Nid, outcomes, type StoredEvent } from '../stored-event.ts'

export type Received =
  /** Stored before, in its place in the DAG. */
  | { readonly kind: 'known' }
  /** Cannot be judged yet: these are not here. Nothing was stored. */
  | { readonly kind: 'waiting'; readonly authEvents: readonly EventId[]; readonly prevEvents: readonly EventId[] }
  | {
      readonly kind: 'stored'
      readonly outcome: 'accepted' | 'softFailed' | 'rejected'
      readonly message: string | undefined
      readonly changedMembers: readonly UserId[]
    }

/**
 * Judges and stores an event. `stateBefore`: the state before it, where it was found out otherwise than from its
 * prev_events, some of which are missing for good. `history`: it was fetched to fill the past.
 */
export function receivePdu(room: Room, pdu: Pdu, stateBefore?: GroupId, source: 'live' | 'history' = 'live'): Received {
  const { reader } = room
  const stored = reader.eventById(pdu.event_id)
  if (stored?.stateBefore !== undefined) return { kind: 'known' }
  const authEvents = pdu.auth_events.filter((id) => reader.nidOf(id) === undefined)
  const prevs = pdu.prev_events.map((id) => reader.eventById(id)).filter(hasPlace)
  const prevEvents = stateBefore === undefined ? missingPrevEvents(room, pdu) : []
  if (authEvents.length > 0 || prevEvents.length > 0) return { kind: 'waiting', authEvents, prevEvents }
  // Only a create event stands on nothing, and that one comes with a join, never alone.
  if (stateBefore === undefined && prevs.length === 0) return rejectUnplaced('an event without prev_events')
  const told = stateBefore ?? stateAfterAll(room, prevs)
  placeUnjudged(room, pdu)

  // 4. "Passes authorization rules based on the event's auth events, otherwise it is rejected."
  // 5. "Passes authorization rules based on the state before the event, otherwise it is rejected."
  const misfit = authFault(room, pdu)
  const before = misfit === undefined ? withCitedMembers(room, pdu, told) : told
  const arrival = { pdu, stateBefore: before, source, isGiven: stateBefore !== undefined }
  const rejection = misfit ?? stateFault(room, pdu, stateLookup(room, before))
  if (rejection !== undefined) return store(room, arrival, 'rejected', rejection)
  // 6. "Passes authorization rules based on the current state of the room, otherwise it is soft failed."
  // What lies in the past was sent before the current state was.
  // 7. "Is validated by the Policy Server, if the room is using a Policy Server, otherwise it is soft failed."
  const softFailure =
    source === 'history' ? undefined : (stateFault(room, pdu, presentLookup(room, pdu)) ?? policyFault(room, pdu))
  return store(room, arrival, softFailure === undefined ? 'accepted' : 'softFailed', softFailure)
}

/** The prev_events that have no place in the DAG here: not stored, or as outliers. */
export function missingPrevEvents({ reader }: Room, pdu: Pick<Pdu, 'prev_events'>): EventId[] {
  return pdu.prev_events.filter((id) => !hasPlace(reader.eventById(id)))
}

/**
 * Stores an event whose place in the DAG is not known: of a state or auth chain that another server told. Judged by its
 * auth events alone, all of which have to be here. Returns false, and stores nothing, where one is not.
 */
export function receiveOutlier(room: Room, pdu: Pdu): boolean {
  const { reader, transactor } = room
  // Most are new, and there are very many.
  const isNew = reader.nidOf(pdu.event_id) === undefined
  const wasUnjudged = !isNew && placeUnjudged(room, pdu)
  const stored = isNew ? undefined : reader.nidOf(pdu.event_id)
  if (stored !== undefined && !wasUnjudged) return true
  if (pdu.auth_events.some((id) => reader.nidOf(id) === undefined)) return false
  const fault = authFault(room, pdu)
  if (stored !== undefined) {
    if (fault !== undefined) transactor.rejectOutlier(stored, fault)
    return true
  }
  append(room, {
    pdu,
    outcome: fault === undefined ? outcomes.outlier : outcomes.rejected,
    stateBefore: undefined,
    source: 'history',
    rejectReason: fault,
  })
  return true
}

function store(
  room: Room,
  arrival: Pick<Arrival, 'pdu' | 'stateBefore' | 'source' | 'isGiven'>,
  outcome: 'accepted' | 'softFailed' | 'rejected',
  message: string | undefined,
): Received {
  const { changedMembers } = append(room, { ...arrival, outcome: outcomes[outcome], rejectReason: message })
  return { kind: 'stored', outcome, message, changedMembers }
}

function rejectUnplaced(message: string): Received {
  return { kind: 'stored', outcome: 'rejected', message, changedMembers: [] }
}

/** Check 4: what the event cites, and whether that much allows it. */
export function authFault(room: Room, pdu: Pdu, isRejected = isRejectedEvent): string | undefined {
  const { reader, crypto } = room
  const oversized = oversizedField(pdu)
  if (oversized !== undefined) return `${oversized} has more than 255 bytes`
  const cited = checkAuthEventsOf(reader.rules, pdu, (id) => {
    const event = reader.eventById(id)
    return event && { pdu: event.pdu, rejected: isRejected(event) }
  })
  if (!cited.ok) return `rule ${cited.rule}: ${cited.message}`
  return stateFault(room, pdu, citedState(room, pdu), crypto)
}

function isRejectedEvent({ outcome }: StoredEvent): boolean {
  return outcome === outcomes.rejected
}

export function stateFault(room: Room, pdu: Pdu, state: StateLookup, crypto = room.crypto): string | undefined {
  const verdict = checkAuthRules(room.reader.rules, pdu, state, crypto)
  return verdict.ok ? undefined : `rule ${verdict.rule}: ${verdict.message}`
}

/**
 * While members are missing here (partial-state.ts), an event's own auth events tell those it rests on; with the whole state
 * it is judged anew.
 */
function withCitedMembers({ reader, groups }: Room, pdu: Pdu, group: GroupId): GroupId {
  if (!reader.partial.isOpen) return group
  const lacked = new Map<StateMapKey, Nid>()
  for (const id of pdu.auth_events) {
    const event = reader.eventById(id)
    if (event?.type !== 'm.room.member' || event.state_key === undefined) continue
    const key = stateMapKey(event.type, event.state_key)
    if (groups.read(group, key) === undefined) lacked.set(key, event.nid)
  }
  return groups.child(group, lacked)
}

/** The current state, with those members whom the event tells of where members are missing here. */
function presentLookup(room: Room, pdu: Pdu): StateLookup {
  const current = currentStateLookup(room)
  if (!room.reader.partial.isOpen) return current
  const cited = citedState(room, pdu)
  return (type, stateKey) => current(type, stateKey) ?? (type === 'm.room.member' ? cited(type, stateKey) : undefined)
}

/** The state that an event's auth events make up; in version 12 the create event is there without being cited. */
function citedState({ reader }: Room, pdu: Pdu): StateLookup {
  const createId = reader.rules.roomIdIsCreateHash ? createEventIdOf(pdu.room_id) : undefined
  const ids = createId === undefined ? pdu.auth_events : [createId, ...pdu.auth_events]
  const state = new Map<string, Pdu>()
  for (const id of ids) {
    const event = reader.eventById(id)
    if (event?.state_key !== undefined) state.set(stateMapKey(event.type, event.state_key), event.pdu)
  }
  return (type, stateKey) => state.get(stateMapKey(type, stateKey))
}

function hasPlace(event: StoredEvent | undefined): event is StoredEvent {
  return event?.stateAfter !== undefined
}
