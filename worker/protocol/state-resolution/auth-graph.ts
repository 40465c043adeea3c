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
   * The auth events of an event; none for an event that nobody has. In room version 12, whose events do not cite
   * `m.room.create`, it makes no difference whether the create event is among them.
   */
  authEvents(id: EventId): readonly EventId[]
  /** A topological number: greater than that of each of the event's auth events. */
  order(id: EventId): number
}

/** Which of the state sets lead to an event (one bit each), and where the event stands. */
interface Reached {
  from: bigint
  readonly order: number
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
  const queue = new PriorityQueue<EventId>((a, b) => orderIn(reached, b) - orderIn(reached, a))
  let uncommonInQueue = 0
  for (const [id, from] of sources) {
    reached.set(id, { from, order: graph.order(id) })
    queue.push(id)
    if (from !== all) uncommonInQueue += 1
  }

  const difference = new Set<EventId>()
  while (uncommonInQueue > 0) {
    const id = queue.pop()
    const event = id === undefined ? undefined : reached.get(id)
    if (id === undefined || event === undefined) break
    if (event.from !== all) {
      difference.add(id)
      uncommonInQueue -= 1
    }
    for (const authId of graph.authEvents(id)) {
      const from = common.has(authId) ? all : event.from
      const known = reached.get(authId)
      if (known === undefined) {
        reached.set(authId, { from, order: olderThan(event.order, graph.order(authId)) })
        queue.push(authId)
        if (from !== all) uncommonInQueue += 1
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
  const orders = new Map<EventId, number>()
  let oldest = Infinity
  for (const id of conflicted) {
    const order = graph.order(id)
    orders.set(id, order)
    oldest = Math.min(oldest, order)
  }

  // Downwards: all that conflicted events lead to, newest first, with the links that were followed.
  const queue = new PriorityQueue<EventId>((a, b) => (orders.get(b) ?? 0) - (orders.get(a) ?? 0))
  for (const id of conflicted) queue.push(id)
  const newestFirst: [id: EventId, links: EventId[]][] = []
  const pointedAt = new Set<EventId>()
  for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
    const links: EventId[] = []
    for (const authId of graph.authEvents(id)) {
      const known = orders.get(authId)
      const order = olderThan(orders.get(id) ?? 0, known ?? graph.order(authId))
      if (order < oldest) continue
      links.push(authId)
      pointedAt.add(authId)
      if (known !== undefined) continue
      orders.set(authId, order)
      queue.push(authId)
    }
    newestFirst.push([id, links])
  }

  // Upwards: which of those lead to a conflicted event in their turn. Such an event is on a path if it also begins one,
  // being conflicted, or was led to.
  const leadsToConflicted = new Set<EventId>()
  const subgraph = new Set<EventId>()
  for (const [id, links] of newestFirst.reverse()) {
    const leads = links.some((link) => conflicted.has(link) || leadsToConflicted.has(link))
    if (leads) leadsToConflicted.add(id)
    if (conflicted.has(id) ? leads || pointedAt.has(id) : leads) subgraph.add(id)
  }
  return subgraph
}

function everyBit(count: number): bigint {
  return (1n << BigInt(count)) - 1n
}

function orderIn(reached: ReadonlyMap<EventId, Reached>, id: EventId): number {
  return reached.get(id)?.order ?? 0
}

/** The order of an auth event, which must be less than its event's: with any other graph the walks would end too early. */
function olderThan(order: number, authOrder: number): number {
  if (authOrder >= order) throw new Error('the order of the auth graph is not topological')
  return authOrder
}
