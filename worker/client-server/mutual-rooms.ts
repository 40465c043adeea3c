/** Rooms that two users share. Spec: client-server-api/#get_matrixclientv1mutual_rooms, mutual_rooms.yaml. */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import { isNonCompliantUserId, parseUserId, serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'

import { roomsOfRemoteUser } from '../accounts/remote-members.ts'
import { userExists } from '../accounts/users.ts'
import type { Env } from '../env.ts'
import { limitUser } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { settingsOf } from '../settings.ts'
import { userSyncOf } from '../sync/user-sync.ts'

const perPage = 100
/** A page's token: the number of rooms before it, after a letter that no other token begins with. */
const tokenForm = /^m(\d{1,9})$/

/** Spec: client-server-api/#get_matrixclientv1mutual_rooms */
export const getMutualRooms = operation(
  'GET /_matrix/client/v1/mutual_rooms',
  {
    id: 'getMutualRooms',
    auth: 'accessToken',
    aliases: ['/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms'],
  },
  async ({ env, settings, requester: { userId: asker }, query }) => {
    limitUser('search', asker, settings)
    const text = query.get('user_id') ?? refuse('missing_param', 'user_id is missing')
    const other = parseUserId(text) ?? refuse('invalid_param', 'user_id is not a user ID')
    if (isNonCompliantUserId(other)) return refuse('invalid_param', 'user_id has characters that user IDs have no more')
    if (other === asker) return refuse('invalid_param', 'user_id is your own')
    // `batch_token` as it was called before v1.19.
    const from = startOf(query.get('from') ?? query.get('batch_token'))
    const rooms = await sharedRooms(env, asker, other)
    if (from > rooms.length) return refuse('invalid_param', 'That is no token of this operation')
    const next = from + perPage < rooms.length ? `m${from + perPage}` : undefined
    return {
      joined: rooms.slice(from, from + perPage),
      count: rooms.length,
      ...(next === undefined ? {} : { next_batch: next, next_batch_token: next }),
    }
  },
)

function startOf(token: string | null): number {
  if (token === null || token === '') return 0
  const match = tokenForm.exec(token)
  return match ? Number(match[1]) : refuse('invalid_param', 'That is no token of this operation')
}

/** "Rooms where both the authenticated user and `user_id` have a membership of type `join`", in the order of their IDs. */
async function sharedRooms(env: Env, asker: UserId, other: UserId): Promise<RoomId[]> {
  const [mine, theirs] = await Promise.all([userSyncOf(env, asker).joinedRooms(), roomsOf(env, other)])
  const shared = new Set<string>(theirs)
  return mine.filter((roomId) => shared.has(roomId)).toSorted()
}

async function roomsOf(env: Env, user: UserId): Promise<RoomId[]> {
  if (serverNameOf(user) !== settingsOf(env).serverName) return roomsOfRemoteUser(env, user)
  // An object for a name that nobody has must not be made.
  return (await userExists(env, user)) ? userSyncOf(env, user).joinedRooms() : []
}
