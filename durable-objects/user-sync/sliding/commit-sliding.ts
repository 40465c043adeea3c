/**
 * Notes what an answer of sliding sync gave of each room, before it is sent.
 *
 * A slice that went further than the room had told is news of the room like any other: the room takes the reader for
 * informed now, and would not tell it again.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { RoomConfig } from '#protocol/sliding-sync/room-config.ts'
import { formatPos } from '#protocol/sliding-sync/tokens.ts'
import type { ProfileFields } from '#protocol/sync/profile-fields.ts'

import { applyRoomChange, type Membership, type RoomChange, roomKnown } from '../marks.ts'
import { noteAnswer, type Given } from './connections.ts'
import type { SlidingState } from './read-sliding.ts'
import { noteFacts } from './room-facts.ts'

export interface GivenSlice {
  readonly roomId: RoomId
  /** How the room was when its slice was read; null where it knows nothing of itself any more. */
  readonly change: RoomChange | null
  /** What the client has of it now. */
  readonly config: RoomConfig
  readonly accountAt: number
}

export interface SlidingAnswer {
  readonly connection: number
  readonly turn: number
  readonly after: number
  readonly afterRead: number
  readonly read: number
  readonly slices: readonly GivenSlice[]
  /** Rooms of which the client got account data only. */
  readonly others: readonly (readonly [RoomId, Given])[]
  /** Fields of profiles that the client follows with it. */
  readonly profiles: ProfileFields
  /** False: nothing of the answer is worth sending, and it is not sent. */
  readonly isShown: boolean
  /** The client's keys have to do with it, and another request of the same device is about those. */
  readonly keysToDo: boolean
}

/** `pos`: the client's next one; undefined where the connection moved on meanwhile, or ended. `isNews`: others have to hear. */
export function commitSliding(
  state: SlidingState,
  answer: SlidingAnswer,
): { readonly pos: string | undefined; readonly isNews: boolean } {
  const { sql, stream, index } = state
  if (state.turns.isOver(answer.connection, answer.turn)) return { pos: undefined, isNews: false }
  let isNews = false
  const given = new Map<RoomId, Given>(answer.others)
  for (const slice of answer.slices) {
    const { roomId, change } = slice
    const before = roomKnown(sql, roomId)
    if (change && noteChange(state, change, false)) isNews = true
    const known = roomKnown(sql, roomId)
    if (!before || !known) continue
    given.set(roomId, {
      ...versionOf(change, before, known, answer.read),
      config: slice.config,
      accountAt: slice.accountAt,
    })
    index.changed(roomId)
  }
  const { connection, after } = answer
  const number = noteAnswer(sql, { ...answer, given })
  if (number === undefined) return { pos: undefined, isNews }
  state.given.noted(connection, after, { number, given })
  return { pos: formatPos({ connection, answer: number }, stream.epoch), isNews }
}

interface Known {
  readonly pos: number
  readonly typing: number
  readonly membership: Membership
  readonly changedAt: number
}

/** How far the client has come. Where the slice is as new as what is known, it *is* what is known: nothing compares twice. */
function versionOf(
  change: RoomChange | null,
  before: Known,
  known: Known,
  read: number,
): Pick<Given, 'pos' | 'typing' | 'membership'> {
  if (!change) return known
  if (change.pos < known.pos && before.changedAt > read) return change
  // Of lists of typing users told since, this slice may be an older one.
  const typing = before.changedAt > read ? change.typing : known.typing
  return { pos: Math.max(change.pos, known.pos), typing, membership: known.membership }
}

/** Notes what a room told. False where it is nothing new. `isStale`: it will not tell the next change. */
export function noteChange({ sql, stream, index }: SlidingState, change: RoomChange, isStale: boolean): boolean {
  const isNews = applyRoomChange(sql, stream, change)
  if (change.facts) noteFacts(sql, stream, { ...change, facts: change.facts }, isStale && change.membership === 'join')
  index.changed(change.roomId)
  return isNews
}
