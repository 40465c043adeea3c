/**
 * Senders who had their account erased: who comes later gets their events as a redaction would leave them. So does everybody
 * with events that a kick or ban redacts, and has not come to yet (removals.ts).
 *
 * Spec: client-server-api/#post_matrixclientv3accountdeactivate, `erase`: "any users (or servers) which join the room after
 * the erasure request are served redacted copies of the events sent by this account. Users which had visibility on those
 * events prior to the erasure are still able to see unredacted copies." State other than their own membership stays as it
 * is: it describes the room, not them.
 */
import { membershipOf } from '#protocol/events/fields.ts'
import { redact } from '#protocol/events/redaction.ts'
import { stateMapKey } from '#protocol/events/state-map.ts'
import { pduFromStored } from '#protocol/events/event-format.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import { unfinishedRemovalOf } from './removals.ts'
import type { Room } from './room.ts'
import type { ServerSight } from './server-visibility.ts'
import type { GroupId, StoredEvent } from './stored-event.ts'
import type { View } from './visibility.ts'

/** By sender, the state of the room when they asked. */
export type Erasures = ReadonlyMap<UserId, GroupId>

/** Notes that a sender's account was erased. The first time counts. */
export function eraseSender(room: Room, sender: UserId): void {
  const { currentGroup } = room.reader.header()
  if (currentGroup === undefined) return
  room.transactor.eraseSender(sender, currentGroup)
  room.memory.erasures = undefined
}

/** The event as the reader may have it: itself, or what a redaction would leave. The caller has checked that they may see it. */
export function withErasure(view: View, event: StoredEvent): StoredEvent {
  const by = unfinishedRemovalOf(view.room, event)
  if (by !== undefined) return { ...erased(view.room, event), redactedBy: by }
  return hidesErased(view, event) ? erased(view.room, event) : event
}

/** Whether the reader gets no more of the event than a redaction would leave. */
export function hidesErased(view: View, event: StoredEvent): boolean {
  if (unfinishedRemovalOf(view.room, event) !== undefined) return true
  const group = erasureOf(view.room, event)
  if (group === undefined || view.membershipAfter(event) === 'join') return false
  const nid = view.room.groups.read(group, stateMapKey('m.room.member', view.reader))
  return nid === undefined || membershipOf(view.room.reader.eventOf(nid).pdu) !== 'join'
}

/** The same for another server. */
export function hidesErasedFrom(sight: ServerSight, room: Room, event: StoredEvent): boolean {
  if (unfinishedRemovalOf(room, event) !== undefined) return true
  const group = erasureOf(room, event)
  if (group === undefined || sight.wasJoinedAt(event)) return false
  return !sight.wasJoinedAt({ stateBefore: group, stateAfter: group })
}

function erasureOf(room: Room, { sender, state_key }: StoredEvent): GroupId | undefined {
  const erasures = (room.memory.erasures ??= room.reader.erasures())
  if (erasures.size === 0) return undefined
  return state_key === undefined || state_key === sender ? erasures.get(sender) : undefined
}

function erased({ reader }: Room, event: StoredEvent): StoredEvent {
  const { rules } = reader
  return { ...event, pdu: pduFromStored(rules, redact(rules, event.pdu.json), event.event_id) }
}
