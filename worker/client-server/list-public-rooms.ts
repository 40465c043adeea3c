/** The published room directory. Spec: client-server-api/#published-room-directory, list_public_rooms.yaml. */
import { parseServerName } from '#protocol/identifiers/server-name.ts'
import * as v from 'valibot'

import { type DirectoryEntry, type DirectoryPosition, isPublished, listRooms } from '../accounts/public-rooms.ts'
import type { Env } from '../env.ts'
import { operation } from '../operation.ts'
import { refuse, unwrap } from '../refusal.ts'
import { renewDirectory, setPublished } from '../room-directory.ts'
import { mayCurate } from '../room-permissions.ts'
import { roomOf } from '../rooms.ts'
import { settingsOf } from '../settings.ts'
import { printPosition, readPosition } from './directory-position.ts'
import { wholeNumber } from './parameters.ts'

const visibilities = v.picklist(['public', 'private'])

/** Spec: client-server-api/#get_matrixclientv3directorylistroomroomid */
export const getRoomVisibilityOnDirectory = operation(
  'GET /_matrix/client/v3/directory/list/room/:roomId',
  { id: 'getRoomVisibilityOnDirectory', auth: 'none', r0: true },
  async ({ env, path: { roomId } }) => {
    unwrap(await roomOf(env, roomId).facts())
    return { visibility: (await isPublished(env, roomId)) ? 'public' : 'private' }
  },
)

/** Who may set the canonical alias may publish. Spec: client-server-api/#put_matrixclientv3directorylistroomroomid */
export const setRoomVisibilityOnDirectory = operation(
  'PUT /_matrix/client/v3/directory/list/room/:roomId',
  {
    id: 'setRoomVisibilityOnDirectory',
    auth: 'accessToken',
    body: v.looseObject({ visibility: v.optional(visibilities, 'public') }),
    r0: true,
  },
  async ({ env, requester, path: { roomId }, body: { visibility } }) => {
    if (!requester.isAdmin && !(await mayCurate(env, roomId, requester.userId))) {
      unwrap(await roomOf(env, roomId).facts())
      refuse('forbidden')
    }
    await setPublished(env, roomId, visibility === 'public')
    return {}
  },
)

/** Spec: client-server-api/#get_matrixclientv3publicrooms */
export const getPublicRooms = operation(
  'GET /_matrix/client/v3/publicRooms',
  { id: 'getPublicRooms', auth: 'none', r0: true },
  ({ env, query }) => {
    const since = query.get('since')
    return list(env, query, {
      limit: wholeNumber(query, 'limit', 0, mostRooms),
      ...(since === null ? {} : { since }),
    })
  },
)

const directoryBody = v.looseObject({
  limit: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
  since: v.optional(v.string()),
  filter: v.optional(
    v.looseObject({
      generic_search_term: v.optional(v.string()),
      room_types: v.optional(v.pipe(v.array(v.nullable(v.string())), v.maxLength(50))),
    }),
  ),
  include_all_networks: v.optional(v.boolean()),
  third_party_instance_id: v.optional(v.string()),
})

/** Spec: client-server-api/#post_matrixclientv3publicrooms */
export const queryPublicRooms = operation(
  'POST /_matrix/client/v3/publicRooms',
  { id: 'queryPublicRooms', auth: 'accessToken', body: directoryBody, bodyOptional: true, guests: true, r0: true },
  ({ env, query, body }) => list(env, query, body),
)

/** Rooms on one page at most, and on one whose size nobody asked for. */
const mostRooms = 100

async function list(env: Env, query: URLSearchParams, wishes: v.InferOutput<typeof directoryBody>) {
  const server = query.get('server')
  if (server !== null && server !== settingsOf(env).serverName) {
    refuse(parseServerName(server) ? 'not_found' : 'invalid_param', 'That directory cannot be reached')
  }
  // No network but Matrix has rooms here.
  if (wishes.third_party_instance_id !== undefined) return { chunk: [], total_room_count_estimate: 0 }
  const { since, filter } = wishes
  const position = since === undefined ? undefined : (readPosition(since) ?? refuse('invalid_param', 'Unknown token'))
  const limit = Math.min(wishes.limit || mostRooms, mostRooms)
  await renewDirectory(env)
  // One more than asked for tells whether there is another page that way.
  const { entries, total } = await listRooms(env, {
    limit: limit + 1,
    position,
    search: filter?.generic_search_term || undefined,
    roomTypes: filter?.room_types,
  })
  return { ...pageOf(entries, limit, position), total_room_count_estimate: total }
}

function pageOf(entries: readonly DirectoryEntry[], limit: number, position: DirectoryPosition | undefined) {
  const forwards = position?.forwards ?? true
  const more = entries.length > limit
  // Largest first in both directions, so what is over lies at the far end of the way.
  const chunk = forwards ? entries.slice(0, limit) : entries.slice(-limit)
  const [first, last] = [chunk[0], chunk.at(-1)]
  const hasNext = forwards ? more : position !== undefined
  const hasPrevious = forwards ? position !== undefined : more
  return {
    chunk,
    ...(hasNext && last ? { next_batch: printPosition(true, last) } : {}),
    ...(hasPrevious && first ? { prev_batch: printPosition(false, first) } : {}),
  }
}
