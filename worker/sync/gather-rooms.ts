/**
 * Fetches from each room what a reader of `/sync` has to hear of it, many rooms at a time.
 *
 * Nothing is dropped silently: a room either was served up to a version, or is named as failed, so that the token says
 * truly what its holder knows (durable-objects/user-sync/marks.ts).
 */
import { type RoomEventFilter, type RoomFilter, wantsRoom } from '#protocol/filters/filter.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { withoutSelf } from '#protocol/ignored-users.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { withFollowed } from '#protocol/push-rules/stored-rules.ts'

import type { MemberChanges } from '../../durable-objects/room/member-changes.ts'
import type { FailedRoom, ServedRoom } from '../../durable-objects/user-sync/marks.ts'
import type { AccountDataEvent } from '../../durable-objects/user-sync/account-data.ts'
import type { Read, RoomToServe } from '../../durable-objects/user-sync/read.ts'
import type { Env } from '../env.ts'
import { roomOf } from '../rooms.ts'

export interface Reader {
  readonly userId: UserId
  readonly deviceId: string
  readonly filter: RoomFilter
  readonly eventFormat: 'client' | 'federation'
  readonly fullState: boolean
  readonly useStateAfter: boolean
}

export type Section = 'join' | 'invite' | 'knock' | 'leave'

export interface GatheredRoom {
  readonly roomId: RoomId
  readonly section: Section
  readonly room: JsonObject
  readonly accountData: readonly AccountDataEvent[]
}

export interface Gathered {
  /** Rooms whose slice is not what was known when the answer was read. */
  readonly served: readonly ServedRoom[]
  readonly failed: readonly FailedRoom[]
  /** Who came and went, in each room that changed. */
  readonly memberChanges: readonly MemberChanges[]
}

/** Rooms asked at once: an account with a thousand rooms must not hold all of their slices in flight. */
const atOnce = 40
/** Pauses in ms before a slice is tried again: an object that moves or restarts is back within this. */
const pauses = [20, 200]

/** Asks the rooms and hands each to `take` as it comes, in any order; while that waits, no further rooms are asked. */
export async function gatherRooms(
  env: Env,
  reader: Reader,
  read: Read,
  take: (room: GatheredRoom) => Promise<void> | void,
): Promise<Gathered> {
  const served: ServedRoom[] = []
  const failed: FailedRoom[] = []
  const memberChanges: MemberChanges[] = []
  const queue = read.rooms.values()
  const worker = async () => {
    for (const asked of queue) {
      const { roomId, accountData, known } = asked
      const isShown = wantsRoom(reader.filter, roomId)
      if (!asked.changed) {
        if (isShown) await take({ roomId, section: 'join', room: {}, accountData })
        continue
      }
      const slice = await (isShown ? readSlice(env, reader, asked, read) : passOver(env, reader, asked, read))
      if (slice === undefined) failed.push({ roomId, from: asked.from })
      // A room that knows nothing of itself any more was purged.
      if (!slice?.ok) continue
      if (slice.memberChanges) memberChanges.push(slice.memberChanges)
      const sticky = 'sticky' in slice && slice.sticky ? { sticky: slice.sticky } : {}
      if (slice.pos !== known.pos || slice.typing !== known.typing || sticky.sticky) {
        served.push({ roomId, pos: slice.pos, typing: slice.typing, stickyFacts: slice.stickyFacts, ...sticky })
      }
      if (slice.section !== 'none') await take({ roomId, section: slice.section, room: slice.room, accountData })
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, read.rooms.length) }, worker))
  return { served, failed, memberChanges }
}

/** One room's slice; undefined when the room could not be asked. */
async function readSlice(
  env: Env,
  reader: Reader,
  { roomId, from }: RoomToServe,
  { ignoredUsers, pushRules, followed, isInitial }: Pick<Read, 'ignoredUsers' | 'pushRules' | 'followed' | 'isInitial'>,
) {
  return retried(roomId, () =>
    roomOf(env, roomId).syncSlice({
      isIncremental: !isInitial,
      reader: reader.userId,
      deviceId: reader.deviceId,
      from,
      filter: filterIn(reader.filter, roomId),
      eventFormat: reader.eventFormat,
      fullState: reader.fullState,
      useStateAfter: reader.useStateAfter,
      ignoredUsers: withoutSelf(ignoredUsers, reader.userId),
      pushRules: withFollowed(pushRules, followed, roomId),
    }),
  )
}

/**
 * A room that the filter keeps out of sight: its members' keys matter all the same, and it goes on telling what happens, since
 * the next request may have another filter.
 */
async function passOver(env: Env, { userId }: Reader, { roomId, from }: RoomToServe, { isInitial }: Read) {
  const asked = { reader: userId, from, wantsMembers: !isInitial }
  const passed = await retried(roomId, () => roomOf(env, roomId).passOver(asked))
  if (!passed) return passed === null ? ({ ok: false } as const) : undefined
  const { memberChanges, ...version } = passed
  return { ok: true, section: 'none', room: {}, ...version, ...(memberChanges ? { memberChanges } : {}) } as const
}

/** What a room answers; undefined when it could not be asked. */
async function retried<T>(roomId: RoomId, ask: () => Promise<T>): Promise<T | undefined> {
  for (const pause of [...pauses, undefined]) {
    try {
      return await ask()
    } catch (error) {
      console.error('a slice failed', roomId, error)
      if (pause !== undefined) await new Promise((resolve) => setTimeout(resolve, pause))
    }
  }
  return undefined
}

/** The filter as it applies within one room: a part which excludes the room lets nothing through. */
function filterIn({ state, timeline, ephemeral }: RoomFilter, roomId: RoomId): RoomFilter {
  const within = (part: RoomEventFilter | undefined): RoomEventFilter =>
    wantsRoom(part, roomId) ? { ...part } : { ...part, types: [] }
  return { state: within(state), timeline: within(timeline), ephemeral: within(ephemeral) }
}
