/**
 * State resolution of room versions 2 to 11 (v2) and 12 (v2.1, which is v2 with two differences).
 *
 * Spec: rooms/v2 "State resolution", rooms/v12 "State resolution". The numbered comments are the steps of its algorithm.
 * Where the text and every implementation part, the comment says so: a server that resolves alone is wrong.
 */
import type { Lookup, Pdu } from '#protocol/events/pdu.ts'
import { membershipOf } from '#protocol/events/fields.ts'
import { stateMapKey } from '#protocol/events/state-map.ts'
import type { StateMap } from '#protocol/events/state-map.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'
import { authDifference, authDifferenceAtMost, conflictedSubgraph } from './auth-graph.ts'
import { citedEvents } from './cited-events.ts'
import { separateConflicts } from './conflicts.ts'
import type { Conflicts } from './conflicts.ts'
import { iterativeAuthChecks } from './iterative-auth-checks.ts'
import type { ResolutionInput } from './resolution-input.ts'
import { mainlineOrdering, reverseTopologicalPowerOrdering } from './orderings.ts'

/** How v2.1 differs from v2. */
export interface V2Options {
  /** The iterative auth checks start with an empty state instead of the unconflicted state map. */
  readonly startsEmpty: boolean
  /** The full conflicted set includes the conflicted state subgraph. */
  readonly addsConflictedSubgraph: boolean
}

export function resolveStateV2(input: ResolutionInput, options: V2Options): StateMap {
  const { rules, stateSets, lookup } = input
  const conflicts = separateConflicts(stateSets, true)
  const { unconflicted } = conflicts
  if (conflicts.conflicted.size === 0) return unconflicted
  const fullConflictedSet = fullConflictedSetOf(input, conflicts, options.addsConflictedSubgraph)

  // 1. "Select the set X of all power events that appear in the full conflicted set. For each such power event P, enlarge
  // X by adding the events in the auth chain of P which also belong to the full conflicted set. Sort X into a list using
  // the reverse topological power ordering."
  const powerEvents = powerEventsWithAuthChains(rules, fullConflictedSet, lookup)
  const sortedPowerEvents = reverseTopologicalPowerOrdering(rules, powerEvents, lookup)

  // 2. "Apply the iterative auth checks algorithm, starting from the unconflicted state map (v2.1: an empty state map), to
  // the list of events from the previous step to get a partially resolved state."
  const initial: StateMap = options.startsEmpty ? new Map() : unconflicted
  const partiallyResolved = iterativeAuthChecks(input, initial, sortedPowerEvents)

  // 3. "Take all remaining events that weren't picked in step 1 and order them by the mainline ordering based on the power
  // level in the partially resolved state obtained in step 2."
  const remaining = [...fullConflictedSet].filter((id) => !powerEvents.has(id))
  const powerLevels = partiallyResolved.get(stateMapKey('m.room.power_levels', ''))
  const sortedRemaining = mainlineOrdering(remaining, powerLevels, lookup)

  // 4. "Apply the iterative auth checks algorithm on the partial resolved state and the list of events from the previous
  // step."
  const resolved = iterativeAuthChecks(input, partiallyResolved, sortedRemaining)

  // 5. "Update the result by replacing any event with the event with the same key from the unconflicted state map, if such
  // an event exists, to get the final resolved state."
  for (const [key, id] of unconflicted) resolved.set(key, id)
  return resolved
}

/**
 * "The full conflicted set is the union of the conflicted state set, the conflicted state subgraph (v2.1 only), and the
 * auth difference."
 */
function fullConflictedSetOf(
  { stateSets, graph }: ResolutionInput,
  { unconflicted, conflicted }: Conflicts,
  addsConflictedSubgraph: boolean,
): Set<EventId> {
  const conflictedStateSet = new Set<EventId>()
  for (const claims of conflicted.values()) for (const id of claims) conflictedStateSet.add(id)
  const full = new Set(conflictedStateSet)
  if (addsConflictedSubgraph) for (const id of conflictedSubgraph(conflictedStateSet, graph)) full.add(id)
  // The exact auth difference has to ask where every unconflicted event stands. Mostly the quick upper bound adds nothing
  // to the conflicted events, and then neither can the exact set.
  const atMost = authDifferenceAtMost(stateSets, new Set(unconflicted.values()), graph)
  if ([...atMost].every((id) => full.has(id))) return full
  for (const id of authDifference(stateSets, graph)) full.add(id)
  return full
}

/**
 * The set X of step 1. A chain is followed only as far as it stays within the full conflicted set: an event behind one
 * that all sides agree on is not found this way, though the text would have it. So Synapse and ruma have it since v2.
 */
function powerEventsWithAuthChains(
  rules: RoomVersionRules,
  fullConflictedSet: ReadonlySet<EventId>,
  lookup: Lookup,
): Set<EventId> {
  const found = new Set<EventId>()
  const toFollow: Pdu[] = []
  for (const id of fullConflictedSet) {
    const pdu = lookup(id)
    if (pdu === undefined || !isPowerEvent(pdu)) continue
    found.add(id)
    toFollow.push(pdu)
  }
  for (let pdu = toFollow.pop(); pdu !== undefined; pdu = toFollow.pop()) {
    for (const id of citedEvents(rules, pdu)) {
      if (found.has(id) || !fullConflictedSet.has(id)) continue
      const auth = lookup(id)
      if (auth === undefined) continue
      found.add(id)
      toFollow.push(auth)
    }
  }
  return found
}

/**
 * "A power event is a state event with type m.room.power_levels or m.room.join_rules, or a state event with type
 * m.room.member where the membership is leave or ban and the sender does not match the state_key."
 *
 * As everywhere else, the first two count with an empty state key only, and so does m.room.create, which can be in
 * conflict if one state has none.
 */
function isPowerEvent(pdu: Pdu): boolean {
  switch (pdu.type) {
    case 'm.room.power_levels':
    case 'm.room.join_rules':
    case 'm.room.create':
      return pdu.state_key === ''
    case 'm.room.member': {
      const membership = membershipOf(pdu)
      return (membership === 'leave' || membership === 'ban') && pdu.sender !== pdu.state_key
    }
    default:
      return false
  }
}
