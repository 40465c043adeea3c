/**
 * The sticky events that a reader of `/sync` has not heard of.
 *
 * Spec: MSC4354 "Sync API changes": "regardless of whether the sticky event falls within the timeline limit"; "if a sticky
 * event appears in the timeline section, it MUST NOT be included" here; the timeline's filter comes first, no other applies;
 * history visibility does not. "When the user joins a room, the server MUST include all unexpired sticky events". "If there are
 * too many to deliver at once, they will be delivered in subsequent responses": the oldest come first.
 */
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { mostStickyEvents, stickyDurationOf } from '#protocol/sticky-events.ts'

import type { StickyRest } from '../../user-sync/marks.ts'
import { type ClientEvent, timelineEvent } from '../client-event.ts'
import type { Room } from '../room.ts'
import { type Asked, eventFormat } from '../slice.ts'
import type { StoredEvent } from '../stored-event.ts'
import { type View, viewOf } from '../visibility.ts'
import { hasSticky, stickyBetween } from './sticky-rows.ts'

export interface StickyChoice {
  readonly after: number
  readonly upTo: number
  readonly limit: number
  /** Positions of those that the client has. */
  readonly shown: ReadonlySet<number>
  /** "As with normal events, sticky events sent by ignored users MUST NOT be delivered to clients." */
  readonly ignoredUsers: readonly string[]
}

export interface Chosen {
  readonly events: readonly StoredEvent[]
  readonly positions: readonly number[]
  /** How far that goes: up to where it was asked for, or there may be more. */
  readonly upTo: number
}

/** Events that are passed over for one answer: nobody makes others read all that they say for nothing. */
const mostPassed = 1000

/** Sticky events between two positions, oldest first; `now` in ms since 1970. */
export function stickyEvents(view: View, choice: StickyChoice, now: number): Chosen {
  const { limit, shown, ignoredUsers } = choice
  const events: StoredEvent[] = []
  const positions: number[] = []
  const { room } = view
  let passed = 0
  const isPassed = (event: StoredEvent, pos: number) =>
    shown.has(pos) ||
    view.isOver(event) ||
    stickyDurationOf(event.pdu.json) === undefined ||
    (event.state_key === undefined && ignoredUsers.includes(event.sender))
  for (const { nid, pos } of stickyBetween(room, choice, now)) {
    const event = room.reader.eventOf(nid)
    if (isPassed(event, pos)) {
      if (++passed === mostPassed) return { events, positions, upTo: pos }
      continue
    }
    if (events.length === limit) return { events, positions, upTo: positions.at(-1) ?? choice.after }
    events.push(event)
    positions.push(pos)
  }
  return { events, positions, upTo: choice.upTo }
}

export interface StickyRequest extends Omit<StickyChoice, 'shown'> {
  readonly reader: UserId
  readonly deviceId: string
}

export interface StickyPage {
  readonly events: readonly ClientEvent[]
  /** Their positions, in the same order. */
  readonly positions: readonly number[]
  /** How far that goes. */
  readonly upTo: number
}

/** For sliding sync: what is sticky between two positions, as one gets it who is joined. `now` in ms since 1970. */
export function stickyPage(room: Room, request: StickyRequest, now: number): StickyPage {
  const { reader, deviceId } = request
  if (!hasSticky(room, now) || room.reader.membership(reader) !== 'join') {
    return { events: [], positions: [], upTo: request.upTo }
  }
  const view = viewOf(room, reader)
  const { events, ...page } = stickyEvents(view, { ...request, shown: new Set() }, now)
  const format = { now, deviceId, withRoomId: false }
  return { events: events.map((event) => timelineEvent(view, event, format)), ...page }
}

/** What a section of `/sync` has of sticky events. */
export interface StickySection {
  readonly json: JsonObject
  readonly senders: readonly UserId[]
  /** What the next answer goes on with. */
  readonly rest: StickyRest | undefined
}

const none: StickySection = { json: {}, senders: [], rest: undefined }

/** For one who is joined. `isContinuous`: and was so all the time since the client heard of the room. */
export function stickySection(asked: Asked, isContinuous: boolean, timeline: readonly StoredEvent[]): StickySection {
  const { view, request, now } = asked
  if (!hasSticky(view.room, now)) return none
  const { from, ignoredUsers = [] } = request
  const heard =
    isContinuous && from !== null ? (from.sticky ?? { after: from.pos, shown: [] }) : { after: 0, shown: [] }
  const inTimeline = timeline.flatMap(({ pos, pdu }) =>
    pos !== undefined && stickyDurationOf(pdu.json) !== undefined ? [pos] : [],
  )
  const shown = new Set([...heard.shown, ...inTimeline])
  const { pos: upTo } = view.room.reader.header()
  const choice = { after: heard.after, upTo, limit: mostStickyEvents, shown, ignoredUsers }
  const { events, upTo: last } = stickyEvents(view, choice, now)
  const format = eventFormat(asked)
  return {
    json:
      events.length === 0
        ? {}
        : { msc4354_sticky: { events: events.map((event) => timelineEvent(view, event, format)) } },
    senders: events.map(({ sender }) => sender),
    rest: last === upTo ? undefined : { after: last, shown: [...shown].filter((pos) => pos > last) },
  }
}
