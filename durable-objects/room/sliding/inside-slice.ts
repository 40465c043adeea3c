/**
 * The slice of a room for one who is in it, or was until now.
 *
 * Spec: MSC4186 "Room response". A client that was given the room before gets what changed; one that was not, or whose user
 * was out of the room meanwhile, gets it anew (`initial`). Where it asks for a longer timeline than it was given, it gets
 * the newest events again, as many as it asks for (`expanded_timeline`).
 */
import { isObject, type JsonObject } from '#protocol/json/json.ts'
import { roomConfig, type RoomConfig } from '#protocol/sliding-sync/room-config.ts'

import { stateMapKey } from '#protocol/events/state-map.ts'
import { stateEvent } from '../client-event.ts'
import { eventFormat, hasOlder, timelineChoice, timelineJson, wasJoinedFrom } from '../slice.ts'
import { stateGroupAt } from '../state-at.ts'
import { type Held, heldState } from '../state-slice.ts'
import type { GroupId, StoredEvent } from '../stored-event.ts'
import { type TimelineSlice, timelineSlice } from '../timeline-slice.ts'
import { unreadCounts } from '../unread.ts'
import { ephemeralFor } from './ephemeral.ts'
import { bumpTypes } from './list-facts.ts'
import { metaOf } from './meta.ts'
import { requiredState } from './required-state.ts'
import type { Parts, SlidingAsked } from './sliding-slice.ts'

export interface Standing {
  readonly membership: string
  /** The reader's member event; undefined where state resolution took it away. */
  readonly member: StoredEvent | undefined
  /** This server is not in the room. */
  readonly isOutside: boolean
}

/** What the client is shown: the timeline, and between which states. */
export interface Span {
  readonly initial: boolean
  readonly expanded: boolean
  readonly timeline: (TimelineSlice & { readonly limited: boolean }) | undefined
  readonly held: Held | undefined
  readonly end: GroupId
}

export function insideSlice(asked: SlidingAsked, { membership, member, isOutside }: Standing): Parts {
  const { view, sliding } = asked
  const { room } = view
  const { given, config } = sliding
  const { pos, currentGroup } = room.reader.header()
  const hasLeft = membership !== 'join'
  if (hasLeft && given && (given.membership === 'leave' || given.membership === 'ban')) return { config }
  // Never in, or in no more by nothing that could be shown: the client hears that it is over, and no more.
  const until = view.standing.kind === 'departed' ? view.standing.until : undefined
  const isIn = view.standing.kind === 'joined'
  if (isOutside || !member || currentGroup === undefined || (!isIn && !until))
    return { config, room: overJson(asked, member) }
  const upTo = until ? (until.pos ?? pos) : pos
  const end = until ? stateGroupAt(room, upTo) : currentGroup
  if (end === undefined) return { config, room: overJson(asked, member) }

  const lastJoin = until ? undefined : member
  const isContinuous =
    given !== null && given.membership === 'join' && given.pos <= upTo && stayed(asked, given.pos, lastJoin, until)
  const initial = !isContinuous
  const from = isContinuous ? given.pos : 0
  const expanded = !initial && config.timelineLimit > (given?.config.timelineLimit ?? 0)
  const timeline = timelineOf(asked, { after: initial || expanded ? 0 : from, upTo })
  const heldGroup = initial ? undefined : stateGroupAt(room, from)
  const held = heldGroup === undefined ? undefined : heldState(room, heldGroup, end)
  const span: Span = { initial: initial || held === undefined, expanded, timeline, held, end }

  const state = requiredState(asked, span, hasLeft ? member : undefined)
  const meta = metaOf(asked, span, hasLeft)
  const ephemeral = ephemeralFor(asked, span, isIn)
  const isNews =
    span.initial ||
    expanded ||
    hasLeft ||
    (timeline?.events.length ?? 0) > 0 ||
    timeline?.limited === true ||
    state.length > 0 ||
    Object.keys(meta).length > 0 ||
    ephemeral.hasRead
  const json: JsonObject = {
    ...(span.initial ? { initial: true } : {}),
    ...(expanded ? { expanded_timeline: true, unstable_expanded_timeline: true } : {}),
    ...meta,
    ...bumpStamp(asked, span, membership, member),
    ...(state.length > 0 ? { required_state: state } : {}),
    ...timelineParts(asked, span, member),
    ...(isIn && member ? counts(asked, member) : { notification_count: 0, highlight_count: 0 }),
  }
  return {
    ...(isNews ? { room: json } : {}),
    ...ephemeral.events,
    config: givenConfig(config, given?.config, span),
  }
}

