/**
 * What a client has to hear over its connection of sliding sync: one synchronous read of the user's stream.
 *
 * Spec: MSC4186. Lists and subscriptions say which rooms the client cares for; of these it is served those that it was not
 * given yet, or not as far as they have come, or less of than it wants now. The Worker asks those rooms, and no others.
 */
import { fail, type Failure, type Outcome } from '#protocol/errors.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import { type Extensions, inScope, type SlidingParams } from '#protocol/sliding-sync/request.ts'
import { combineConfigs, isWider, type RoomConfig } from '#protocol/sliding-sync/room-config.ts'
import { listRooms, windowsOf } from '#protocol/sliding-sync/room-list.ts'
import { formatPos, formatToDevice, parseToDevice } from '#protocol/sliding-sync/tokens.ts'
import { fieldsWithout, noProfileNews, type ProfileNews } from '#protocol/sync/profile-fields.ts'
import type { DeviceKeys } from '#protocol/sync/wait-request.ts'

import type { Sql } from '../../shared/sql.ts'
import { hiddenInviters, ignoredUsers, roomAccountDataAfter } from '../account-data.ts'
import { deviceListsAfter } from '../device-lists.ts'
import { profileChangesAfter } from '../profile-changes.ts'
import { heardOf } from '../marks.ts'
import { getRoomsPushRules } from '../push-rules.ts'
import type { Stream } from '../stream.ts'
import { acknowledgeToDevice, type ToDeviceEvent, toDeviceAfter } from '../to-device.ts'
import { type Connection, type Given, type GivenMemory, setIdle } from './connections.ts'
import { type SubscriptionsPage, subscriptionsPage } from './list-subscriptions.ts'
import { readSticky } from './read-sticky.ts'
import { type IndexedRoom, listContext, type RoomIndex } from './room-index.ts'
import {
  hasSlidingNews,
  type RoomAccountData,
  type SlidingList,
  type SlidingRead,
  type SlidingRoom,
} from './sliding-read.ts'
import type { Turns } from './turns.ts'

/** Rooms that one answer serves at most; the next one, asked for at once, goes on. */
const mostRooms = 200
/** Rooms that a window names. Clients sort by `bump_stamp`; for longer windows the names would outweigh everything else. */
const longestWindow = 100

export interface SlidingState {
  readonly sql: Sql
  readonly stream: Stream
  readonly index: RoomIndex
  readonly given: GivenMemory
  readonly turns: Turns
}

/** Reads for a connection. Fails with `invalid_param` for a `since` of to-device messages that is none. */
export function readSliding(
  state: SlidingState,
  connection: Connection,
  asked: {
    readonly deviceId: string
    readonly toDeviceSince: string | undefined
    readonly stickySince: string | undefined
    /** Milliseconds since 1970. */
    readonly now: number
    readonly keys: DeviceKeys
    readonly turn: number
    readonly today: number
  },
): SlidingRead | Failure {
  const { sql, stream } = state
  const params: SlidingParams = JSON.parse(connection.params)
  const { extensions } = params
  const toDevice = readToDevice(state, asked, extensions)
  if (!toDevice.ok) return toDevice
  const stickyNews = extensions.sticky
    ? readSticky(state, params, { since: asked.stickySince, now: asked.now })
    : { ok: true as const, sticky: null }
  if (!stickyNews.ok) return stickyNews
  const { sticky } = stickyNews
  const isInitial = connection.answer === 0
  const profiles = readProfiles(state, connection, extensions, asked.today)
  const base = {
    ok: true as const,
    isInitial,
    connection: connection.id,
    turn: asked.turn,
    after: connection.answer,
    afterRead: connection.read,
    read: stream.position,
    pos: formatPos({ connection: connection.id, answer: connection.answer }, stream.epoch),
    extensions,
    toDevice,
    sticky,
    keys: asked.keys,
  }
  const isQuiet = toDevice.events.length === 0 && profiles.whole.length === 0 && (sticky?.rooms.length ?? 0) === 0
  if (connection.idle && isQuiet && newestPosition(sql) <= connection.idle.upTo) {
    return { ...base, ...nothing, lists: countsOnly(connection.idle.counts) }
  }
  const { wantsProfiles, ...found } = readRooms(state, connection, params, isInitial)
  const deviceLists = extensions.e2ee && !isInitial ? deviceListsAfter(sql, connection.read) : { changed: [], left: [] }
  const asksFor = found.rooms.length + profiles.fields.length + (sticky?.rooms.length ?? 0)
  const read: SlidingRead = {
    ...base,
    ...found,
    accountData: extensions.accountData ? roomAccountDataAfter(sql, '', connection.read) : [],
    deviceLists,
    profiles: { ...profiles, rooms: profiles.whole.length > 0 ? wantsProfiles : [] },
    threads: extensions.threads
      ? subscriptionsPage(state, { after: connection.read, upTo: stream.position }, extensions.threads.limit)
      : noThreads,
    ignoredUsers: asksFor > 0 ? ignoredUsers(sql) : [],
    ...getRoomsPushRules(
      sql,
      found.rooms.map(({ roomId }) => roomId),
    ),
  }
  if (!hasSlidingNews(read)) {
    const counts = Object.fromEntries(Object.entries(read.lists).map(([name, { count }]) => [name, count]))
    setIdle(sql, connection, { answer: connection.answer, upTo: newestPosition(sql), counts })
  }
  return read
}

