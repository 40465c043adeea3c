/**
 * Looking for people. Spec: client-server-api/#user-directory, data/api/client-server/users.yaml.
 *
 * Local users are found by their profile, others by what they are called in a room; each only if a room that the requester
 * is in, or that is open to all, has them. The rooms are asked, so that nobody is found who left just now.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { nameWords } from '#protocol/search/name-words.ts'
import * as v from 'valibot'

import { knownRooms } from '../accounts/known-rooms.ts'
import { searchProfiles } from '../accounts/profile-search.ts'
import type { Env } from '../env.ts'
import { operation } from '../operation.ts'
import { roomOf } from '../rooms.ts'
import type { Settings } from '../settings.ts'
import { userSyncOf } from '../sync/user-sync.ts'

/** Rooms that are asked for one search, those of the requester first, and how many at once. */
const [maxRooms, atOnce] = [100, 20]
const mostResults = 50

interface Found {
  readonly user_id: UserId
  readonly display_name?: string
  readonly avatar_url?: string
}

const searchBody = v.looseObject({
  search_term: v.pipe(v.string(), v.maxLength(255)),
  limit: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0)), 10),
})

/** Spec: client-server-api/#post_matrixclientv3user_directorysearch */
export const searchUserDirectory = operation(
  'POST /_matrix/client/v3/user_directory/search',
  { id: 'searchUserDirectory', auth: 'accessToken', body: searchBody, r0: true },
  async ({ env, settings, requester: { userId }, body }) => {
    const words = nameWords(body.search_term)
    const limit = Math.min(body.limit, mostResults)
    if (words.length === 0) return { results: [], limited: false }
    const found = await search(env, settings, userId, body.search_term, limit)
    return { results: found.slice(0, limit), limited: found.length > limit }
  },
)

/** At least one more than `limit` where there are so many. */
async function search(
  env: Env,
  { serverName }: Settings,
  reader: UserId,
  term: string,
  limit: number,
): Promise<Found[]> {
  const words = nameWords(term)
  const [profiles, mine, known] = await Promise.all([
    searchProfiles(env, nameWords(withoutServer(term, serverName))),
    userSyncOf(env, reader).joinedRooms(),
    knownRooms(env),
  ])
  const rooms: RoomId[] = [...new Set([...mine, ...known])].slice(0, maxRooms)
  const found = new Map<UserId, Found>()
  for (let at = 0; at < rooms.length && found.size <= limit; at += atOnce) {
    const candidates = [...profiles.keys()].filter((user) => user !== reader && !found.has(user))
    const asked = { reader, words, candidates }
    const answers = await Promise.all(
      rooms.slice(at, at + atOnce).map((roomId) => roomOf(env, roomId).searchMembers(asked)),
    )
    for (const { local, remote } of answers) {
      for (const user of local)
        found.set(user, shown(user, profiles.get(user)?.displayname, profiles.get(user)?.avatar_url))
      for (const { userId, displayName, avatarUrl } of remote) {
        if (!found.has(userId)) found.set(userId, shown(userId, displayName, avatarUrl))
      }
    }
  }
  return [...found.values()]
}

/** A local user's ID, written out, is found by the name before its server; another server's finds nobody here. */
function withoutServer(term: string, serverName: string): string {
  const [, name = term, server = ''] = /^\s*(@[^:]*):(.*?)\s*$/.exec(term) ?? []
  return serverName.startsWith(server.toLowerCase()) ? name : ''
}

function shown(user_id: UserId, displayName: string | undefined, avatarUrl: string | undefined): Found {
  return {
    user_id,
    ...(displayName === undefined ? {} : { display_name: displayName }),
    ...(avatarUrl === undefined ? {} : { avatar_url: avatarUrl }),
  }
}
