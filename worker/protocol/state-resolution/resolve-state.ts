/**
 * State resolution: the one state that several states of a room amount to. What it takes is all it knows, so that every
 * server with the same events comes to the same answer.
 *
 * Spec: server-server-api/#room-state-resolution, rooms/v1, rooms/v2, rooms/v12 "State resolution".
 */
import type { Pdu } from '#protocol/events/pdu.ts'
import { stateMapKey } from '#protocol/events/state-map.ts'
import type { StateMap } from '#protocol/events/state-map.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'
import { rememberRecent } from './recent-events.ts'
import type { ResolutionInput } from './resolution-input.ts'
import { resolveStateV1 } from './v1.ts'
import { resolveStateV2 } from './v2.ts'

const algorithms = {
  v1: resolveStateV1,
  v2: (input) => resolveStateV2(input, { startsEmpty: false, addsConflictedSubgraph: false }),
  'v2.1': (input) => resolveStateV2(input, { startsEmpty: true, addsConflictedSubgraph: true }),
} satisfies Record<RoomVersionRules['stateResolution'], (input: ResolutionInput) => StateMap>

/** At some kilobytes each, what a resolution remembers stays far below a Durable Object's memory. */
const rememberedEvents = 2_000

/**
 * Resolves states by the algorithm of the room version. Given the states after its `prev_events`, that is the state before
 * an event. No states resolve to the empty state, one to itself.
 *
 * Throws only where the graph contradicts itself or a given function throws.
 */
export function resolveState(given: ResolutionInput): StateMap {
  const [first, ...others] = given.stateSets
  if (first === undefined) return new Map()
  if (others.every((other) => isSameState(first, other))) return first
  const input = { ...given, lookup: rememberRecent(given.lookup, rememberedEvents) }
  return algorithms[given.rules.stateResolution](input)
}

/**
 * "If E is a message event, then S′(E) = S(E). If E is a state event, then S′(E) is S(E), except that its entry
 * corresponding to the event_type and state_key of E is replaced by the event_id of E." Not for rejected events, which
 * leave the state as it was.
 */
export function stateAfter(before: StateMap, pdu: Pdu): StateMap {
  if (pdu.state_key === undefined) return before
  return new Map(before).set(stateMapKey(pdu.type, pdu.state_key), pdu.event_id)
}

function isSameState(one: StateMap, other: StateMap): boolean {
  if (one === other) return true
  if (one.size !== other.size) return false
  for (const [key, id] of one) if (other.get(key) !== id) return false
  return true
}