/** What of profiles is news, on any answer but the first: with that they come along with the rooms. */
function readProfiles(
  { sql, stream }: SlidingState,
  connection: Connection,
  { profiles }: Extensions,
  today: number,
): ProfileNews {
  if (!profiles) return noProfileNews
  const { fields } = profiles
  const { changed, isLate } = profileChangesAfter(sql, stream, { fields, after: connection.read, today })
  if (connection.answer === 0) return { fields, changed: [], whole: [] }
  return { fields, changed, whole: isLate ? fields : fieldsWithout(fields, connection.profiles) }
}

const noThreads: SubscriptionsPage = { changes: [], end: null }
const nothing = {
  rooms: [],
  accountData: [],
  roomAccountData: [],
  deviceLists: { changed: [], left: [] },
  memberRooms: [],
  threads: noThreads,
  profiles: { ...noProfileNews, rooms: [] },
  ignoredUsers: [],
  pushRules: {},
  followed: {},
} as const

function countsOnly(counts: Readonly<Record<string, number>>): Record<string, SlidingList> {
  return Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, { count, windows: [] }]))
}

const newestQuery = `SELECT max(coalesce((SELECT max(changed_at) FROM rooms), 0),
  coalesce((SELECT max(position) FROM account_data), 0),
  coalesce((SELECT max(position) FROM device_list_changes), 0),
  coalesce((SELECT max(position) FROM thread_subscriptions), 0),
  coalesce((SELECT max(position) FROM profile_changes), 0)) AS position`

/** The newest position of anything but messages to devices; what rooms told for lists alone moves none of these. */
function newestPosition(sql: Sql): number {
  return sql.exec<{ position: number }>(newestQuery).toArray()[0]?.position ?? 0
}

function readToDevice(
  { sql, stream }: SlidingState,
  { deviceId, toDeviceSince }: { readonly deviceId: string; readonly toDeviceSince: string | undefined },
  { toDevice }: Extensions,
): Outcome<{ events: ToDeviceEvent[]; nextBatch: string }> {
  if (!toDevice) return { ok: true, events: [], nextBatch: '' }
  const since = toDeviceSince === undefined ? 0 : parseToDevice(toDeviceSince, stream)
  if (since === undefined) return fail('invalid_param', 'extensions.to_device.since is not a token of this server')
  if (since > 0) acknowledgeToDevice(sql, deviceId, since)
  const { events, upTo } = toDeviceAfter(sql, deviceId, since, stream.position, toDevice.limit)
  return { ok: true, events, nextBatch: formatToDevice(events.length > 0 ? upTo : Math.max(since, 0), stream.epoch) }
}

interface Interest {
  readonly room: IndexedRoom
  readonly config: RoomConfig
  readonly lists: readonly string[]
  readonly isSubscribed: boolean
}

type FoundRooms = Pick<SlidingRead, 'lists' | 'rooms' | 'roomAccountData' | 'memberRooms'> & {
  readonly wantsProfiles: readonly RoomId[]
}

