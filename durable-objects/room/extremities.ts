/**
 * Forward extremities: the ends of the DAG, which the next event will name as its prev_events.
 *
 * Spec: server-server-api/#pdus "prev_events", #soft-failure ("soft-failed events are not to be used as forward
 * extremities"; nor are rejected ones). An accepted event also replaces what lies behind such events:
 *
 *     A ◄── B (soft-failed) ◄── C (accepted)      extremities: A, then A still, then C
 */
import type { Room } from './room.ts'
import { type EventOutcome, type Nid, outcomes, type StoredEvent } from './stored-event.ts'

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
  return isCited ? left : [...left, event.nid].sort((a, b) => a - b)
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
