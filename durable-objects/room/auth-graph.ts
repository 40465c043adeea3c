/**
 * The auth graph of this room for state resolution: `auth_events` links as rows hold them, with nid as the order.
 *
 * A walk goes from newer to older events, so links are read by the block of neighbouring nids, and the oldest used blocks
 * are let go: the chain of a large room is never in memory as a whole.
 */
import type { AuthGraph } from '#protocol/state-resolution/auth-graph.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'

import { Lru } from '../shared/lru.ts'
import type { Reader } from './reader.ts'
import type { Nid } from './stored-event.ts'

/** Events per block, and blocks kept: some 64,000 events at 200 bytes. */
const blockSize = 256
const blocks = 256

interface Links {
  readonly eventId: EventId
  readonly auth: readonly Nid[]
}

/** For one resolution: it must not outlive the turn in which it was made. */
export function authGraph(reader: Reader): AuthGraph {
  const kept = new Lru<number, ReadonlyMap<Nid, Links>>(blocks)
  const nids = new Map<EventId, Nid>()

  const nidOf = (id: EventId): Nid => {
    const nid = nids.get(id) ?? reader.nidOf(id)
    if (nid === undefined) throw new Error(`state resolution met ${id}, which this room does not have`)
    return nid
  }
  const linksOf = (nid: Nid): Links | undefined => {
    const number = Math.floor(nid / blockSize)
    let block = kept.get(number)
    if (!block) kept.set(number, (block = readBlock(reader, number)))
    return block.get(nid)
  }

  return {
    order: nidOf,
    authEvents(id) {
      return (linksOf(nidOf(id))?.auth ?? []).flatMap((nid) => {
        const eventId = linksOf(nid)?.eventId
        if (eventId === undefined) return []
        nids.set(eventId, nid)
        return [eventId]
      })
    },
  }
}

function readBlock(reader: Reader, number: number): Map<Nid, Links> {
  const block = new Map<Nid, Links>()
  const query = 'SELECT nid, event_id AS eventId, auth FROM events WHERE nid >= ? AND nid < ?'
  const rows = reader.sql.exec<{ nid: Nid; eventId: EventId; auth: string }>(
    query,
    number * blockSize,
    (number + 1) * blockSize,
  )
  for (const { nid, eventId, auth } of rows) block.set(nid, { eventId, auth: JSON.parse(auth) })
  return block
}
