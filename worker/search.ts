/**
 * A search over the rooms of a user: each room finds and judges its own, here the answers are merged.
 *
 * Spec: client-server-api/#server-side-search: "events in all rooms that the user has been in, including those that they have
 * left". Rooms first say what they found in a few words; only events that get into the answer are read whole.
 */
import { createHash } from 'node:crypto'

import type { RoomEventFilter } from '#protocol/filters/filter.ts'
import { wantsRoom } from '#protocol/filters/filter.ts'
import { parseRoomId, type RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'
import type { RoomCursor, SearchGroup } from '#protocol/search/search-token.ts'

import type { ContextWish, Found, Hit, RoomHits } from '../durable-objects/room/search/search-room.ts'
import type { Env } from './env.ts'
import { roomOf } from './rooms.ts'
import { userSyncOf } from './sync/user-sync.ts'

export interface Search {
  readonly reader: UserId
  readonly deviceId: string
  readonly match: string
  readonly order: 'rank' | 'recent'
  readonly filter: RoomEventFilter
  readonly limit: number
  readonly ignoredUsers: readonly string[]
  readonly context: ContextWish | undefined
  /** Where it goes on, by `roomMark`. */
  readonly cursors: ReadonlyMap<string, RoomCursor>
  readonly group: SearchGroup | undefined
}

export interface Result {
  readonly roomId: RoomId
  readonly hit: Hit
  readonly found: Found
}

export interface SearchResults {
  readonly results: readonly Result[]
  readonly count: number
  /** Where each room that was read goes on. */
  readonly cursors: ReadonlyMap<string, RoomCursor>
  readonly isFull: boolean
}

/** Matches looked at for the count, over all rooms together. */
const countedInAll = 1000
const [leastCounted, mostCounted] = [20, 200]
const roomsAtOnce = 10

/** How tokens name a room: short, since there may be many. */
export function roomMark(roomId: RoomId): string {
  return createHash('sha256').update(roomId).digest('base64url').slice(0, 10)
}

/** A page of results in order. */
export async function searchRooms(env: Env, search: Search): Promise<SearchResults> {
  const rooms = await roomsToSearch(env, search)
  const isFirst = search.cursors.size === 0
  const share = Math.floor(countedInAll / Math.max(1, rooms.length))
  const countUpTo = isFirst ? Math.min(Math.max(share, leastCounted), mostCounted) : 0
  const { reader, match, order, limit, ignoredUsers, filter, group } = search
  const found = await someAtOnce(rooms, async (roomId) => {
    const after = search.cursors.get(roomMark(roomId))
    const senders = group?.key === 'sender' ? { senders: onlySender(filter, group.value) } : {}
    const asked = { reader, match, order, limit, ignoredUsers, countUpTo, filter: { ...filter, ...senders } }
    return { roomId, ...(await roomOf(env, roomId).search(after ? { ...asked, after } : asked)) }
  })
  const cursors = new Map(search.cursors)
  const taken = merge(found, limit, order)
  for (const { roomId, hit } of taken) cursors.set(roomMark(roomId), hit.next)
  let isFull = taken.length >= limit
  for (const { roomId, hits, unread } of found) {
    const isDone = !hits.some((hit) => !taken.some((each) => each.hit === hit))
    if (!unread || !isDone) continue
    cursors.set(roomMark(roomId), unread)
    isFull = true
  }
  return {
    results: await readWhole(env, search, taken),
    count: found.reduce((sum, { count }) => sum + count, 0),
    cursors,
    isFull,
  }
}

function onlySender({ senders }: RoomEventFilter, sender: string): string[] {
  return senders && !senders.includes(sender) ? [] : [sender]
}

/** The user's rooms that the filter wants. A wanted room brings the rooms that it replaced. */
async function roomsToSearch(env: Env, { reader, filter, group }: Search): Promise<RoomId[]> {
  const mine = (await userSyncOf(env, reader).rooms())
    .filter(({ membership }) => membership !== 'invite' && membership !== 'knock')
    .map(({ roomId }) => roomId)
  const known = new Set<string>(mine)
  const wanted = new Set(mine.filter((roomId) => wantsRoom(filter, roomId)))
  if (filter.rooms) {
    for (const roomId of wanted) {
      const before = await predecessorOf(env, reader, roomId)
      if (before !== undefined && known.has(before) && !filter.not_rooms?.includes(before)) wanted.add(before)
    }
  }
  return group?.key === 'room_id' ? [...wanted].filter((roomId) => roomId === group.value) : [...wanted]
}

async function predecessorOf(env: Env, reader: UserId, roomId: RoomId): Promise<RoomId | undefined> {
  const create = await roomOf(env, roomId).stateEvent({ reader, type: 'm.room.create', stateKey: '' })
  const predecessor = create.ok ? own(create.event.content, 'predecessor') : undefined
  return isObject(predecessor) ? parseRoomId(own(predecessor, 'room_id')) : undefined
}

interface Taken {
  readonly roomId: RoomId
  readonly hit: Hit
}

/** Each room's hits stay in their order; among rooms the best or newest comes first. */
function merge(
  found: readonly ({ readonly roomId: RoomId } & RoomHits)[],
  limit: number,
  order: Search['order'],
): Taken[] {
  const taken: Taken[] = []
  const heads = found.map(({ roomId, hits }) => ({ roomId, hits, at: 0 }))
  while (taken.length < limit) {
    let best: { head: (typeof heads)[number]; hit: Hit } | undefined
    for (const head of heads) {
      const hit = head.hits[head.at]
      if (hit && (!best || comesBefore(hit, best.hit, order))) best = { head, hit }
    }
    if (!best) break
    taken.push({ roomId: best.head.roomId, hit: best.hit })
    best.head.at += 1
  }
  return taken
}

function comesBefore(one: Hit, other: Hit, order: Search['order']): boolean {
  const byRank = order === 'rank' ? (one.rank ?? 0) - (other.rank ?? 0) : 0
  return byRank > 0 || (byRank === 0 && one.originServerTs > other.originServerTs)
}

async function readWhole(env: Env, search: Search, taken: readonly Taken[]): Promise<Result[]> {
  const { reader, deviceId, context, ignoredUsers } = search
  const rooms = [...new Set(taken.map(({ roomId }) => roomId))]
  const read = await someAtOnce(rooms, async (roomId) => {
    const eventIds = taken.filter((each) => each.roomId === roomId).map(({ hit }) => hit.eventId)
    return roomOf(env, roomId).foundEvents({ reader, deviceId, eventIds, ignoredUsers, context })
  })
  const whole = new Map(read.flat().map((found) => [found.result.event_id, found]))
  return taken.flatMap(({ roomId, hit }) => {
    const found = whole.get(hit.eventId)
    return found ? [{ roomId, hit, found }] : []
  })
}

/** The current state of rooms, as their reader may see it. */
export async function statesOf(env: Env, reader: UserId, rooms: readonly RoomId[]): Promise<JsonObject> {
  const states = await someAtOnce(rooms, async (roomId) => {
    const state = await roomOf(env, roomId).stateEvents({ reader })
    return [roomId, state.ok ? [...state.events] : []] as const
  })
  return Object.fromEntries(states)
}

async function someAtOnce<In, Out>(list: readonly In[], work: (one: In) => Promise<Out>): Promise<Out[]> {
  const done: Out[] = []
  for (let at = 0; at < list.length; at += roomsAtOnce) {
    done.push(...(await Promise.all(list.slice(at, at + roomsAtOnce).map(work))))
  }
  return done
}
