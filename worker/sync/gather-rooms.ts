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
import { limiter } from '../../durable-objects/shared/limit.ts'
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
  const waiting = read.rooms.filter(({ roomId }) => wantsRoom(reader.filter, roomId))
  const queue = waiting.values()
  const worker = async () => {
    for (const asked of queue) {
      const { roomId, accountData, known } = asked
      if (!asked.changed) {
        await take({ roomId, section: 'join', room: {}, accountData })
        continue
      }
      const slice = await readSlice(env, reader, asked, read)
      if (slice === undefined) failed.push({ roomId, from: asked.from })
      // A room that knows nothing of itself any more was purged.
      if (!slice?.ok) continue
      if (slice.memberChanges) memberChanges.push(slice.memberChanges)
      if (slice.pos !== known.pos || slice.typing !== known.typing) {
        served.push({ roomId, pos: slice.pos, typing: slice.typing })
      }
      if (slice.section !== 'none') await take({ roomId, section: slice.section, room: slice.room, accountData })
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, waiting.length) }, worker))
  if (!read.isInitial) memberChanges.push(...(await changesElsewhere(env, reader, read)))
  return { served, failed, memberChanges }
}

/** One room's slice; undefined when the room could not be asked. */
async function readSlice(
  env: Env,
  reader: Reader,
  { roomId, from }: RoomToServe,
  { ignoredUsers, pushRules, followed, isInitial }: Pick<Read, 'ignoredUsers' | 'pushRules' | 'followed' | 'isInitial'>,
) {
  for (const pause of [...pauses, undefined]) {
    try {
      return await roomOf(env, roomId).syncSlice({
        memberChanges: !isInitial,
        reader: reader.userId,
        deviceId: reader.deviceId,
        from,
        filter: filterIn(reader.filter, roomId),
        eventFormat: reader.eventFormat,
        fullState: reader.fullState,
        useStateAfter: reader.useStateAfter,
        ignoredUsers: withoutSelf(ignoredUsers, reader.userId),
        pushRules: withFollowed(pushRules, followed, roomId),
      })
    } catch (error) {
      console.error('a slice failed', roomId, error)
      if (pause !== undefined) await new Promise((resolve) => setTimeout(resolve, pause))
    }
  }
  return undefined
}

/** Who came and went in rooms that the filter keeps out of sight: their keys matter all the same. */
async function changesElsewhere(env: Env, reader: Reader, read: Read): Promise<MemberChanges[]> {
  const hidden = read.rooms.filter(({ roomId, changed }) => changed && !wantsRoom(reader.filter, roomId))
  const limited = limiter(atOnce)
  return Promise.all(
    hidden.map(({ roomId, from }) => limited(() => roomOf(env, roomId).memberChanges({ reader: reader.userId, from }))),
  )
}

/** The filter as it applies within one room: a part which excludes the room lets nothing through. */
function filterIn({ state, timeline, ephemeral }: RoomFilter, roomId: RoomId): RoomFilter {
  const within = (part: RoomEventFilter | undefined): RoomEventFilter =>
    wantsRoom(part, roomId) ? { ...part } : { ...part, types: [] }
  return { state: within(state), timeline: within(timeline), ephemeral: within(ephemeral) }
}