/** All that is left to say of a room that the user never was in, or that this server is in no more. */
function overJson(asked: SlidingAsked, member: StoredEvent | undefined): JsonObject {
  const event = member && stateEvent(asked.view, member, eventFormat(asked))
  return {
    ...(asked.sliding.given ? {} : { initial: true }),
    ...(event ? { required_state: [event], timeline: [event], limited: false, num_live: 1 } : {}),
    ...(member ? { bump_stamp: member.origin_server_ts } : {}),
    notification_count: 0,
    highlight_count: 0,
  }
}

/** Whether the reader was joined all the time from a position until now, or until they left. */
function stayed(
  { view }: SlidingAsked,
  pos: number,
  join: StoredEvent | undefined,
  until: StoredEvent | undefined,
): boolean {
  if (join) return wasJoinedFrom(view, pos, join)
  const before = until?.stateBefore
  if (before === undefined) return false
  const nid = view.room.groups.read(before, stateMapKey('m.room.member', view.reader))
  return nid !== undefined && wasJoinedFrom(view, pos, view.room.reader.eventOf(nid))
}

function timelineOf(asked: SlidingAsked, span: { readonly after: number; readonly upTo: number }): Span['timeline'] {
  const { view, request, sliding } = asked
  const { timelineLimit } = sliding.config
  if (timelineLimit <= 0) return undefined
  const slice = timelineSlice(view, span, timelineLimit, timelineChoice(request))
  return { ...slice, limited: slice.leftOut || (span.after === 0 && hasOlder(view.room, false, slice.start)) }
}

function timelineParts(asked: SlidingAsked, { timeline, initial }: Span, member: StoredEvent): JsonObject {
  if (!timeline || (!initial && timeline.events.length === 0 && !timeline.limited)) return {}
  const { events, limited, prev_batch } = timelineJson(asked, timeline)
  return {
    ...(Array.isArray(events) && events.length > 0 ? { timeline: events } : {}),
    limited: limited ?? false,
    ...(prev_batch === undefined ? {} : { prev_batch }),
    num_live: liveEvents(asked, timeline, initial, member),
  }
}

/** "The number of timeline events which have just occurred": from the end of the timeline. */
function liveEvents({ sliding }: SlidingAsked, timeline: TimelineSlice, initial: boolean, member: StoredEvent): number {
  const { liveAfter, given } = sliding
  if (liveAfter === null) return 0
  const known = liveAfter < 0 ? (member.pos ?? 0) - 1 : liveAfter
  const after = initial ? known : Math.max(known, given?.pos ?? 0)
  return timeline.events.filter(({ pos }) => (pos ?? 0) > after).length
}

/** `bump_stamp`, where it may be another than the client knows. */
function bumpStamp(asked: SlidingAsked, span: Span, membership: string, member: StoredEvent): JsonObject {
  const { timeline, initial } = span
  const changed = timeline?.events.some(({ type }) => bumpTypes.has(type))
  if (!initial && !span.expanded && timeline && !timeline.limited && changed !== true && membership === 'join')
    return {}
  return { bump_stamp: asked.bump ?? member.origin_server_ts }
}

function counts({ view, request }: SlidingAsked, member: StoredEvent): JsonObject {
  const { pushRules = {}, ignoredUsers = [] } = request
  const { unread_notifications: all } = unreadCounts(view, member, { pushRules, ignoredUsers, byThread: false })
  return isObject(all) ? all : {}
}

/**
 * What the client has now. Where the timeline has a gap it has no more than this; without one, all that it had and this. The
 * state that it has no wish for any more is not kept up to date, and counts as not given.
 */
function givenConfig(
  config: RoomConfig,
  before: RoomConfig | undefined,
  { initial, expanded, timeline }: Span,
): RoomConfig {
  if (initial || expanded || !before || timeline?.limited === true) return config
  return roomConfig(Math.max(before.timelineLimit, config.timelineLimit), config.requiredState)
}
