/**
 * The state that goes with a room: what the client asked for, as it is at the end of the timeline.
 *
 * Spec: MSC4186 "required_state". With a room that is new to the client all of it; later what changed, and what the client
 * asks for in addition. Lazily wanted members are those who send, or are the subject of, events of the timeline; and while the
 * timeline has no gap all who changed, so that a client which has the whole list can keep it.
 */
import { splitStateMapKey, type StateMapKey, stateMapKey } from '#protocol/events/state-map.ts'
import { parseUserId, type UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { addedState, isLazy, type RequiredState, wantsPlace } from '#protocol/sliding-sync/room-config.ts'

import { stateEvent } from '../client-event.ts'
import { membersIn } from '../lazy-members.ts'
import { eventFormat } from '../slice.ts'
import { changesFor } from '../state-slice.ts'
import { stateOfGroup } from '../state-of-group.ts'
import type { Nid, StoredEvent } from '../stored-event.ts'
import type { View } from '../visibility.ts'
import type { Span } from './inside-slice.ts'
import type { SlidingAsked } from './sliding-slice.ts'

/** `leave`: the event by which the reader left, which they are given whatever they asked for. */
export function requiredState(asked: SlidingAsked, span: Span, leave: StoredEvent | undefined): JsonObject[] {
  const { view, sliding } = asked
  const { config, given } = sliding
  const { held, end, initial } = span
  const wanted = config.requiredState
  const events = new Map<Nid, StoredEvent>()
  const add = (list: readonly StoredEvent[]) => {
    for (const event of list) events.set(event.nid, event)
  }
  if (initial || !held) add(placesOf(view, end, wanted))
  else {
    const changes = isLazy(config) && given ? changesFor(view.room, held, given.pos) : held.changes
    add(changedPlaces(asked, changes, span))
    add(placesOf(view, end, given ? addedState(config, given.config) : wanted))
  }
  if (isLazy(config)) add(lazyMembers(asked, span))
  if (leave) events.set(leave.nid, leave)
  const format = eventFormat(asked)
  return [...events.values()].sort((a, b) => a.nid - b.nid).map((event) => stateEvent(view, event, format))
}

/** The events in wanted places of a state. Places that are named are looked up; only "*" costs a walk. */
function placesOf(view: View, group: number, wanted: RequiredState): StoredEvent[] {
  const { room, reader: me } = view
  if (wanted.length === 0) return []
  if (wanted.some(([type, stateKey]) => type === '*' || stateKey === '*')) {
    const withoutMembers = !wanted.some(([type, key]) => (type === 'm.room.member' || type === '*') && key !== '$LAZY')
    return stateOfGroup(room, group, withoutMembers).filter(({ type, state_key }) =>
      wantsPlace(wanted, type, state_key ?? '', me),
    )
  }
  const places = wanted
    .filter(([, key]) => key !== '$LAZY')
    .map(([type, key]) => stateMapKey(type, key === '$ME' ? me : key))
  return room.reader.events([...room.groups.readMany(group, places).values()])
}

function changedPlaces(
  { view, sliding }: SlidingAsked,
  changes: ReadonlyMap<StateMapKey, readonly [Nid | undefined, Nid | undefined]>,
  { timeline }: Span,
): StoredEvent[] {
  const { requiredState: wanted } = sliding.config
  const allMembers = isLazy(sliding.config) && timeline?.limited !== true
  const nids = [...changes].flatMap(([key, [, now]]) => {
    const [type, stateKey] = splitStateMapKey(key)
    const isWanted = wantsPlace(wanted, type, stateKey, view.reader) || (allMembers && type === 'm.room.member')
    return isWanted && now !== undefined ? [now] : []
  })
  const events = view.room.reader.events(nids)
  if (allMembers) noteSent(sliding, view, events)
  return events
}

/** The members whom the timeline needs, those aside that this client was given already. */
function lazyMembers({ view, sliding }: SlidingAsked, { timeline, initial, end, expanded }: Span): StoredEvent[] {
  const { room } = view
  const users = new Set<UserId>()
  for (const { sender, type, state_key } of timeline?.events ?? []) {
    users.add(sender)
    const target = type === 'm.room.member' ? parseUserId(state_key) : undefined
    if (target) users.add(target)
  }
  const from = sliding.given?.pos
  const knows = (member: StoredEvent) =>
    !initial && !expanded && from !== undefined && room.memory.lazyMembers.has(lazyKey(sliding), member, from)
  const members = membersIn(room, end, users).filter((member) => !knows(member))
  noteSent(sliding, view, members)
  return members
}

function noteSent(sliding: SlidingAsked['sliding'], { room }: View, events: readonly StoredEvent[]): void {
  const members = events.filter(({ type }) => type === 'm.room.member')
  room.memory.lazyMembers.sent(lazyKey(sliding), members, room.reader.header().pos)
}

/** Connections of a device do not know what others were given. */
function lazyKey({ reader, deviceId, connection }: SlidingAsked['sliding']) {
  return { reader, deviceId: `${deviceId} ${connection}` }
}
