/** The published room directory. Spec: client-server-api/#published-room-directory, list_public_rooms.yaml. */
import { parseServerName } from '#protocol/identifiers/server-name.ts'
import * as v from 'valibot'

import { isPublished } from '../accounts/public-rooms.ts'
import type { Env } from '../env.ts'
import { askPublicRooms } from '../federation-client/public-rooms.ts'
import { operation, type Requester } from '../operation.ts'
import { type DirectoryQuestion, directoryQuestion, listPublished, mostRooms } from '../published-rooms.ts'
import { refuse, unwrap } from '../refusal.ts'
import { setPublished } from '../room-directory.ts'
import { mayCurate } from '../room-permissions.ts'
import { roomOf } from '../rooms.ts'
import { settingsOf } from '../settings.ts'
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
  { id: 'getPublicRooms', auth: 'optional', guests: true, r0: true },
  ({ env, requester, query }) => {
    const since = query.get('since')
    const limit = wholeNumber(query, 'limit', 0, mostRooms)
    return list(env, requester, query, { limit, ...(since === null ? {} : { since }) })
  },
)

/** Spec: client-server-api/#post_matrixclientv3publicrooms */
export const queryPublicRooms = operation(
  'POST /_matrix/client/v3/publicRooms',
  { id: 'queryPublicRooms', auth: 'accessToken', body: directoryQuestion, bodyOptional: true, guests: true, r0: true },
  ({ env, requester, query, body }) => list(env, requester, query, body),
)

async function list(env: Env, requester: Requester | undefined, query: URLSearchParams, question: DirectoryQuestion) {
  const named = query.get('server')
  if (named === null || named === settingsOf(env).serverName) return listPublished(env, question)
  const server = parseServerName(named) ?? refuse('invalid_param', 'server is not the name of a server')
  // Nobody unknown gets this server to send requests for them.
  if (!requester) return refuse('missing_token')
  const { limit, since, filter, include_all_networks: all, third_party_instance_id: network } = question
  const { generic_search_term: term, room_types: types } = filter ?? {}
  return askPublicRooms(env, server, {
    limit: Math.min(limit || mostRooms, mostRooms),
    ...(since === undefined ? {} : { since }),
    ...(all === undefined ? {} : { include_all_networks: all }),
    ...(network === undefined ? {} : { third_party_instance_id: network }),
    ...(term === undefined && types === undefined
      ? {}
      : {
          filter: {
            ...(term === undefined ? {} : { generic_search_term: term }),
            ...(types === undefined ? {} : { room_types: types }),
          },
        }),
  })
}
