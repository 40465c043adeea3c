/**
 * The two orders in which the iterative auth checks take events.
 *
 * Spec: rooms/v2 "Definitions" (reverse topological power ordering, mainline ordering); room version 12 has the same.
 * Events that the lookup does not find are left out. Nothing here recurses: chains are as long as their senders like.
 */
import type { Lookup, Pdu } from '#protocol/events/pdu.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import { compareCodePoints } from '#protocol/json/canonical-json.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'
import { citedEvents, citedPowerLevels, senderLevel } from './cited-events.ts'
import { PriorityQueue } from './priority-queue.ts'

interface PowerVertex {
  readonly id: EventId
  readonly level: number
  readonly ts: number
  readonly cites: readonly EventId[]
  /** How many of its auth events among the vertices have not been taken yet. */
  waitsFor: number
  readonly citedBy: PowerVertex[]
}

/**
 * Reverse topological power ordering: "the lexicographically smallest topological ordering based on the DAG formed by
 * auth events", earliest first. Events in a circle, which hashes forbid and room versions 1 and 2 do not, never come up
 * and are left out.
 */
export function reverseTopologicalPowerOrdering(
  rules: RoomVersionRules,
  ids: Iterable<EventId>,
  lookup: Lookup,
): EventId[] {
  const vertices = new Map<EventId, PowerVertex>()
  for (const id of ids) {
    const pdu = lookup(id)
    if (pdu === undefined) continue
    const level = senderLevel(rules, pdu, lookup)
    const cites = [...new Set(citedEvents(rules, pdu))]
    vertices.set(id, { id, level, ts: pdu.origin_server_ts, cites, waitsFor: 0, citedBy: [] })
  }
  for (const vertex of vertices.values()) {
    for (const id of vertex.cites) {
      const auth = vertices.get(id)
      if (auth === undefined) continue
      auth.citedBy.push(vertex)
      vertex.waitsFor += 1
    }
  }

  // "Using Kahn's algorithm for topological sorting, and at each step selecting, among all the candidate vertices, the
  // smallest vertex using the above comparison relation."
  const candidates = new PriorityQueue<PowerVertex>(compareByPower)
  for (const vertex of vertices.values()) if (vertex.waitsFor === 0) candidates.push(vertex)
  const ordered: EventId[] = []
  for (let vertex = candidates.pop(); vertex !== undefined; vertex = candidates.pop()) {
    ordered.push(vertex.id)
    for (const later of vertex.citedBy) {
      later.waitsFor -= 1
      if (later.waitsFor === 0) candidates.push(later)
    }
  }
  return ordered
}

function compareByPower(x: PowerVertex, y: PowerVertex): number {
  // 1. "x's sender has greater power level than y's sender, when looking at their respective auth_events". Levels may be
  // infinite, so they are not subtracted.
  if (x.level !== y.level) return x.level > y.level ? -1 : 1
  // 2. "x's origin_server_ts is less than y's"; 3. "x's event_id is less than y's".
  return x.ts - y.ts || compareCodePoints(x.id, y.id)
}

interface MainlinePlace {
  readonly id: EventId
  readonly position: number
  readonly ts: number
}

/**
 * Mainline ordering based on a power levels event, earliest first. Without one (room version 12 starts from an empty state)
 * the mainline is empty and all positions are ∞.
 */
export function mainlineOrdering(ids: Iterable<EventId>, powerLevels: EventId | undefined, lookup: Lookup): EventId[] {
  // "The mainline of P0 is the list of events [P0, P1, …, Pn]", each found in the auth events of the one before.
  const positions = new Map<EventId, number>()
  let next = powerLevels
  while (next !== undefined && !positions.has(next)) {
    positions.set(next, positions.size)
    next = powerLevelsCitedBy(next, lookup)
  }

  const places: MainlinePlace[] = []
  for (const id of ids) {
    const pdu = lookup(id)
    if (pdu === undefined) continue
    const position = positionOf(citedPowerLevels(pdu, lookup), positions, lookup)
    places.push({ id, position, ts: pdu.origin_server_ts })
  }
  return places.sort(compareByMainline).map(({ id }) => id)
}

/**
 * The mainline position of an event that cites this power levels event: "the smallest index j ≥ 1 for which e_j belongs to
 * the mainline of P", ∞ if there is none. Every power levels event on the way is noted in `positions`, so that a side
 * branch is walked once and not once per event.
 */
function positionOf(cited: EventId | undefined, positions: Map<EventId, number>, lookup: Lookup): number {
  const onTheWay = new Set<EventId>()
  let id = cited
  while (id !== undefined && !positions.has(id) && !onTheWay.has(id)) {
    onTheWay.add(id)
    id = powerLevelsCitedBy(id, lookup)
  }
  const position = (id === undefined ? undefined : positions.get(id)) ?? Infinity
  for (const passed of onTheWay) positions.set(passed, position)
  return position
}

function powerLevelsCitedBy(id: EventId, lookup: Lookup): EventId | undefined {
  const pdu: Pdu | undefined = lookup(id)
  return pdu === undefined ? undefined : citedPowerLevels(pdu, lookup)
}

function compareByMainline(x: MainlinePlace, y: MainlinePlace): number {
  // 1. "The mainline position of x is greater than the mainline position of y."
  if (x.position !== y.position) return x.position > y.position ? -1 : 1
  // 2. "x's origin_server_ts is less than y's"; 3. "x's event_id is less than y's".
  return x.ts - y.ts || compareCodePoints(x.id, y.id)
}
