/** Events in an order in which each comes after its auth events: the only order in which they can be judged. */
import type { EventId } from '#protocol/identifiers/event-id.ts'

import type { Pdu } from './pdu.ts'

type Node = Pick<Pdu, 'event_id' | 'auth_events'>

/**
 * Auth events first, as far as they are among the events given; every event once. Takes time linear in events and edges.
 * Events that are their own ancestors, which no honest server makes, are left out, and so is what builds on them.
 * `createId`: the create event of a room of version 12, which everything builds on and nothing cites.
 */
export function authOrder<T extends Node>(events: readonly T[], createId?: EventId): T[] {
  const byId = new Map(events.map((event) => [event.event_id, event]))
  const waitingFor = new Map<EventId, number>()
  const citedBy = new Map<EventId, T[]>()
  const ready: T[] = []
  for (const event of byId.values()) {
    const cited = [...new Set(event.auth_events)].filter((id) => byId.has(id))
    waitingFor.set(event.event_id, cited.length)
    // Taken from the end: the create event before all others.
    if (cited.length === 0 && event.event_id !== createId) ready.push(event)
    for (const id of cited) {
      // The create event is cited by everything: its list grows in place.
      const citing = citedBy.get(id)
      if (citing) citing.push(event)
      else citedBy.set(id, [event])
    }
  }
  const create = createId === undefined ? undefined : byId.get(createId)
  if (create) ready.push(create)
  const ordered: T[] = []
  for (let next = ready.pop(); next; next = ready.pop()) {
    ordered.push(next)
    for (const event of citedBy.get(next.event_id) ?? []) {
      const left = (waitingFor.get(event.event_id) ?? 0) - 1
      waitingFor.set(event.event_id, left)
      if (left === 0) ready.push(event)
    }
  }
  return ordered
}
