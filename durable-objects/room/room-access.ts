/**
 * Whether somebody may ask about a room at all, before it is asked what they may see of it.
 *
 * Spec: client-server-api/#getting-events-for-a-room: 403 "You aren't a member of the room and weren't previously a member
 * of the room", but for rooms whose history is world_readable (#room-previews). Rooms nobody knows answer the same, so that
 * the difference says nothing.
 */
import { fail, type Failure } from '#protocol/errors.ts'
import { historyVisibilityIn } from '#protocol/history-visibility.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import { currentStateLookup, type Room } from './room.ts'
import { type View, viewOf } from './visibility.ts'

/** The view of one who may read this room's history, state and members, as far as the view then goes. */
export function openFor(room: Room, reader: UserId): ({ readonly ok: true } & { readonly view: View }) | Failure {
  const view = viewIfInside(room, reader)
  if (!view || (view.standing.kind === 'outside' && !isWorldReadable(room))) return fail('not_in_room')
  return { ok: true, view }
}

/** The view of anyone on a room that this server is, or was, in; undefined if it is not. */
export function viewIfInside(room: Room, reader: UserId): View | undefined {
  if (!room.reader.isKnown() || room.reader.header().currentGroup === undefined) return undefined
  return viewOf(room, reader)
}

/** Whether anybody may read what happens in the room now. */
export function isWorldReadable(room: Room): boolean {
  return historyVisibilityIn(currentStateLookup(room)) === 'world_readable'
}
