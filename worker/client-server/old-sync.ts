/**
 * What clients asked before there was `/sync`: the whole state at once, then one stream of events. And an event by its ID
 * alone, and the stream of a single room for those who are not in it.
 *
 * Spec: client-server-api/#get_matrixclientv3initialsync, #get_matrixclientv3events, #get_matrixclientv3eventseventid;
 * old_sync.yaml, peeking_events.yaml. All of it is `/sync` in another form, with the same tokens.
 */
import { parseRoomId, type RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, type JsonObject, type JsonValue, own } from '#protocol/json/json.ts'

import type { Env } from '../env.ts'
import { type Call, operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { roomOf, unwrapAsMember } from '../rooms.ts'
import { userSyncOf } from '../sync/user-sync.ts'
import { ignoredBy } from './history-reader.ts'
import { oneOf, wholeNumber } from './parameters.ts'
import { sync } from './sync.ts'

type Asked = Call<string, 'accessToken', undefined>

const longestWait = 60_000
/** A room that is watched from outside tells nobody of its news: it is asked again, in ms. */
const askAgain = 1_000
const roomsAtOnce = 10

/** Spec: client-server-api/#get_matrixclientv3initialsync */
export const initialSync = operation(
  'GET /_matrix/client/v3/initialSync',
  { id: 'initialSync', auth: 'accessToken', r0: true },
  async (call) => {
    const limit = wholeNumber(call.query, 'limit', 10, 100)
    const archived = oneOf(call.query, 'archived', ['true', 'false']) === 'true'
    const room = { timeline: { limit }, include_leave: archived }
    const answer = await synced(call, { filter: JSON.stringify({ room }), use_state_after: 'true' })
    const rooms = objectIn(answer, 'rooms')
    const end = endOf(answer)
    const inside = (section: string, membership: string) =>
      Object.entries(objectIn(rooms, section)).map(([roomId, slice]) => oldRoom(roomId, membership, slice, end))
    const { userId } = call.requester
    return {
      end,
      presence: listIn(objectIn(answer, 'presence'), 'events'),
      account_data: listIn(objectIn(answer, 'account_data'), 'events'),
      rooms: [
        ...inside('join', 'join'),
        ...Object.entries(objectIn(rooms, 'invite')).map(([roomId, slice]) => oldInvite(roomId, slice, userId)),
        ...inside('leave', 'leave'),
      ],
    }
  },
)

function oldRoom(roomId: string, membership: string, slice: JsonValue | undefined, end: string): JsonObject {
  if (!isObject(slice)) return { room_id: roomId, membership }
  const timeline = objectIn(slice, 'timeline')
  const start = own(timeline, 'prev_batch')
  return {
    room_id: roomId,
    membership,
    messages: { ...(start === undefined ? {} : { start }), end, chunk: inRoom(roomId, listIn(timeline, 'events')) },
    state: inRoom(roomId, listIn(objectIn(slice, 'state_after'), 'events')),
    account_data: listIn(objectIn(slice, 'account_data'), 'events'),
  }
}

function oldInvite(roomId: string, slice: JsonValue | undefined, reader: UserId): JsonObject {
  const state = isObject(slice) ? listIn(objectIn(slice, 'invite_state'), 'events').filter(isObject) : []
  const invite = state.find((event) => own(event, 'type') === 'm.room.member' && own(event, 'state_key') === reader)
  const inviter = invite && own(invite, 'sender')
  return {
    room_id: roomId,
    membership: 'invite',
    ...(inviter === undefined ? {} : { inviter }),
    ...(invite ? { invite: { ...invite, room_id: roomId } } : {}),
    state: inRoom(roomId, state),
  }
}

/** Spec: client-server-api/#get_matrixclientv3events. With `room_id` it is for those outside, too. */
export const getEvents = operation(
  'GET /_matrix/client/v3/events',
  { id: 'getEvents', auth: 'accessToken', guests: true, endsWithDevice: true, r0: true },
  async (call) => {
    const { env, requester, query } = call
    const wanted = query.get('room_id')
    const timeout = wholeNumber(query, 'timeout', 0, longestWait)
    const from = query.get('from') ?? undefined
    if (wanted === null) {
      if (requester.isGuest) return refuse('guest_forbidden', 'Guests name the room_id they watch')
      return stream(call, from, timeout, undefined)
    }
    const roomId = parseRoomId(wanted) ?? refuse('invalid_param', 'room_id is not a room ID')
    const joined = await userSyncOf(env, requester.userId).joinedRooms()
    if (joined.includes(roomId)) return stream(call, from, timeout, roomId)
    return peek(call, roomId, from, timeout)
  },
)

/**
 * What happened since `from`, in one room or in all; from now on where that is not given. News of other kinds do not end the
 * wait. Every room is read, wanted or not: the token that goes with the answer says that it was.
 */
async function stream(call: Asked, from: string | undefined, timeout: number, only: RoomId | undefined) {
  const filter = JSON.stringify({ room: { timeline: { limit: 100 } } })
  const deadline = Date.now() + timeout
  const start = from ?? (await now(call))
  for (let since = start; ;) {
    const left = Math.max(0, deadline - Date.now())
    const answer = await synced(call, { filter, since, timeout: String(left) })
    const end = endOf(answer)
    const chunk = eventsIn(objectIn(answer, 'rooms'), call.requester.userId, only)
    if (chunk.length > 0 || Date.now() >= deadline) return { start, end, chunk }
    since = end
  }
}

function eventsIn(rooms: JsonObject, reader: UserId, only: RoomId | undefined): JsonValue[] {
  const slices = (section: string) =>
    Object.entries(objectIn(rooms, section)).filter(([roomId]) => only === undefined || roomId === only)
  const chunk = ['join', 'leave'].flatMap((section) =>
    slices(section).flatMap(([roomId, slice]) =>
      ['state', 'timeline', 'ephemeral'].flatMap((part) =>
        inRoom(roomId, listIn(objectIn(isObject(slice) ? slice : {}, part), 'events')),
      ),
    ),
  )
  const invites = slices('invite').flatMap(([roomId, slice]) => {
    const { invite } = oldInvite(roomId, slice, reader)
    return invite === undefined ? [] : [invite]
  })
  return [...chunk, ...invites]
}

/** A token for the present. */
async function now(call: Asked): Promise<string> {
  const little = { room: { timeline: { limit: 1 }, state: { lazy_load_members: true } } }
  return endOf(await synced(call, { filter: JSON.stringify(little) }))
}

/** The news of a room that anyone may read. */
async function peek({ env, requester }: Asked, roomId: RoomId, from: string | undefined, timeout: number) {
  const { userId: reader, deviceId } = requester
  const room = roomOf(env, roomId)
  const ignoredUsers = await ignoredBy(env, reader)
  const read = (dir: 'b' | 'f', limit: number, at: string | undefined) =>
    room.messages({ reader, deviceId, dir, limit, ignoredUsers, ...(at === undefined ? {} : { from: at }) })
  const start = from ?? unwrapAsMember(await read('b', 1, undefined)).start
  const deadline = Date.now() + timeout
  for (;;) {
    const { chunk, end } = unwrapAsMember(await read('f', 100, start))
    if (chunk.length > 0) {
      // Without a token there is nothing more yet; one for "behind the last" comes from looking back from the present.
      const { start: present } = unwrapAsMember(await read('b', 1, undefined))
      return { start, end: end ?? present, chunk }
    }
    if (Date.now() >= deadline) return { start, end: start, chunk: [] }
    await new Promise((resolve) => setTimeout(resolve, Math.min(askAgain, Math.max(1, deadline - Date.now()))))
  }
}

/** Spec: client-server-api/#get_matrixclientv3eventseventid. No room is named, so the user's rooms are asked. */
export const getOneEvent = operation(
  'GET /_matrix/client/v3/events/:eventId',
  { id: 'getOneEvent', auth: 'accessToken', r0: true },
  async ({ env, requester: { userId: reader, deviceId }, path: { eventId } }) => {
    const ignoredUsers = await ignoredBy(env, reader)
    const left = (await roomsWithHistory(env, reader)).toReversed()
    while (left.length > 0) {
      const some = left.splice(-roomsAtOnce)
      const found = await Promise.all(
        some.map((roomId) => roomOf(env, roomId).event({ reader, deviceId, eventId, ignoredUsers })),
      )
      for (const each of found) if (each.ok) return each.event
    }
    return refuse('unknown_event')
  },
)

async function roomsWithHistory(env: Env, user: UserId): Promise<RoomId[]> {
  const rooms = await userSyncOf(env, user).rooms()
  return rooms.flatMap(({ roomId, membership }) => (membership === 'invite' || membership === 'knock' ? [] : [roomId]))
}

/** What `/sync` answers to this query. */
async function synced(call: Asked, query: Readonly<Record<string, string>>): Promise<JsonObject> {
  const answer = await sync.handle({ ...call, query: new URLSearchParams(query) })
  const json: unknown = answer instanceof Response ? await answer.json() : answer
  return isObject(json) ? json : {}
}

function endOf(answer: JsonObject): string {
  const { next_batch: end } = answer
  if (typeof end !== 'string') throw new TypeError('an answer without next_batch')
  return end
}

function objectIn(object: JsonObject, name: string): JsonObject {
  const value = own(object, name)
  return isObject(value) ? value : {}
}

function listIn(object: JsonObject, name: string): readonly JsonValue[] {
  const value = own(object, name)
  return Array.isArray(value) ? value : []
}

function inRoom(roomId: string, events: readonly JsonValue[]): JsonValue[] {
  return events.map((event) => (isObject(event) ? { ...event, room_id: roomId } : event))
}
