/**
 * A lookup that remembers what it found last. The same few events (create, power levels, join rules, a sender's
 * membership) are asked for over and over during a resolution, and each answer may cost a row and a parse; but a large
 * resolution must not hold all of its events either.
 */
import type { Lookup, Pdu } from '#protocol/events/pdu.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'

/** Holds at most twice `limit` events: a generation that fills up, and the one before it. What is used again stays. */
export function rememberRecent(lookup: Lookup, limit: number): Lookup {
  let recent = new Map<EventId, Pdu>()
  let before = new Map<EventId, Pdu>()
  return (id) => {
    const known = recent.get(id)
    if (known !== undefined) return known
    const pdu = before.get(id) ?? lookup(id)
    if (pdu === undefined) return undefined
    if (recent.size >= limit) {
      before = recent
      recent = new Map()
    }
    recent.set(id, pdu)
    return pdu
  }
}
