/**
 * Asks rooms that have told no more while the user was away how they stand, once the user is back.
 *
 * Whoever listens by sliding sync sorts all of their rooms: a room that is silent until it is read would stay where it was.
 * Such rooms changed while the user was away, so the calls are no more than a `/sync` would have made.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'

import type { RoomChange } from '../marks.ts'
import { noteChange } from './commit-sliding.ts'
import { forgetIdle } from './connections.ts'
import type { SlidingState } from './read-sliding.ts'
import { noLongerStale } from './room-facts.ts'

/** Rooms asked at once. */
const atOnce = 20

export interface StaleRooms {
  /** How the room stands; it will tell its next change. Null where it knows nothing of itself. */
  readonly ask: (roomId: RoomId) => Promise<RoomChange | null>
  /** Called whenever something was noted. */
  readonly noted: () => void
}

/** Asks rooms, which are stale, newest activity first. One that cannot be asked stays stale until the next time. */
export async function refreshRooms(
  state: SlidingState,
  rooms: readonly RoomId[],
  { ask, noted }: StaleRooms,
): Promise<void> {
  const waiting = [...rooms]
  while (waiting.length > 0) {
    const answers = await Promise.all(waiting.splice(0, atOnce).map((roomId) => asked(ask, roomId)))
    for (const answer of answers) {
      if (!answer) continue
      if (answer.change) noteChange(state, answer.change, false)
      noLongerStale(state.sql, answer.roomId)
    }
    forgetIdle(state.sql)
    noted()
  }
}

async function asked(
  ask: StaleRooms['ask'],
  roomId: RoomId,
): Promise<{ readonly roomId: RoomId; readonly change: RoomChange | null } | undefined> {
  try {
    return { roomId, change: await ask(roomId) }
  } catch (error) {
    console.error('a room did not say how it stands', roomId, error)
    return undefined
  }
}
