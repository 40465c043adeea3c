/**
 * Brings the branches of a story together as servers would that hear of them in different ways, and insists that all come
 * to the same state.
 *
 *     const [left, right] = timeline('12').publicChat({ creator: alice, moderator: bob }).fork()
 *     left.ban(alice, bob)
 *     right.setTopic(bob, 'mine now')
 *     resolveEveryWay(left, right).membership(bob)   // 'ban'
 *
 * One way is the states that the branches say they have, all at once. In the others a server starts with nothing and is
 * fed the events: one branch after the other, from either end, or by turns; resolving after each event, after each branch,
 * or once at the end. It works out the state before every event from its `prev_events` and judges the event for itself.
 */
import { checkAuthEventsOf } from '#protocol/event-auth/auth-events.ts'
import { checkAuthRules } from '#protocol/event-auth/check-auth-rules.ts'
import { contentString, membershipOf } from '#protocol/events/fields.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import { splitStateMapKey, stateMapKey } from '#protocol/events/state-map.ts'
import type { StateMap } from '#protocol/events/state-map.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'
import type { AuthGraph } from '#protocol/state-resolution/auth-graph.ts'
import { resolveState, stateAfter } from '#protocol/state-resolution/resolve-state.ts'
import { crypto } from './room-timeline.ts'
import type { Resolve, RoomTimeline } from './room-timeline.ts'

/** What the room has come to, asked in the words of a story. */
export interface Outcome {
  readonly state: StateMap
  /** The event that holds a place in the state. */
  current(type: string, stateKey?: string): Pdu | undefined
  membership(user: UserId): string | undefined
  readonly topic: string | undefined
  readonly joinRule: string | undefined
}

/** Resolves by the room's own version; for `RoomTimeline.merge`. */
export const resolve: Resolve = (stateSets, { rules, lookup, graph }) =>
  resolveState({ rules, stateSets, lookup, graph, crypto })

export function resolveEveryWay(...branches: readonly [RoomTimeline, ...RoomTimeline[]]): Outcome {
  const [first] = branches
  const backwards = branches.toReversed()
  const told = branches.map((branch) => branch.state)
  const answers: Readonly<Record<string, StateMap>> = {
    'all at once': resolve(told, first),
    'all at once, backwards': resolve(told.toReversed(), first),
    'branch by branch': feed(first.rules, branches.map(eventsOf)),
    'branch by branch, backwards': feed(first.rules, backwards.map(eventsOf)),
    'event by event': feed(first.rules, branches.flatMap(eventsOf).map(alone)),
    'event by event, backwards': feed(first.rules, backwards.flatMap(eventsOf).map(alone)),
    'by turns': feed(first.rules, byTurns(branches).map(alone)),
    'in one go': feed(first.rules, [byTurns(backwards)]),
  }
  const [[, state] = ['', new Map()], ...others] = Object.entries(answers)
  for (const [way, other] of others) {
    const differences = differencesBetween(state, other)
    if (differences.length > 0) throw new Error(`${way}, the states differ in ${differences.join(', ')}`)
  }
  return outcomeOf(state, first)
}

export function outcomeOf(state: StateMap, room: RoomTimeline): Outcome {
  const current = (type: string, stateKey = ''): Pdu | undefined => {
    const id = state.get(stateMapKey(type, stateKey))
    return id === undefined ? undefined : room.lookup(id)
  }
  const text = (pdu: Pdu | undefined, key: string) => (pdu === undefined ? undefined : contentString(pdu, key))
  return {
    state,
    current,
    membership: (user) => {
      const pdu = current('m.room.member', user)
      return pdu === undefined ? undefined : membershipOf(pdu)
    },
    topic: text(current('m.room.topic'), 'topic'),
    joinRule: text(current('m.room.join_rules'), 'join_rule'),
  }
}

/** A server that has heard of nothing yet hears of these events, and resolves the room's state after each batch. */
function feed(rules: RoomVersionRules, batches: readonly (readonly Pdu[])[]): StateMap {
  const known = new Map<EventId, { readonly pdu: Pdu; readonly rejected: boolean }>()
  const orders = new Map<EventId, number>()
  const statesAfter = new Map<EventId, StateMap>()
  const lookup = (id: EventId): Pdu | undefined => {
    const event = known.get(id)
    return event?.rejected === false ? event.pdu : undefined
  }
  const graph: AuthGraph = {
    authEvents: (id) => known.get(id)?.pdu.auth_events ?? [],
    order: (id) => orders.get(id) ?? -1,
  }
  const resolveAfter = (ids: readonly EventId[]): StateMap => {
    const stateSets = ids.flatMap((id) => statesAfter.get(id) ?? [])
    return resolveState({ rules, stateSets, lookup, graph, crypto })
  }

  let extremities: EventId[] = []
  let current: StateMap = new Map()
  for (const batch of batches) {
    for (const pdu of batch) {
      if (known.has(pdu.event_id)) continue
      const before = resolveAfter(pdu.prev_events)
      const rejected =
        !checkAuthEventsOf(rules, pdu, (id) => known.get(id)).ok ||
        !checkAuthRules(rules, pdu, (type, stateKey) => lookupIn(before, lookup, type, stateKey), crypto).ok
      orders.set(pdu.event_id, orders.size)
      known.set(pdu.event_id, { pdu, rejected })
      if (rejected) continue
      statesAfter.set(pdu.event_id, stateAfter(before, pdu))
      extremities = [...extremities.filter((id) => !pdu.prev_events.includes(id)), pdu.event_id]
    }
    current = resolveAfter(extremities)
  }
  return current
}

function lookupIn(state: StateMap, lookup: (id: EventId) => Pdu | undefined, type: string, stateKey: string) {
  const id = state.get(stateMapKey(type, stateKey))
  return id === undefined ? undefined : lookup(id)
}

function eventsOf(branch: RoomTimeline): Pdu[] {
  return branch.events.map((event) => event.pdu)
}

function alone(pdu: Pdu): Pdu[] {
  return [pdu]
}

/** An event of each branch in turn. */
function byTurns(branches: readonly RoomTimeline[]): Pdu[] {
  const queues = branches.map(eventsOf)
  const longest = Math.max(...queues.map((queue) => queue.length))
  return Array.from({ length: longest }, (_, turn) => queues.flatMap((queue) => queue[turn] ?? [])).flat()
}

function differencesBetween(one: StateMap, other: StateMap): string[] {
  const keys = new Set([...one.keys(), ...other.keys()])
  return [...keys].filter((key) => one.get(key) !== other.get(key)).map((key) => splitStateMapKey(key).join(' '))
}
