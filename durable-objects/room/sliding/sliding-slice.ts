/**
 * What one reader has to hear of this room over sliding sync.
 *
 * Spec: MSC4186 "Room response". All of it is read in one synchronous turn, in which the caller also makes the reader
 * tellable again. The same rules of visibility hold as for `/sync`: nothing of the room that came after a leave or ban, and
 * of an invite only what stripped state says.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import type { RoomPushRules } from '#protocol/push-rules/stored-rules.ts'
import type { RoomConfig } from '#protocol/sliding-sync/room-config.ts'

import type { RoomChange } from '../../user-sync/marks.ts'
import type { Room } from '../room.ts'
import type { Asked } from '../slice.ts'
import { strippedStateAt, strippedStateFromOutside } from '../stripped-state.ts'
import { countsOf } from '../summary.ts'
import { viewOf } from '../visibility.ts'
import { insideSlice } from './inside-slice.ts'
import { listFacts } from './list-facts.ts'

export interface SlidingSliceRequest {
  readonly reader: UserId
  readonly deviceId: string
  /** Names the connection among those of the device. */
  readonly connection: string
  /** What the client has of the room; null for nothing. */
  readonly given: {
    readonly pos: number
    readonly typing: number
    readonly membership: string
    readonly config: RoomConfig
  } | null
  readonly config: RoomConfig
  /** Events after this position are live; -1: those since the reader came; null: none. */
  readonly liveAfter: number | null
  readonly receipts: boolean
  readonly typing: boolean
  readonly ignoredUsers: readonly string[]
  readonly pushRules: RoomPushRules
}

export interface SlidingSlice {
  /** How the room stood; the client has heard all of it up to there. */
  readonly change: RoomChange
  /** No more than two people are in the room, or invited. */
  readonly isPair: boolean
  /** Undefined where there is nothing to show. */
  readonly room?: JsonObject
  /** Events for the extensions. */
  readonly receipt?: JsonObject
  readonly typing?: JsonObject
  /** What the client has of the room now, which is less than it had where the timeline has a gap. */
  readonly config: RoomConfig
}

export type Parts = Pick<SlidingSlice, 'room' | 'receipt' | 'typing' | 'config'>

/** A request on its way through the functions that answer it; as `Asked`, with what sliding sync adds. */
export interface SlidingAsked extends Asked {
  readonly sliding: SlidingSliceRequest
  /** `bump_stamp` of the room. */
  readonly bump: number | undefined
}

/** The slice for a reader, `now` in milliseconds since 1970. Fails with `unknown_room`. */
export function slidingSlice(room: Room, request: SlidingSliceRequest, now: number): Outcome<SlidingSlice> {
  if (!room.reader.isKnown()) return fail('unknown_room')
  const { roomId, pos } = room.reader.header()
  // From a position that lies ahead, as after a restore: what the client was given is not this room's past.
  const given = request.given !== null && request.given.pos > pos ? null : request.given
  const membership = room.reader.membership(request.reader) ?? 'leave'
  const change: RoomChange = { roomId, pos, typing: room.memory.typing.version, membership }
  const { joined, invited: awaited } = countsOf(room)
  return { ok: true, change, isPair: joined + awaited <= 2, ...show(room, { ...request, given }, membership, now) }
}

function show(room: Room, sliding: SlidingSliceRequest, membership: string, now: number): Parts {
  const { reader, config, given } = sliding
  if (membership === 'invite' || membership === 'knock') return { config, ...invited(room, sliding, membership) }
  // From outside there is no state, and no event but the end of the invite or knock.
  const outside = room.reader.outsideMembership(reader)
  const member = outside ? room.reader.eventOf(outside.eventNid) : room.reader.current('m.room.member', reader)
  const view = viewOf(room, reader)
  const asked: SlidingAsked = {
    view,
    request: syncRequest(sliding),
    sliding,
    now,
    bump: listFacts(room, reader, now)?.bump,
  }
  if (room.reader.hasForgotten(reader) && given === null) return { config }
  return insideSlice(asked, { membership, member, isOutside: outside !== undefined })
}

/** The parts that sliding sync has in common with `/sync` read this form of the request. */
function syncRequest({ reader, deviceId, given, config, ignoredUsers, pushRules }: SlidingSliceRequest) {
  return {
    reader,
    deviceId,
    from: given && { pos: given.pos, typing: given.typing },
    filter: { timeline: { limit: config.timelineLimit } },
    fullState: false,
    useStateAfter: true,
    ignoredUsers,
    pushRules,
  }
}

/** An invite or knock, told once. */
function invited(room: Room, { reader, given }: SlidingSliceRequest, membership: string): Pick<SlidingSlice, 'room'> {
  const outside = room.reader.outsideMembership(reader)
  const member = outside ? room.reader.eventOf(outside.eventNid) : room.reader.current('m.room.member', reader)
  if (!member) return {}
  const pos = outside ? outside.pos : (member.pos ?? 0)
  if (given?.membership === membership && pos <= given.pos) return {}
  const state = outside ? strippedStateFromOutside(room, outside) : strippedStateAt(room, member)
  return { room: { initial: true, ...namesIn(state), bump_stamp: member.origin_server_ts, invite_state: state } }
}

function namesIn(state: readonly JsonObject[]): JsonObject {
  const text = (type: string, key: string) => {
    const content = state.find((event) => event['type'] === type && event['state_key'] === '')?.['content']
    const value = typeof content === 'object' && content !== null && !Array.isArray(content) ? content : undefined
    return value && Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined
  }
  const [name, avatar] = [text('m.room.name', 'name'), text('m.room.avatar', 'url')]
  return {
    ...(typeof name === 'string' && name !== '' ? { name } : {}),
    ...(typeof avatar === 'string' && avatar !== '' ? { avatar } : {}),
  }
}
