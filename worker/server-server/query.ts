/** What other servers ask about our aliases and users. Spec: server-server-api/#querying-for-information. */
import { parseRoomAlias, serverNameOfAlias } from '#protocol/identifiers/room-alias.ts'
import { parseUserId, serverNameOf } from '#protocol/identifiers/user-id.ts'
import { own } from '#protocol/json/json.ts'

import { readProfile } from '../accounts/profiles.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { resolveAlias, roomOf } from '../rooms.ts'

/** Spec: server-server-api/#get_matrixfederationv1querydirectory */
export const queryRoomDirectory = operation(
  'GET /_matrix/federation/v1/query/directory',
  { id: 'queryRoomDirectory', auth: 'server' },
  async ({ env, query, settings }) => {
    const alias = parseRoomAlias(query.get('room_alias')) ?? refuse('invalid_param', 'room_alias is malformed')
    if (serverNameOfAlias(alias) !== settings.serverName) return refuse('not_found', 'That alias is of another server')
    const found = (await resolveAlias(env, alias)) ?? refuse('not_found', `Room alias ${alias} not found`)
    const joined = await roomOf(env, found.roomId).joinedServers()
    return { room_id: found.roomId, servers: [...new Set([settings.serverName, ...joined])] }
  },
)

/** Spec: server-server-api/#get_matrixfederationv1queryprofile */
export const queryProfile = operation(
  'GET /_matrix/federation/v1/query/profile',
  { id: 'queryProfile', auth: 'server' },
  async ({ env, query, settings }) => {
    const userId = parseUserId(query.get('user_id')) ?? refuse('invalid_param', 'user_id is malformed')
    if (serverNameOf(userId) !== settings.serverName) return refuse('not_found', 'That user is of another server')
    const profile = (await readProfile(env, userId)) ?? refuse('not_found', 'There is no such user')
    const field = query.get('field')
    if (field === null) return profile
    const value = own(profile, field)
    return value === undefined ? {} : { [field]: value }
  },
)

/** "Known query types are specified as their own endpoints": those above. Spec: #get_matrixfederationv1queryquerytype */
export const queryInfo = operation(
  'GET /_matrix/federation/v1/query/:queryType',
  { id: 'queryInfo', auth: 'server' },
  ({ path: { queryType } }) => refuse('unrecognized', `Nothing is known of ${JSON.stringify(queryType.slice(0, 80))}`),
)
