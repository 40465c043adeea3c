/**
 * Forward extremities: the ends of the DAG, which the next event will name as its prev_events.
 *
 * Spec: server-server-api/#pdus "prev_events", #soft-failure ("soft-failed events are not to be used as forward
 * extremities"; nor are rejected ones). An accepted event also replaces what lies behind such events:
 *
 *     A ◄── B (soft-failed) ◄── C (accepted)      extremities: A, then A still, then C
 *
 * Whoever is in the room can make any number of ends by building on one event again and again, each with another state after
 * it; the present is resolved from all of them. So there is a bound, and the servers share what lies below it: the ends that
 * others made stay ends, and our next event builds on them.
 */
import { serverNameOf } from '#protocol/identifiers/user-id.ts'

import type { Room } from './room.ts'
import { type EventOutcome, type Nid, outcomes, type StoredEvent } from './stored-event.ts'

/** More ends than this are not kept: each costs time at every event. */
export const maxExtremities = 50
/** Events looked through per new event: a chain of refused events of this length costs a stale extremity, nothing else. */
const maxWalk = 500

type OutcomeOf = (event: StoredEvent) => EventOutcome

/**
 * The extremities after `event` was accepted. `isCited`: another event has it among its prev_events. `outcomeOf`: what
 * became of others, where that is not what is stored.
 */
export function extremitiesAfter(
  room: Room,
  extremities: readonly Nid[],
  event: StoredEvent,
  isCited: boolean,
  outcomeOf: OutcomeOf = ({ outcome }) => outcome,
): Nid[] {
  const covered = coveredBy(room, event, outcomeOf)
  const left = extremities.filter((nid) => !covered.has(nid))
  return isCited ? left : sharedOut(room, [...left, event.nid], maxExtremities)
}

/**
 * At most so many of the ends, in order of arrival: where there are more, the newest of this server, then the newest of each
 * other server, then the next of each, and so on.
 */
export function sharedOut({ reader }: Room, extremities: readonly Nid[], most: number): Nid[] {
  if (extremities.length <= most) return extremities.toSorted((a, b) => a - b)
  const byServer = new Map<string, Nid[]>()
  for (const { nid, sender } of reader.events(extremities.toSorted((a, b) => b - a))) {
    const server = serverNameOf(sender)
    byServer.set(server, [...(byServer.get(server) ?? []), nid])
  }
  const own = byServer.get(reader.serverName) ?? []
  const others = [...byServer].filter(([server]) => server !== reader.serverName).map(([, nids]) => nids)
  const kept: Nid[] = []
  for (let turn = 0; kept.length < most; turn++) {
    for (const nids of [own, ...others]) {
      const nid = nids[turn]
      if (nid !== undefined && kept.length < most) kept.push(nid)
    }
  }
  return kept.sort((a, b) => a - b)
}

/** The events right before `event`, and those before them where the way leads through refused events. */
function coveredBy({ reader }: Room, event: StoredEvent, outcomeOf: OutcomeOf): Set<Nid> {
  const covered = new Set<Nid>()
  const walk = [...event.pdu.prev_events]
  for (let id = walk.pop(); id !== undefined && covered.size < maxWalk; id = walk.pop()) {
    const prev = reader.eventById(id)
    if (!prev || covered.has(prev.nid)) continue
    covered.add(prev.nid)
    const outcome = outcomeOf(prev)
    if (outcome === outcomes.softFailed || outcome === outcomes.rejected) walk.push(...prev.pdu.prev_events)
  }
  return covered
}
