/**
 * What one reader of `/sync` has to hear of this room.
 *
 * Spec: client-server-api/#syncing. The reader's membership decides the section. All of it is read in one synchronous turn,
 * in which the caller also makes the reader tellable again: `pos` and `typing` name exactly what the slice brings them to.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import type { JsonObject } from '#protocol/json/json.ts'

import { joinedSlice } from './joined-slice.ts'
import { leftSlice } from './left-slice.ts'
import { memberChanges } from './member-changes.ts'
import type { OutsideMembership } from './reader.ts'
import {
  type Asked,
  membershipAt,
  type Shown,
  type Slice,
  type SliceRequest,
  stateJson,
  timelineJson,
} from './slice.ts'
import type { Room } from './room.ts'
import type { StoredEvent } from './stored-event.ts'
import { stickyFacts } from './sticky/sticky-rows.ts'
import { strippedStateAt, strippedStateFromOutside } from './stripped-state.ts'
import { type View, viewOf } from './visibility.ts'

/** The slice for a reader, `now` in milliseconds since 1970. Fails with `unknown_room`. */
export function syncSlice(room: Room, request: SliceRequest, now: number): Outcome<Slice> {
  if (!room.reader.isKnown()) return fail('unknown_room')
  const { pos } = room.reader.header()
  // From a position that lies ahead, as after a restore: what the client has heard is not this room's past.
  const heard = request.from !== null && request.from.pos > pos ? null : request.from
  const from = heardOf(room, request, heard)
  const shown = show(viewOf(room, request.reader), { ...request, from }, now)
  const answer = shown ?? { section: 'none', room: {} }
  const asksForChanges = request.isIncremental && !isWithheld(room, request)
  const changes = asksForChanges ? { memberChanges: memberChanges(room, { reader: request.reader, from }) } : {}
  return { ok: true, pos, typing: room.memory.typing.version, ...answer, ...changes, ...stickyFacts(room, now) }
}

function show(view: View, request: SliceRequest, now: number): Shown {
  const { room, reader } = view
  const { currentGroup } = room.reader.header()
  const asked = { view, request, now }
  // From outside comes news only while this server is not in the room: it is newer than what the room was then.
  const outside = room.reader.outsideMembership(reader)
  if (outside) return outsideSlice(asked, outside)
  const entry = room.reader.currentEntry('m.room.member', reader)
  if (currentGroup === undefined || !entry) return vanished(asked)
  const member = room.reader.eventOf(entry.nid)
  switch (entry.membership) {
    case 'join':
      return isWithheld(room, request) ? undefined : joinedSlice(asked, member, currentGroup)
    case 'invite':
    case 'knock':
      return strippedSlice(request, entry.membership, member, member.pos ?? 0, () => strippedStateAt(room, member))
    case 'leave':
    case 'ban':
      return room.reader.hasForgotten(reader) ? forgottenSlice(asked, member) : leftSlice(asked, member)
    default:
      return undefined
  }
}

/**
 * A client that wants to be told all members, and so knows none that it is not told of, gets a room when they are known
 * (partial-state.ts). MSC3902: "the room is omitted from /sync responses unless lazy-loading of members is enabled".
 */
function isWithheld(room: Room, request: SliceRequest): boolean {
  return room.reader.partial.isOpen && isEager(room, request)
}

/** What such a client has heard of a room that was withheld: nothing since before the join. */
function heardOf(room: Room, request: SliceRequest, from: SliceRequest['from']): SliceRequest['from'] {
  const { span } = room.reader.partial
  const isOfSpan = span && from !== null && room.reader.partial.wasOpenAt(from.pos)
  return isOfSpan && isEager(room, request) ? { pos: span.from - 1, typing: 0 } : from
}

function isEager({ reader }: Room, { filter, reader: user }: SliceRequest): boolean {
  return filter.state?.lazy_load_members !== true && reader.membership(user) === 'join'
}

/** An invite or knock, told once. Invites by ignored users are not told. Spec: client-server-api/#ignoring-users. */
function strippedSlice(
  { from, fullState, ignoredUsers }: SliceRequest,
  section: 'invite' | 'knock',
  member: StoredEvent,
  pos: number,
  events: () => JsonObject[],
): Shown {
  if (from !== null && !fullState && pos <= from.pos) return undefined
  if (section === 'invite' && ignoredUsers?.includes(member.sender)) return undefined
  return { section, room: { [`${section}_state`]: { events: events() } } }
}

/** An invite to, or knock on, a room that this server is not in, or the end of it. */
function outsideSlice(asked: Asked, outside: OutsideMembership): Shown {
  const { room, reader } = asked.view
  const { from, fullState } = asked.request
  const { membership, eventNid, pos } = outside
  const member = room.reader.eventOf(eventNid)
  if (membership === 'invite' || membership === 'knock') {
    return strippedSlice(asked.request, membership, member, pos, () => strippedStateFromOutside(room, outside))
  }
  if (from !== null && !fullState && pos <= from.pos) return undefined
  return from === null && room.reader.hasForgotten(reader) ? undefined : leftWith(asked, [member], pos - 1)
}

/**
 * "Rooms which have been forgotten will never appear" is not taken at its word: a device that knows the room has to hear,
 * once, that it is left, however soon another device had it forgotten.
 */
function forgottenSlice(asked: Asked, member: StoredEvent): Shown {
  const { from } = asked.request
  const pos = member.pos ?? 0
  if (from === null || pos <= from.pos) return undefined
  const then = membershipAt(asked.view, from.pos)
  const wasThere = then === 'join' || then === 'invite' || then === 'knock'
  return wasThere ? leftWith(asked, [member], pos - 1) : undefined
}

/** State resolution found that the reader never was in the room: there is no event to show for it. */
function vanished(asked: Asked): Shown {
  const { view, request } = asked
  if (request.from === null || membershipAt(view, request.from.pos) === undefined) return undefined
  return leftWith(asked, [], request.from.pos)
}

function leftWith(asked: Asked, events: readonly StoredEvent[], start: number): Shown {
  const state = asked.request.useStateAfter ? events : []
  const room = { ...stateJson(asked, state), timeline: timelineJson(asked, { events, limited: false, start }) }
  return { section: 'leave', room }
}
