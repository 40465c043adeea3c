/**
 * Reading rooms: events, state and members.
 *
 * Spec: client-server-api/#getting-events-for-a-room, data/api/client-server/rooms.yaml. What a reader may see is decided
 * by the room.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'

import type { Env } from '../env.ts'
import { operation } from '../operation.ts'
import { roomOf, unwrapAsMember } from '../rooms.ts'
import { ignoredBy, pointInRoom } from './history-reader.ts'
import { oneOf } from './parameters.ts'

/** Spec: client-server-api/#get_matrixclientv3roomsroomideventeventid */
export const getOneRoomEvent = operation(
  'GET /_matrix/client/v3/rooms/:roomId/event/:eventId',
  { id: 'getOneRoomEvent', auth: 'accessToken', guests: true, r0: true },
  async ({ env, requester, path: { roomId, eventId } }) => {
    const reader = requester.userId
    const { deviceId } = requester
    const ignoredUsers = await ignoredBy(env, reader)
    return unwrapAsMember(await roomOf(env, roomId).event({ reader, deviceId, eventId, ignoredUsers })).event
  },
)

const stateOptions = { id: 'getRoomStateWithKey', auth: 'accessToken', guests: true, r0: true } as const

/** Spec: client-server-api/#get_matrixclientv3roomsroomidstateeventtypestatekey */
export const getRoomStateWithKey = operation(
  'GET /_matrix/client/v3/rooms/:roomId/state/:eventType/:stateKey',
  stateOptions,
  ({ env, requester, path, query }) => stateOf(env, requester.userId, path, query),
)

/** The same for the empty state key: "the trailing slash on this endpoint is optional". */
export const getRoomStateWithoutKey = operation(
  'GET /_matrix/client/v3/rooms/:roomId/state/:eventType',
  {
    ...stateOptions,
    aliases: [
      '/_matrix/client/v3/rooms/:roomId/state/:eventType/',
      '/_matrix/client/r0/rooms/:roomId/state/:eventType/',
    ],
  },
  ({ env, requester, path, query }) => stateOf(env, requester.userId, { ...path, stateKey: '' }, query),
)

interface Place {
  readonly roomId: RoomId
  readonly eventType: string
  readonly stateKey: string
}

async function stateOf(env: Env, reader: UserId, { roomId, eventType: type, stateKey }: Place, query: URLSearchParams) {
  const format = oneOf(query, 'format', ['content', 'event'])
  const { event } = unwrapAsMember(await roomOf(env, roomId).stateEvent({ reader, type, stateKey }))
  return format === 'event' ? event : event.content
}

/** Spec: client-server-api/#get_matrixclientv3roomsroomidstate */
export const getRoomState = operation(
  'GET /_matrix/client/v3/rooms/:roomId/state',
  { id: 'getRoomState', auth: 'accessToken', guests: true, r0: true },
  ({ env, requester, path: { roomId } }) => streamed(env, roomId, { stateFor: requester.userId }),
)

const memberships = ['join', 'invite', 'knock', 'leave', 'ban'] as const

/** Spec: client-server-api/#get_matrixclientv3roomsroomidmembers */
export const getMembersByRoom = operation(
  'GET /_matrix/client/v3/rooms/:roomId/members',
  { id: 'getMembersByRoom', auth: 'accessToken', guests: true, r0: true },
  async ({ env, requester, path: { roomId }, query }) => {
    const reader = requester.userId
    const at = await pointInRoom(env, reader, roomId, query.get('at'))
    const membership = oneOf(query, 'membership', memberships)
    const notMembership = oneOf(query, 'not_membership', memberships)
    const membersFor = {
      reader,
      ...(at === undefined ? {} : { at }),
      ...(membership === undefined ? {} : { membership }),
      ...(notMembership === undefined ? {} : { notMembership }),
    }
    return streamed(env, roomId, { membersFor })
  },
)

/** An answer as the room's object writes it: never whole in memory. */
async function streamed(env: Env, roomId: RoomId, asked: JsonObject): Promise<Response> {
  const answer = await roomOf(env, roomId).fetch('https://room/', { method: 'POST', body: JSON.stringify(asked) })
  return new Response(answer.body, { status: answer.status, headers: { 'Content-Type': 'application/json' } })
}

/** Spec: client-server-api/#get_matrixclientv3roomsroomidjoined_members */
export const getJoinedMembersByRoom = operation(
  'GET /_matrix/client/v3/rooms/:roomId/joined_members',
  { id: 'getJoinedMembersByRoom', auth: 'accessToken', r0: true },
  async ({ env, requester, path: { roomId } }) => ({
    joined: unwrapAsMember(await roomOf(env, roomId).joinedMembers({ reader: requester.userId })).joined,
  }),
)
