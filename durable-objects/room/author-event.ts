/**
 * Makes an event of this server's users: built on the forward extremities, signed, judged by the room's rules, stored.
 *
 * Spec: server-server-api/#pdus, #auth-events-selection, rooms/vN "Authorisation rules". All in one synchronous turn, so
 * that two sends at once get two positions and two different sets of prev_events.
 */
import { fail, type Failure, type Outcome } from '#protocol/errors.ts'
import { checkAuthRules } from '#protocol/event-auth/check-auth-rules.ts'
import { ownerOfStateKey } from '#protocol/event-auth/state-key.ts'
import { authEventKeys } from '#protocol/events/auth-events-selection.ts'
import { buildEvent } from '#protocol/events/build-event.ts'
import { type FormatReason, maxPrevEvents } from '#protocol/events/event-format.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { stickyDurationOf } from '#protocol/sticky-events.ts'

import type { ServerIdentity } from '../../worker/server-identity.ts'
import { append, stateAfterAll } from './append.ts'
import { sharedOut } from './extremities.ts'
import { lackedPolicy } from './policy.ts'
import { currentStateLookup, type Room, stateLookup } from './room.ts'
import { sameJson } from './same-json.ts'
import { type GroupId, outcomes, type StoredEvent } from './stored-event.ts'
import type { Transaction } from './transactor.ts'

/** An event somebody here wants to send. */
export interface Draft {
  readonly type: string
  /** Undefined for a message. */
  readonly stateKey?: string | undefined
  readonly sender: UserId
  readonly content: JsonObject
  readonly redacts?: EventId | undefined
  /** Milliseconds since 1970. */
  readonly originServerTs: number
  /** How long it is sticky, in ms. */
  readonly stickyDuration?: number | undefined
  readonly txn?: Transaction | undefined
}

/** Who signs; and an event that was made of the same wish before, with the signature of the room's policy server now. */
export interface Author extends ServerIdentity {
  readonly endorsed?: Pdu
}

/** What a change of the room came to, and who has to hear of it. */
export interface Written {
  readonly event_id: EventId
  readonly sender: UserId
  /** False when the request had been carried out before: there is nothing to tell. */
  readonly isNew: boolean
  /** Local users whose membership changed. */
  readonly changedMembers: readonly UserId[]
}

/**
 * Sends a draft, or says why the room does not take it; then nothing is stored. Runs inside a turn of the transactor.
 *
 * In a room with a policy server the event is left in `memory.unendorsed` at first: whoever may wait has it signed, and comes
 * again with it as `endorsed`. Meanwhile the room may have moved on, so it is judged anew then, at its own place.
 */
export function authorEvent(room: Room, author: Author, draft: Draft): Outcome<Written> {
  const { endorsed } = author
  const isTheSame = endorsed !== undefined && isMadeOf(room, endorsed, draft)
  const composed = isTheSame ? recheck(room, endorsed, draft) : composeEvent(room, author, draft)
  if (!composed.ok) return composed
  const policy = lackedPolicy(room, composed.pdu)
  if (policy) {
    room.memory.unendorsed = { pdu: composed.pdu, policy }
    return fail('policy_unavailable')
  }
  const { event, changedMembers } = append(room, {
    pdu: composed.pdu,
    outcome: outcomes.accepted,
    stateBefore: composed.stateBefore,
    source: 'own',
    txn: draft.txn,
  })
  return { ok: true, event_id: event.event_id, sender: draft.sender, isNew: true, changedMembers }
}

