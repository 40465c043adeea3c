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

/** Rooms asked at once. */
const atOnce = 20

export interface StaleRooms {
  /** How the room stands; it will tell its next change. Null where it knows nothing of itself. */
  readonly ask: (roomId: RoomId) => Promise<RoomChange | null>
  /** Called whenever something was noted. */
  readonly noted: () => void
}

export function countStaleRooms({ index }: SlidingState): number {
  return [...staleRooms(index)].length
}

/** Asks all of them, newest activity first. A room that cannot be asked stays stale until the next time. */
export async function refreshRooms(state: SlidingState, { ask, noted }: StaleRooms): Promise<void> {
  const stale = [...staleRooms(state.index)].sort((a, b) => b.bump - a.bump).map(({ roomId }) => roomId)
  while (stale.length > 0) {
    const changes = await Promise.all(stale.splice(0, atOnce).map((roomId) => asked(ask, roomId)))
    for (const change of changes) if (change) noteChange(state, change, false)
    forgetIdle(state.sql)
    noted()
  }
}

async function asked(ask: StaleRooms['ask'], roomId: RoomId): Promise<RoomChange | null> {
  return ask(roomId).catch((error: unknown) => {
    console.error('a room did not say how it stands', roomId, error)
    return null
  })
}

function* staleRooms(index: SlidingState['index']) {
  for (const room of index.rooms().values()) if (room.isStale && room.membership === 'join') yield room
}
