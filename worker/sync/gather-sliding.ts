/**
 * Asks the rooms that an answer of sliding sync is about, many at a time.
 *
 * Nothing is dropped silently: what could not be asked is not noted as given, and so is asked for again.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { withoutSelf } from '#protocol/ignored-users.ts'
import { type JsonObject, own } from '#protocol/json/json.ts'
import { withFollowed } from '#protocol/push-rules/stored-rules.ts'
import { isLazy } from '#protocol/sliding-sync/room-config.ts'

import type { MemberChanges } from '../../durable-objects/room/member-changes.ts'
import type { SlidingSlice } from '../../durable-objects/room/sliding/sliding-slice.ts'
import { limiter } from '../../durable-objects/shared/limit.ts'
import type { GivenSlice } from '../../durable-objects/user-sync/sliding/commit-sliding.ts'
import type { StickyRoom } from '../../durable-objects/user-sync/sliding/read-sticky.ts'
import type { SlidingRead, SlidingRoom } from '../../durable-objects/user-sync/sliding/sliding-read.ts'
import type { Env } from '../env.ts'
import { roomOf } from '../rooms.ts'
import { peopleIn } from './profile-updates.ts'
import { type GatheredSticky, gatherSticky, withoutShown } from './gather-sticky.ts'

const atOnce = 40
/** Pauses in ms before a room is asked again: an object that moves or restarts is back within this. */
const pauses = [20, 200]

export interface SlidingReader {
  readonly userId: UserId
  readonly deviceId: string
}

export interface GatheredSliding {
  readonly rooms: Readonly<Record<string, JsonObject>>
  readonly receipts: Readonly<Record<string, JsonObject>>
  readonly typing: Readonly<Record<string, JsonObject>>
  readonly sticky: GatheredSticky | undefined
  readonly memberChanges: readonly MemberChanges[]
  /** For the profiles extension: who is shown that the client may not know yet, and rooms of which it needs all. */
  readonly people: ReadonlySet<string>
  readonly newRooms: readonly RoomId[]
  /** Rooms of two people. */
  readonly pairs: ReadonlySet<string>
  readonly slices: readonly GivenSlice[]
  readonly hasFailures: boolean
}

export async function gatherSliding(env: Env, reader: SlidingReader, read: SlidingRead): Promise<GatheredSliding> {
  const [rooms, receipts, typing]: Record<string, JsonObject>[] = [{}, {}, {}]
  const slices: GivenSlice[] = []
  const limited = limiter(atOnce)
  const dataUpTo = new Map(read.roomAccountData.map(({ roomId, upTo }) => [roomId, upTo]))
  const people = new Set<string>()
  const newRooms: RoomId[] = []
  const pairs = new Set<string>()
  let hasFailures = false

  const take = (asked: SlidingRoom, slice: SlidingSlice | null) => {
    const { roomId } = asked
    slices.push({
      roomId,
      change: slice?.change ?? null,
      config: { ...(slice?.config ?? asked.config), ...(asked.isDirect ? { isDirect: true } : {}) },
      accountAt: dataUpTo.get(roomId) ?? asked.given?.accountAt ?? 0,
    })
    // "Must be included in an incremental sync if the DM state changes."
    const wasDirect = asked.given?.config.isDirect === true
    const isOther = asked.given !== null && wasDirect !== asked.isDirect
    const direct = asked.isDirect || isOther ? { is_dm: asked.isDirect } : {}
    if (slice?.isPair) pairs.add(roomId)
    if (slice && (slice.room || isOther) && rooms) rooms[roomId] = { ...slice.room, ...direct }
    if (slice?.room && asked.profiles) {
      if (isLazy(asked.config))
        for (const id of peopleIn(slice.room, own(slice.room, 'initial') === true)) people.add(id)
      else if (asked.given === null && asked.membership === 'join') newRooms.push(roomId)
    }
    if (slice?.receipt && receipts) receipts[roomId] = slice.receipt
    if (slice?.typing && typing) typing[roomId] = slice.typing
  }
  const ask = async (asked: SlidingRoom) => {
    const slice = await retried(asked.roomId, () =>
      roomOf(env, asked.roomId).slidingSlice(sliceRequest(reader, read, asked)),
    )
    if (!slice) hasFailures = true
    // A room that knows nothing of itself any more was purged.
    else take(asked, slice.ok ? slice : null)
  }
  const askMembers = async ({ roomId, from }: SlidingRead['memberRooms'][number]) => {
    const changes = await retried(roomId, () => roomOf(env, roomId).memberChanges({ reader: reader.userId, from }))
    // Without these the client would encrypt for others than are there.
    if (!changes) throw new Error('a room did not say who came and went')
    return changes
  }
  const askSticky = ({ roomId, after, upTo }: StickyRoom, limit: number) =>
    retried(roomId, () => {
      const ignoredUsers = withoutSelf(read.ignoredUsers, reader.userId)
      return roomOf(env, roomId).stickyEvents({
        reader: reader.userId,
        deviceId: reader.deviceId,
        after,
        upTo,
        limit,
        ignoredUsers,
      })
    })
  const [memberChanges, sticky] = await Promise.all([
    Promise.all(read.memberRooms.map((asked) => limited(() => askMembers(asked)))),
    gatherSticky(read, (room, limit) => limited(() => askSticky(room, limit))),
    Promise.all(read.rooms.map((asked) => limited(() => ask(asked)))),
  ])
  if (sticky?.hasFailures) hasFailures = true
  const shown = { rooms: rooms ?? {}, receipts: receipts ?? {}, typing: typing ?? {} }
  const others = { sticky: withoutShown(sticky, shown.rooms), memberChanges, people, newRooms }
  return { ...shown, ...others, slices, pairs, hasFailures }
}

function sliceRequest({ userId, deviceId }: SlidingReader, read: SlidingRead, asked: SlidingRoom) {
  const { given, config, liveAfter, receipts, typing } = asked
  const ignoredUsers = withoutSelf(read.ignoredUsers, userId)
  const pushRules = withFollowed(read.pushRules, read.followed, asked.roomId)
  const connection = String(read.connection)
  return { reader: userId, deviceId, connection, given, config, liveAfter, receipts, typing, ignoredUsers, pushRules }
}

async function retried<T>(roomId: RoomId, call: () => Promise<T>): Promise<T | undefined> {
  for (const pause of [...pauses, undefined]) {
    try {
      return await call()
    } catch (error) {
      console.error('a room could not be asked', roomId, error)
      if (pause !== undefined) await new Promise((resolve) => setTimeout(resolve, pause))
    }
  }
  return undefined
}
