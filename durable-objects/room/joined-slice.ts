/**
 * The slice of a room for one who is joined to it.
 *
 * Spec: client-server-api/#get_matrixclientv3sync "Joined Room". A client that was joined all the time since it heard of the
 * room gets what changed. One that was not, be it for a moment, gets the room's state anew and a timeline that is `limited`,
 * since it may have missed what its user has since been allowed to see.
 */
import { passesFilter } from '#protocol/filters/filter.ts'
import type { JsonObject } from '#protocol/json/json.ts'

import { receiptEvents } from './receipts.ts'
import {
  type Asked,
  hadJoined,
  hasOlder,
  type Shown,
  stateEventsFor,
  stateJson,
  timelineChoice,
  timelineJson,
  timelineLimit,
  wasJoinedFrom,
} from './slice.ts'
import { stateGroupAt } from './state-at.ts'
import { stickySection } from './sticky/sticky-slice.ts'
import { heldState, membersChanged } from './state-slice.ts'
import type { GroupId, StoredEvent } from './stored-event.ts'
import { summaryFor } from './summary.ts'
import { timelineSlice } from './timeline-slice.ts'
import { typistsFor } from './typing.ts'
import { unreadCounts } from './unread.ts'

/** `member` is the reader's join, `group` the current state. */
export function joinedSlice(asked: Asked, member: StoredEvent, group: GroupId): Shown {
  const { view, request } = asked
  const { room, reader } = view
  const { from } = request
  const { pos } = room.reader.header()
  if (from?.pos === pos && !from.sticky && !request.fullState) return nothingButTyping(asked, from)
  const isContinuous = from !== null && wasJoinedFrom(view, from.pos, member)

  const knowsTimeline = from !== null && (isContinuous || hadJoined(view, from.pos))
  const after = knowsTimeline ? from.pos : 0
  const goesOn = from !== null || request.isIncremental === true
  const timeline = timelineSlice(view, { after, upTo: pos }, timelineLimit(request), timelineChoice(request))
  const limited = timeline.leftOut || (!isContinuous && (knowsTimeline || hasOlder(room, goesOn, timeline.start)))

  const heard = isContinuous && !request.fullState ? stateGroupAt(room, from.pos) : undefined
  const held = heard === undefined ? undefined : heldState(room, heard, group)
  const sticky = stickySection(asked, isContinuous, timeline.events)
  const summary = held && !membersChanged(held) ? undefined : summaryFor(room, reader)
  const state = stateEventsFor(
    asked,
    {
      held,
      start: stateGroupAt(room, timeline.start) ?? group,
      end: group,
      timeline: timeline.events,
      atEnd: request.useStateAfter,
    },
    // Whoever is heard of by a sticky event only is in the room none the less, as far as a client with lazy loading knows.
    [...(summary?.heroes ?? []), ...sticky.senders],
    pos,
  )
  return {
    section: 'join',
    room: {
      ...(summary ? { summary: summary.json } : {}),
      ...stateJson(asked, state),
      timeline: timelineJson(asked, { ...timeline, limited }),
      ...sticky.json,
      ephemeral: { events: ephemeral(asked, isContinuous ? from : null) },
      ...unread(asked, member),
    },
    ...(sticky.rest ? { sticky: sticky.rest } : {}),
  }
}

function unread({ view, request }: Asked, member: StoredEvent): JsonObject {
  const { pushRules, ignoredUsers = [], filter } = request
  if (!pushRules) return {}
  // As it was called before v1.4, the answer too.
  const older = 'org.matrix.msc3773.unread_thread_notifications'
  const { unread_thread_notifications: isAsked, [older]: isAskedOlder } = filter.timeline ?? {}
  const counts = unreadCounts(view, member, {
    pushRules,
    ignoredUsers,
    byThread: isAsked === true || isAskedOlder === true,
  })
  const { unread_thread_notifications: threads, ...main } = counts
  if (threads === undefined) return main
  return {
    ...main,
    ...(isAsked ? { unread_thread_notifications: threads } : {}),
    ...(isAskedOlder ? { [older]: threads } : {}),
  }
}

/** The room stands where the client has heard of it. */
function nothingButTyping(asked: Asked, from: { pos: number; typing: number }): Shown {
  const timeline = timelineJson(asked, { events: [], limited: false, start: from.pos })
  return {
    section: 'join',
    room: { ...stateJson(asked, []), timeline, ephemeral: { events: ephemeral(asked, from) } },
  }
}

function ephemeral({ view, request }: Asked, from: { pos: number; typing: number } | null): JsonObject[] {
  const { typing } = view.room.memory
  const isNews = from === null ? !typing.isQuiet : from.typing !== typing.version
  const { ignoredUsers = [] } = request
  const typists = isNews ? typistsFor(view.room, ignoredUsers) : []
  const events = [
    ...receiptEvents(view, from?.pos ?? 0, ignoredUsers),
    ...(isNews ? [{ type: 'm.typing', content: { user_ids: typists } }] : []),
  ]
  return events.filter((event) => passesFilter(request.filter.ephemeral, event))
}
