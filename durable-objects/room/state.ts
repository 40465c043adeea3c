/**
 * The state of a room as a reader may have it.
 *
 * Spec: client-server-api/#get_matrixclientv3roomsroomidstate and …/state/{eventType}/{stateKey}: "If the user is joined to
 * the room then the state is taken from the current state of the room. If the user has left the room then the state is
 * taken from the state of the room when they left." History visibility does not hide state from those who are, or were, in
 * the room at that time.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import { stateMapKey } from '#protocol/events/state-map.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import { type ClientEvent, stateEvent } from './client-event.ts'
import { openFor } from './room-access.ts'
import type { Room } from './room.ts'
import { wholeStateAt } from './state-at.ts'
import { nidsOfGroup } from './state-of-group.ts'
import type { GroupId, Nid, StoredEvent } from './stored-event.ts'
import type { View } from './visibility.ts'

/** The whole state. Fails with `not_in_room`. */
export function stateEvents(
  room: Room,
  { reader }: { reader: UserId },
  now: number,
): Outcome<{ events: ClientEvent[] }> {
  const found = stateSlices(room, { reader }, now)
  return found.ok ? { ok: true, events: [...found.slices].flat() } : found
}

/** The same in slices, each read when it is asked for: the state of a large room is some ten megabytes. */
export function stateSlices(
  room: Room,
  { reader }: { reader: UserId },
  now: number,
): Outcome<{ slices: Iterable<ClientEvent[]> }> {
  const opened = openFor(room, reader)
  if (!opened.ok) return opened
  const { view } = opened
  const group = readableGroup(view)
  const nids = group === undefined ? [] : nidsOfGroup(room, group)
  return { ok: true, slices: shownSlices(view, nids, now) }
}

/** State events as the reader gets them, slice by slice; on wish only some. */
export function* shownSlices(
  view: View,
  nids: readonly Nid[],
  now: number,
  isWanted: (event: StoredEvent) => boolean = () => true,
): Generator<ClientEvent[], void> {
  for (const events of view.room.reader.eventSlices(nids)) {
    yield events.filter(isWanted).map((event) => stateEvent(view, event, { now, withRoomId: true }))
  }
}

/** One place of the state. Fails with `not_in_room` or `not_found`. */
export function stateAtPlace(
  room: Room,
  { reader, type, stateKey }: { reader: UserId; type: string; stateKey: string },
  now: number,
): Outcome<{ event: ClientEvent }> {
  const opened = openFor(room, reader)
  if (!opened.ok) return opened
  const { view } = opened
  const group = readableGroup(view)
  const event = group === undefined ? undefined : eventInState(room, group, type, stateKey)
  if (!event) return fail('not_found', 'The room has no such state')
  return { ok: true, event: stateEvent(view, event, { now, withRoomId: true }) }
}

/**
 * The state that a reader may have now: today's, or that of when they left. A room whose history everybody may read shows
 * today's to all. The caller has checked that the reader may ask.
 */
export function readableGroup({ room, standing }: View): GroupId | undefined {
  if (standing.kind !== 'departed') return room.reader.header().currentGroup
  const { pos, stateAfter } = standing.until
  return pos === undefined ? stateAfter : wholeStateAt(room, pos)
}

function eventInState(
  { reader, groups }: Room,
  group: GroupId,
  type: string,
  stateKey: string,
): StoredEvent | undefined {
  if (group === reader.header().currentGroup) return reader.current(type, stateKey)
  const nid = groups.read(group, stateMapKey(type, stateKey))
  return nid === undefined ? undefined : reader.eventOf(nid)
}
