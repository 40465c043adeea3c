/**
 * Paging through the events that relate to one event.
 *
 * Spec: client-server-api/#get_matrixclientv1roomsroomidrelationseventid, data/api/client-server/relations.yaml. Order and
 * tokens are those of `messages.ts`.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { formatTimelineToken, parseTimelineToken } from '#protocol/sync/timeline-token.ts'

import { timelineEvents } from './bundled-events.ts'
import type { ClientEvent } from './client-event.ts'
import { visibleEvent } from './event-by-id.ts'
import { readPage } from './history-page.ts'
import { type Direction, planWalk } from './history-walk.ts'
import { outermost } from './messages.ts'
import { childRows, descendantRows, recursionDepth } from './relations.ts'
import { viewIfInside } from './room-access.ts'
import type { Room } from './room.ts'

export interface RelatedRequest {
  readonly reader: UserId
  readonly deviceId?: string
  /** The parent. */
  readonly eventId: EventId
  readonly relType?: string | undefined
  readonly eventType?: string | undefined
  readonly dir: Direction
  /** Tokens of `timeline-token.ts`. */
  readonly from?: string
  readonly to?: string
  readonly limit: number
  /** Undefined where the client did not say: then the answer does not say either how deep it went. */
  readonly recurse?: boolean | undefined
  readonly ignoredUsers: readonly string[]
}

export interface RelatedEvents {
  readonly chunk: readonly ClientEvent[]
  readonly next_batch?: string
  readonly prev_batch?: string
  readonly recursion_depth?: number
}

/**
 * A page of children that the reader may see; `unknown_event` if "the parent event was not found or the user does not have
 * permission to read this event".
 */
export function relatedEvents(room: Room, request: RelatedRequest, now: number): Outcome<RelatedEvents> {
  const { dir, eventId: parent, relType, eventType, recurse, ignoredUsers, deviceId } = request
  const view = viewIfInside(room, request.reader)
  if (!view || !visibleEvent(view, parent)) return fail('unknown_event')
  const from = request.from === undefined ? outermost(view, dir) : parseTimelineToken(request.from)
  const to = request.to === undefined ? undefined : parseTimelineToken(request.to)
  if (!from) return fail('invalid_param', 'from is not a token of this room')
  if (request.to !== undefined && !to) return fail('invalid_param', 'to is not a token of this room')

  const rows = (recurse ? descendantRows : childRows)(room, { parent, relType, eventType })
  const walk = planWalk(room.reader, dir, from, to)
  const page = walk ? readPage(view, walk, request.limit, { ignoredUsers }, rows) : undefined
  return {
    ok: true,
    chunk: timelineEvents(view, page?.events ?? [], { now, deviceId, withRoomId: true, ignoredUsers }),
    ...(page?.next ? { next_batch: formatTimelineToken(page.next) } : {}),
    ...(request.from === undefined ? {} : { prev_batch: request.from }),
    ...(recurse === undefined ? {} : { recursion_depth: recurse ? recursionDepth : 0 }),
  }
}