function readRooms(state: SlidingState, connection: Connection, params: SlidingParams, isInitial: boolean): FoundRooms {
  const { sql } = state
  const rooms = state.index.rooms()
  const given = state.given.of(sql, connection)
  const context = listContext(sql, rooms)
  const listed = Object.keys(params.lists).length > 0 ? visibleRooms(sql, rooms, given) : []
  const { lists, interests } = interestsOf(params, rooms, listed, context)
  const served = new Map<RoomId, SlidingRoom>()
  const roomAccountData: RoomAccountData[] = []
  for (const interest of interests.values()) {
    const { room } = interest
    const has = given.get(room.roomId)
    const typing = inScope(params.extensions.typing, room.roomId, interest)
    const isDirect = context.isDirect(room.roomId)
    const isOther = has !== undefined && isDirect !== (has.config.isDirect === true)
    if (served.size < mostRooms && (isOther || hasMore(interest, has, typing))) {
      served.set(room.roomId, {
        roomId: room.roomId,
        membership: room.membership,
        known: room.known,
        given: has ?? null,
        config: interest.config,
        liveAfter: isInitial ? null : (heardOf(sql, room.roomId, readAt(connection))?.pos ?? -1),
        isDirect,
        receipts: inScope(params.extensions.receipts, room.roomId, interest),
        typing,
        profiles: inScope(params.extensions.profiles, room.roomId, interest),
      })
    }
    const wantsData =
      room.accountAt > (has?.accountAt ?? 0) && inScope(params.extensions.accountData, room.roomId, interest)
    if (wantsData && (has || served.has(room.roomId))) {
      const events = roomAccountDataAfter(sql, room.roomId, has?.accountAt ?? 0)
      const isServed = served.has(room.roomId)
      roomAccountData.push({
        roomId: room.roomId,
        events,
        upTo: room.accountAt,
        given: isServed ? null : (has ?? null),
      })
    }
  }
  return {
    lists,
    rooms: [...served.values()],
    roomAccountData,
    memberRooms: memberRooms(),
    wantsProfiles: wantsProfiles(),
  }

  function wantsProfiles(): RoomId[] {
    return [...interests.values()]
      .filter((each) => each.room.membership === 'join' && inScope(params.extensions.profiles, each.room.roomId, each))
      .slice(0, mostRooms)
      .map(({ room }) => room.roomId)
  }

  function memberRooms(): SlidingRead['memberRooms'] {
    if (isInitial || !(params.extensions.e2ee || params.extensions.profiles)) return []
    const changed = [...rooms.values()].filter(
      ({ stateAt, membership }) => stateAt > connection.read && membership !== 'invite',
    )
    return changed.map(({ roomId }) => ({ roomId, from: heardOf(sql, roomId, readAt(connection)) }))
  }
}

function readAt({ read }: Connection) {
  return { read, served: 0, toDevice: 0 }
}

/**
 * The rooms that lists may show: where the user is, or is asked to come; those that ended since the client was told of
 * them; and, since nobody is to find out by chance, those from which somebody kicked or banned the user. Invites by ignored
 * users are in none.
 */
function visibleRooms(
  sql: Sql,
  rooms: ReadonlyMap<RoomId, IndexedRoom>,
  given: ReadonlyMap<RoomId, Given>,
): IndexedRoom[] {
  const isHidden = hiddenInviters(sql)
  return [...rooms.values()].filter(({ roomId, membership, by, isRemoved }) => {
    if (membership === 'invite') return by === undefined || !isHidden(by)
    if (membership === 'join' || membership === 'knock') return true
    if (isRemoved) return true
    const told = given.get(roomId)?.membership
    return told !== undefined && told !== 'leave' && told !== 'ban'
  })
}

/** Lists and subscriptions as one: which rooms, and how much of each. */
function interestsOf(
  { lists, subscriptions }: SlidingParams,
  rooms: ReadonlyMap<string, IndexedRoom>,
  listed: readonly IndexedRoom[],
  context: ReturnType<typeof listContext>,
): { lists: Record<string, SlidingList>; interests: Map<RoomId, Interest> } {
  const interests = new Map<RoomId, Interest>()
  const add = (room: IndexedRoom, config: RoomConfig, list: string | undefined) => {
    const known = interests.get(room.roomId)
    interests.set(room.roomId, {
      room,
      config: known ? combineConfigs(known.config, config) : config,
      lists: [...(known?.lists ?? []), ...(list === undefined ? [] : [list])],
      isSubscribed: known?.isSubscribed === true || list === undefined,
    })
  }
  // What the person looks at comes first.
  for (const [roomId, config] of Object.entries(subscriptions)) {
    const room = rooms.get(roomId)
    if (room) add(room, config, undefined)
  }
  const results: Record<string, SlidingList> = {}
  for (const [name, list] of Object.entries(lists)) {
    const inList = listRooms(listed, list.filters, context)
    const windows = windowsOf(inList, list).map((window, index) => {
      for (const room of window) add(room, list.config, name)
      const roomIds = window.slice(0, longestWindow).map(({ roomId }) => roomId)
      return { range: list.ranges[index] ?? [0, 0], roomIds }
    })
    results[name] = { count: inList.length, windows }
  }
  return { lists: results, interests }
}

/** Whether a room has come further than what the client was given, or the client wants more of it. */
function hasMore({ room, config }: Interest, has: Given | undefined, typing: boolean): boolean {
  if (!has) return true
  if (has.membership !== room.membership) return true
  // What happens in a room after one left it is nothing to them.
  if (room.membership === 'leave' || room.membership === 'ban') return false
  if (has.pos < room.known.pos) return true
  return (typing && has.typing !== room.known.typing) || isWider(config, has.config)
}
