/**
 * Where a thread stands in this room, for somebody who subscribes to it.
 *
 * Spec: MSC4306. The thread's root has to be an event that the user may see. An automatic subscription names its cause, an
 * event in the thread; positions say whether that came before an unsubscription.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import { visibleEvent } from './event-by-id.ts'
import { relationOf } from './relations.ts'
import { viewIfInside } from './room-access.ts'
import type { Room } from './room.ts'

export interface ThreadPlaceRequest {
  readonly reader: UserId
  readonly root: EventId
  readonly cause?: EventId | undefined
}

/** `pos`: where the room stands; `causedAt`: where the cause does. Fails with `unknown_event` or `not_in_thread`. */
export function threadPlace(
  room: Room,
  { reader, root, cause }: ThreadPlaceRequest,
): Outcome<{ pos: number; causedAt: number | null }> {
  const view = viewIfInside(room, reader)
  if (!view || !visibleEvent(view, root)) return fail('unknown_event')
  const { pos } = room.reader.header()
  if (cause === undefined) return { ok: true, pos, causedAt: null }
  const event = visibleEvent(view, cause)
  if (!event) return fail('unknown_event')
  const relation = relationOf(event.pdu)
  if (relation?.relType !== 'm.thread' || relation.parent !== root) return fail('not_in_thread')
  // What was fetched to fill the past happened before anything that was live here.
  return { ok: true, pos, causedAt: event.pos ?? 0 }
}
