/**
 * The slice of a room for one who left it, was kicked or banned, or whose invite or knock came to an end.
 *
 * Spec: client-server-api/#get_matrixclientv3sync "Left Room": "The timeline of messages and state changes in the room up to
 * the point when the user left." Nothing of the room that came after, neither event nor state (CVE-2024-53867); of the
 * reader's own memberships only the end of a later invite or knock.
 */
import { stateMapKey } from '#protocol/events/state-map.ts'

import { isShown } from './history-page.ts'
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
import { heldState } from './state-slice.ts'
import type { StoredEvent } from './stored-event.ts'
import { timelineSlice } from './timeline-slice.ts'
import type { View } from './visibility.ts'

/** `member` is the reader's present membership, a leave or ban. */
export function leftSlice(asked: Asked, member: StoredEvent): Shown {
  const { view, request } = asked
  const heard = request.fullState ? undefined : request.from?.pos
  if (heard !== undefined && (member.pos ?? 0) <= heard) return undefined
  const { standing } = view
  const until = standing.kind === 'departed' ? standing.until : undefined
  if (!until || (heard !== undefined && (until.pos ?? 0) <= heard)) return memberAlone(asked, member)
  return upToLeave(asked, until, member)
}

/** The client has nothing more to hear of the room than that its user is not in it. */
function memberAlone(asked: Asked, member: StoredEvent): Shown {
  const { view, request } = asked
  if (!view.mayRead(member)) return undefined
  const events = isShown(view, member, timelineChoice(request)) ? [member] : []
  const start = (member.pos ?? 1) - 1
  return {
    section: 'leave',
    room: {
      ...stateJson(asked, request.useStateAfter || events.length === 0 ? [member] : []),
      timeline: timelineJson(asked, { events, limited: false, start }),
    },
  }
}

function upToLeave(asked: Asked, until: StoredEvent, member: StoredEvent): Shown {
  const { view, request } = asked
  const { room } = view
  const { from } = request
  const upTo = until.pos ?? 0
  const isContinuous = from !== null && wasJoinedUntil(view, from.pos, until)
  const knowsTimeline = from !== null && (isContinuous || hadJoined(view, from.pos))
  const after = knowsTimeline ? from.pos : 0
  const goesOn = from !== null || request.isIncremental === true
  const timeline = timelineSlice(view, { after, upTo }, timelineLimit(request), timelineChoice(request))
  const limited = timeline.leftOut || (!isContinuous && (knowsTimeline || hasOlder(room, goesOn, timeline.start)))

  const end = until.pos === undefined ? until.stateAfter : stateGroupAt(room, upTo)
  if (end === undefined) return memberAlone(asked, member)
  const heard = isContinuous && !request.fullState ? stateGroupAt(room, from.pos) : undefined
  const state = stateEventsFor(
    asked,
    {
      held: heard === undefined ? undefined : heldState(room, heard, end),
      start: stateGroupAt(room, Math.min(timeline.start, upTo)) ?? end,
      end,
      timeline: timeline.events,
      atEnd: request.useStateAfter,
    },
    [],
    upTo,
  )
  // Invited again after they left, and that came to an end as well.
  const later = member.nid !== until.nid && view.mayRead(member) ? [member] : []
  const shown = later.filter((event) => isShown(view, event, timelineChoice(request)))
  const hidden = later.filter((event) => request.useStateAfter || !shown.includes(event))
  return {
    section: 'leave',
    room: {
      ...stateJson(asked, [...state, ...hidden]),
      timeline: timelineJson(asked, { events: [...timeline.events, ...shown], limited, start: timeline.start }),
    },
  }
}

/** Whether the reader was joined all the time from a position to the event by which they ceased to be. */
function wasJoinedUntil(view: View, pos: number, until: StoredEvent): boolean {
  const { room, reader } = view
  if (until.stateBefore === undefined || (until.pos ?? 0) <= pos) return false
  const nid = room.groups.read(until.stateBefore, stateMapKey('m.room.member', reader))
  return nid !== undefined && wasJoinedFrom(view, pos, room.reader.eventOf(nid))
}