/** The event of a draft at the end of the room, signed and allowed, but not stored. */
export function composeEvent(
  room: Room,
  identity: ServerIdentity,
  draft: Draft,
): Outcome<{ pdu: Pdu; stateBefore: GroupId }> {
  const { reader } = room
  const { rules, roomId, extremities, currentGroup } = reader.header()
  // This server has no events to build on, or only old ones: whoever asks has to go to a server that is in the room.
  if (currentGroup === undefined || !reader.isResident()) return fail('unknown_room')
  const prevEvents = reader.events(sharedOut(room, extremities, maxPrevEvents))
  const stateBefore = prevEvents.length === extremities.length ? currentGroup : stateAfterAll(room, prevEvents)
  const state = stateLookup(room, stateBefore)

  const { type, stateKey, sender, content } = draft
  if (rules.ownedStateKeys && stateKey?.startsWith('@') === true && ownerOfStateKey(stateKey) === undefined) {
    return fail('bad_json', 'The state key begins with @, and not with a user ID')
  }
  const authEvents = authEventKeys(rules, { type, state_key: stateKey, sender, content })
    .map(([keyType, key]) => state(keyType, key)?.event_id)
    .filter((id) => id !== undefined)
  const lookup = (id: EventId): Pdu | undefined => reader.eventById(id)?.pdu
  const { serverName, key, crypto } = identity
  const built = buildEvent({ ...draft, rules, roomId, prevEvents, authEvents, lookup }, serverName, key, crypto)
  if (!built.ok) return fail(reasonOf[built.reason], built.message)
  const verdict = checkAuthRules(rules, built.pdu, state, crypto)
  return verdict.ok ? { ok: true, pdu: built.pdu, stateBefore } : refusal(room, draft, verdict.message)
}

function isMadeOf({ reader }: Room, pdu: Pdu, draft: Draft): boolean {
  const { type, stateKey, sender, content, redacts, stickyDuration } = draft
  const whole = redacts !== undefined && reader.rules.redactsInContent ? { ...content, redacts } : content
  const isSamePlace = pdu.type === type && pdu.state_key === stateKey && pdu.sender === sender
  const isAsSticky = stickyDurationOf(pdu.json) === stickyDuration
  return isSamePlace && pdu.redacts === redacts && isAsSticky && sameJson(pdu.content, whole)
}

/** An event that was composed before: still allowed where it stands, and by the state as it is now. */
function recheck(room: Room, pdu: Pdu, draft: Draft): Outcome<{ pdu: Pdu; stateBefore: GroupId }> {
  const { reader, crypto } = room
  const prevs = pdu.prev_events.map((id) => reader.eventById(id)).filter((event) => event !== undefined)
  if (!reader.isResident() || prevs.length < pdu.prev_events.length) return fail('unknown_room')
  const stateBefore = stateAfterAll(room, prevs)
  for (const state of [stateLookup(room, stateBefore), currentStateLookup(room)]) {
    const verdict = checkAuthRules(reader.rules, pdu, state, crypto)
    if (!verdict.ok) return refusal(room, draft, verdict.message)
  }
  return { ok: true, pdu, stateBefore }
}

/** Everything in a built event but its content and the length of its type and state key is ours. */
const reasonOf = {
  not_an_object: 'bad_json',
  not_canonical_json: 'bad_json',
  event_too_large: 'too_large',
  field_too_long: 'too_large',
  bad_field: 'bad_json',
  bad_room_id: 'bad_json',
  too_many_prev_events: 'internal',
  too_many_auth_events: 'internal',
} as const satisfies Record<FormatReason, unknown>

/** "You are not in that room" is what most refused senders should read. */
function refusal({ reader }: Room, draft: Draft, message: string): Failure {
  const isOutside = draft.type !== 'm.room.member' && reader.membership(draft.sender) !== 'join'
  return isOutside ? fail('not_in_room') : fail('event_not_allowed', message)
}

/** A request without a device has the transactions of no device. */
export function transactionOf(request: { deviceId?: string; txnId?: string }): Transaction | undefined {
  return request.txnId === undefined ? undefined : { device: request.deviceId ?? '', id: request.txnId }
}

/** The request had been carried out before, by this event. */
export function unchanged(event: StoredEvent): Outcome<Written> {
  return { ok: true, event_id: event.event_id, sender: event.sender, isNew: false, changedMembers: [] }
}
