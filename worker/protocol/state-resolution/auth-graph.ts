/**
 * The graph that `auth_events` links make, and the two sets that state resolution asks of it: the auth difference and
 * the conflicted state subgraph.
 *
 * Spec: rooms/v2 "Definitions" (auth chain, auth difference), rooms/v12 "Definitions" (conflicted state subgraph).
 *
 *     create ◄── join ◄── power_levels ◄── topic        newest: greatest order
 *        ▲────────┴────────────┴─────────────┘          oldest: least order
 *
 * Both walks go from the newest event towards the create event and stop as early as the answer allows. Neither may ever
 * need a whole auth chain in memory, look at an event itself, or recurse.
 */
import type { StateMap } from '#protocol/events/state-map.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import { PriorityQueue } from './priority-queue.ts'

/** What is known about the auth chains of a room's events. Answers for every event that a state set can lead to. */
export interface AuthGraph {
  /**
   * The auth events of an event as it names them; none for an event that nobody has. In room version 12 no event names
   * `m.room.create`. (Synapse has it in every auth chain by the room ID. That could be told only by states without it.)
   */
  authEvents(id: EventId): readonly EventId[]
  /** A topological number: greater than that of each of the event's auth events. */
  order(id: EventId): number
}

/** An event that a walk has met: where it stands, and which of the state sets lead to it (one bit each). */
interface Reached {
  readonly id: EventId
  readonly order: number
  from: bigint
}

/**
 * Auth difference: the events that are in the auth chain of some state sets, but not of all.
 *
 * The spec's full auth chain of a state leaves out the state's own events, unless others lead to them. Every
 * implementation counts them in, and room version 12 relies on it (an unconflicted event must not enter the iterative
 * auth checks only because one side cited it), so they are counted in here.
 */
export function authDifference(stateSets: readonly StateMap[], graph: AuthGraph): Set<EventId> {
  const sources = new Map<EventId, bigint>()
  stateSets.forEach((stateSet, index) => {
    const bit = 1n << BigInt(index)
    for (const id of stateSet.values()) sources.set(id, (sources.get(id) ?? 0n) | bit)
  })
  return notReachedByAll(sources, everyBit(stateSets.length), new Set(), graph)
}

/**
 * A superset of the auth difference that is found without asking for the order of a single unconflicted event.
 *
 * Only the conflicted events are walked from. An unconflicted event counts as common where the walk meets it; what an
 * unconflicted event leads to without being met is taken for a difference. A state of 50,000 members with two
 * conflicting topics thus costs a handful of steps.
 */
export function authDifferenceAtMost(
  stateSets: readonly StateMap[],
  unconflicted: ReadonlySet<EventId>,
  graph: AuthGraph,
): Set<EventId> {
  const sources = new Map<EventId, bigint>()
  stateSets.forEach((stateSet, index) => {
    const bit = 1n << BigInt(index)
    for (const id of stateSet.values()) if (!unconflicted.has(id)) sources.set(id, (sources.get(id) ?? 0n) | bit)
  })
  return notReachedByAll(sources, everyBit(stateSets.length), unconflicted, graph)
}

/**
 * The events that the sources lead to, sources included, but not from every state set.
 *
 * The queue yields the newest event first. When an event leaves the queue, all that could lead to it has left before, so
 * its bits are final; once every event in the queue has all bits, so has everything older, and the walk ends.
 */
function notReachedByAll(
  sources: ReadonlyMap<EventId, bigint>,
  all: bigint,
  common: ReadonlySet<EventId>,
  graph: AuthGraph,
): Set<EventId> {
  const reached = new Map<EventId, Reached>()
  const queue = new PriorityQueue<Reached>(newestFirst)
  let uncommonInQueue = 0
  const meet = (event: Reached): void => {
    reached.set(event.id, event)
    queue.push(event)
    if (event.from !== all) uncommonInQueue += 1
  }
  for (const [id, from] of sources) meet({ id, order: graph.order(id), from })

  const difference = new Set<EventId>()
  while (uncommonInQueue > 0) {
    const event = queue.pop()
    if (event === undefined) break
    if (event.from !== all) {
      difference.add(event.id)
      uncommonInQueue -= 1
    }
    for (const id of graph.authEvents(event.id)) {
      const from = common.has(id) ? all : event.from
      const known = reached.get(id)
      if (known === undefined) {
        meet({ id, order: olderThan(event.order, graph.order(id)), from })
      } else {
        olderThan(event.order, known.order)
        const wasUncommon = known.from !== all
        known.from |= from
        if (wasUncommon && known.from === all) uncommonInQueue -= 1
      }
    }
  }
  return difference
}

/**
 * Conflicted state subgraph (room version 12): every event on a path of `auth_events` links from one event of the
 * conflicted state set to another, both ends included. Conflicted events on no such path are not in it.
 *
 * What is older than the oldest conflicted event cannot lead to one, so the walk ends there.
 */
export function conflictedSubgraph(conflicted: ReadonlySet<EventId>, graph: AuthGraph): Set<EventId> {
  const met = new Map<EventId, Met>()
  const queue = new PriorityQueue<Met>(newestFirst)
  let oldest = Infinity
  for (const id of conflicted) {
    const event = { id, order: graph.order(id), conflicted: true, ledTo: false, leads: false, links: [] }
    met.set(id, event)
    queue.push(event)
    oldest = Math.min(oldest, event.order)
  }

  // Downwards: all that conflicted events lead to, newest first, with the links that were followed.
  const walked: Met[] = []
  for (let event = queue.pop(); event !== undefined; event = queue.pop()) {
    walked.push(event)
    for (const id of graph.authEvents(event.id)) {
      let older = met.get(id)
      const order = olderThan(event.order, older?.order ?? graph.order(id))
      if (order < oldest) continue
      if (older === undefined) {
        older = { id, order, conflicted: false, ledTo: true, leads: false, links: [] }
        met.set(id, older)
        queue.push(older)
      }
      older.ledTo = true
      event.links.push(older)
    }
  }

  // Upwards: which of those lead to a conflicted event in their turn. A path begins and ends with a conflicted event.
  const subgraph = new Set<EventId>()
  for (const event of walked.reverse()) {
    event.leads = event.links.some((older) => older.conflicted || older.leads)
    if (event.leads || (event.conflicted && event.ledTo)) subgraph.add(event.id)
  }
  return subgraph
}

/** An event on the way down from the conflicted state set. */
interface Met {
  readonly id: EventId
  readonly order: number
  readonly conflicted: boolean
  /** A conflicted event leads to it. */
  ledTo: boolean
  /** It leads to a conflicted event. */
  leads: boolean
  readonly links: Met[]
}

function newestFirst(a: { readonly order: number }, b: { readonly order: number }): number {
  return b.order - a.order
}

function everyBit(count: number): bigint {
  return (1n << BigInt(count)) - 1n
}

/** The order of an auth event, which must be less than its event's: with any other graph the walks would end too early. */
function olderThan(order: number, authOrder: number): number {
  if (authOrder >= order) throw new Error('the order of the auth graph is not topological')
  return authOrder
}
