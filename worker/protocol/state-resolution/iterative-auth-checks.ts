/**
 * The iterative auth checks: events are taken in order, and each that the authorisation rules allow in the state so far
 * takes its place in it.
 *
 * Spec: rooms/v2 "Definitions" (iterative auth checks). It fails closed: an event that is not found, or one of whose auth
 * events is not found, or that would be judged by a part of the state that is not found, is not allowed. Rejected events
 * are among those that are not found. (The spec would readmit events that had been rejected by the state before them and
 * now fit; no implementation does, and a rejected event must not come back into the state.)
 */
import type { Lookup, Pdu } from '#protocol/events/pdu.ts'
import { stateMapKey } from '#protocol/events/state-map.ts'
import type { StateMap, StateMapKey } from '#protocol/events/state-map.ts'
import { checkAuthRules } from '#protocol/event-auth/check-auth-rules.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'
import type { Crypto } from '#protocol/signing/crypto.ts'
import { citedState } from './cited-events.ts'

export interface AuthChecks {
  readonly rules: RoomVersionRules
  readonly lookup: Lookup
  readonly crypto: Crypto
}

/** Applies events, in their order, to a copy of the initial state. Only what the rules ask for is looked up. */
export function iterativeAuthChecks(
  checks: AuthChecks,
  initial: StateMap,
  ids: Iterable<EventId>,
): Map<StateMapKey, EventId> {
  const state = new Map(initial)
  for (const id of ids) {
    const pdu = checks.lookup(id)
    if (pdu?.state_key === undefined) continue
    if (isAllowed(checks, pdu, state)) state.set(stateMapKey(pdu.type, pdu.state_key), id)
  }
  return state
}

function isAllowed({ rules, lookup, crypto }: AuthChecks, pdu: Pdu, state: StateMap): boolean {
  const cited = citedState(rules, pdu, lookup)
  if (cited === undefined) return false
  let isUnknown = false
  const verdict = checkAuthRules(
    rules,
    pdu,
    (type, stateKey) => {
      const id = state.get(stateMapKey(type, stateKey))
      // "If a (event_type, state_key) key that is required for checking the authorisation rules is not present in the
      // state, then the appropriate state event from the event's auth_events is used".
      if (id === undefined) return cited(type, stateKey)
      const holder = lookup(id)
      if (holder === undefined) isUnknown = true
      return holder
    },
    crypto,
  )
  return verdict.ok && !isUnknown
}
