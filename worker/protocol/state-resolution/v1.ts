/**
 * State resolution of room version 1.
 *
 * Spec: rooms/v1 "State resolution"; R is its name for the result so far. The algorithm is known to reset state. Rooms of
 * that version have it all the same, and every server must come to the same answer.
 */
import { sha1 } from '@noble/hashes/legacy.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import type { Pdu } from '#protocol/events/pdu.ts'
import { splitStateMapKey, stateMapKey } from '#protocol/events/state-map.ts'
import type { StateMap, StateMapKey } from '#protocol/events/state-map.ts'
import { checkAuthRules } from '#protocol/event-auth/check-auth-rules.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import { separateConflicts } from './conflicts.ts'
import type { ResolutionInput } from './resolution-input.ts'

type State = Map<StateMapKey, EventId>
/** The events that claim one place in the state, lowest depth first. */
type Claims = readonly [Pdu, ...Pdu[]]

export function resolveStateV1(input: ResolutionInput): StateMap {
  // "Start by setting R to the union of the states to be resolved, excluding any conflicting events."
  const { unconflicted: resolved, conflicted } = separateConflicts(input.stateSets, false)
  const conflicts = new Map<StateMapKey, Claims>()
  for (const [key, ids] of conflicted) {
    const [first, ...others] = byDepth(input, ids)
    // Events that are not found have no say: who is left alone has no conflict, and if nobody is left the place is empty.
    if (first === undefined) continue
    if (others.length === 0) resolved.set(key, first.event_id)
    else conflicts.set(key, [first, ...others])
  }

  // "First we resolve conflicts between m.room.power_levels events." Those with a state key are events like others.
  // "Repeat the above process for conflicts between m.room.join_rules events."
  // "Repeat the above process for conflicts between m.room.member events."
  // The places of one type are settled independently: which comes first makes no difference.
  const powerLevels = stateMapKey('m.room.power_levels', '')
  settle(input, resolved, conflicts, lastOfChain, (key) => key === powerLevels)
  settle(input, resolved, conflicts, lastOfChain, (key) => splitStateMapKey(key)[0] === 'm.room.join_rules')
  settle(input, resolved, conflicts, lastOfChain, (key) => splitStateMapKey(key)[0] === 'm.room.member')
  // "No other events affect the authorisation rules, so for all other conflicts, just pick …"
  settle(input, resolved, conflicts, highestAllowed, () => true)
  return resolved
}

type Choose = (input: ResolutionInput, resolved: StateMap, key: StateMapKey, claims: Claims) => Pdu

/** Settles the conflicts about some places of the state, and only then adds what was chosen to R. */
function settle(
  input: ResolutionInput,
  resolved: State,
  conflicts: Map<StateMapKey, Claims>,
  choose: Choose,
  concerns: (key: StateMapKey) => boolean,
): void {
  const chosen: State = new Map()
  for (const [key, claims] of conflicts) {
    if (concerns(key)) chosen.set(key, choose(input, resolved, key, claims).event_id)
  }
  for (const [key, id] of chosen) {
    conflicts.delete(key)
    resolved.set(key, id)
  }
}

/**
 * "Add the first event in the list to R. For each subsequent event in the list, check that the event would be allowed by
 * the authorisation rules for a room in state R. If the event would be allowed, then update R with the event and continue
 * with the next event in the list. If it would not be allowed, stop".
 */
function lastOfChain(input: ResolutionInput, resolved: StateMap, key: StateMapKey, [first, ...others]: Claims): Pdu {
  let last = first
  for (const next of others) {
    if (!isAllowed(input, next, resolved, { key, pdu: last })) break
    last = next
  }
  return last
}

/**
 * "Just pick the event with the highest depth and lowest sha1(event_id) that passes authentication in R". If none does,
 * the one with the lowest depth stays, as in Synapse; the text is silent.
 */
function highestAllowed(input: ResolutionInput, resolved: StateMap, _: StateMapKey, claims: Claims): Pdu {
  return claims.findLast((pdu) => isAllowed(input, pdu, resolved)) ?? claims[0]
}

/** Would R, with one place taken by another event, allow this event? Not if it lacks an event that it refers to. */
function isAllowed(
  { rules, lookup, crypto }: ResolutionInput,
  pdu: Pdu,
  resolved: StateMap,
  instead?: { readonly key: StateMapKey; readonly pdu: Pdu },
): boolean {
  let isUnknown = false
  const verdict = checkAuthRules(
    rules,
    pdu,
    (type, stateKey) => {
      const key = stateMapKey(type, stateKey)
      if (key === instead?.key) return instead.pdu
      const id = resolved.get(key)
      const holder = id === undefined ? undefined : lookup(id)
      if (id !== undefined && holder === undefined) isUnknown = true
      return holder
    },
    crypto,
  )
  return verdict.ok && !isUnknown
}

/** "Sort the list by ascending depth then descending sha1(event_id)." */
function byDepth({ lookup }: ResolutionInput, ids: Iterable<EventId>): Pdu[] {
  return [...ids]
    .flatMap((id) => lookup(id) ?? [])
    .map((pdu) => ({ pdu, sha1: bytesToHex(sha1(utf8ToBytes(pdu.event_id))) }))
    .sort((a, b) => a.pdu.depth - b.pdu.depth || (a.sha1 < b.sha1 ? 1 : -1))
    .map(({ pdu }) => pdu)
}
