/**
 * Receives the events that wait (staged.ts) as soon as what they cite is here, in the order in which they build on each other:
 * each is looked at once for each thing it lacks, in whatever order a server made them come.
 */
import type { Pdu } from '#protocol/events/pdu.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import type { Room } from '../room.ts'
import { receivePdu } from './receive-pdu.ts'
import { type Staged, stagedEvents, stagedPdu, unstage } from './staged.ts'

/** Receives every staged event that has all it needs, and those that this lets in. */
export function receiveStaged(room: Room, stored: (changedMembers: readonly UserId[]) => void): void {
  const staged = stagedEvents(room)
  const here = placesOf(room, staged)
  const heirs = new Map<EventId, Staged[]>()
  const ready: Staged[] = []
  const look = (event: Staged) => {
    const missing =
      event.authEvents.find((id) => !here.has(id)) ?? event.prevEvents.find((id) => here.get(id) !== 'placed')
    if (missing === undefined) ready.push(event)
    else heirs.set(missing, [...(heirs.get(missing) ?? []), event])
  }
  staged.forEach(look)
  for (let next = ready.shift(); next !== undefined; next = ready.shift()) {
    const { eventId } = next
    if (!receiveOne(room, eventId, stored)) continue
    const place = placesOf(room, [{ authEvents: [eventId], prevEvents: [] }]).get(eventId)
    if (place === undefined) continue
    here.set(eventId, place)
    const waited = heirs.get(eventId) ?? []
    heirs.delete(eventId)
    waited.forEach(look)
  }
}

/** False where it goes on waiting. */
function receiveOne(room: Room, eventId: EventId, stored: (changedMembers: readonly UserId[]) => void): boolean {
  const pdu: Pdu = stagedPdu(room, eventId)
  return room.transactor.turn(() => {
    const received = receivePdu(room, pdu)
    if (received.kind !== 'waiting') unstage(room, eventId)
    if (received.kind === 'stored') stored(received.changedMembers)
    return { ok: true, isDone: received.kind !== 'waiting' }
  }).isDone
}

/** Of what these events cite, what is here: in its place in the DAG or not. */
function placesOf(
  { reader }: Room,
  events: readonly Pick<Staged, 'authEvents' | 'prevEvents'>[],
): Map<EventId, 'placed' | 'outlier'> {
  const cited = new Set(events.flatMap(({ authEvents, prevEvents }) => [...authEvents, ...prevEvents]))
  const query = `SELECT event_id AS id, state_after IS NOT NULL AS isPlaced FROM events
    WHERE event_id IN (SELECT value FROM json_each(?))`
  const rows = reader.sql.exec<{ id: EventId; isPlaced: number }>(query, JSON.stringify([...cited]))
  return new Map([...rows].map(({ id, isPlaced }) => [id, isPlaced === 1 ? 'placed' : 'outlier']))
}
