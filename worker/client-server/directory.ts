/** Room aliases. Spec: client-server-api/#room-aliases, data/api/client-server/directory.yaml. */
import { withoutAliases } from '#protocol/canonical-alias.ts'
import { parseRoomAlias, type RoomAlias, serverNameOfAlias } from '#protocol/identifiers/room-alias.ts'
import { parseRoomId, type RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { isObject } from '#protocol/json/json.ts'
import * as v from 'valibot'

import { aliasesOfRoom, findAlias, releaseAlias, reserveAlias } from '../accounts/room-aliases.ts'
import type { Env } from '../env.ts'
import { operation } from '../operation.ts'
import { refuse, unwrap } from '../refusal.ts'
import { renewEntry } from '../room-directory.ts'
import { isJoined, mayCurate } from '../room-permissions.ts'
import { resolveAlias, roomOf } from '../rooms.ts'
import { settingsOf } from '../settings.ts'

/** Servers told as a way into a room. */
const maxServers = 50

/** Spec: client-server-api/#get_matrixclientv3directoryroomroomalias */
export const getRoomIdByAlias = operation(
  'GET /_matrix/client/v3/directory/room/:roomAlias',
  { id: 'getRoomIdByAlias', auth: 'none', r0: true },
  async ({ env, path }) => {
    const alias = aliasFrom(path.roomAlias)
    const found = (await resolveAlias(env, alias)) ?? refuse('not_found', `Room alias ${alias} not found.`)
    const isOurs = serverNameOfAlias(alias) === settingsOf(env).serverName
    const others = isOurs ? await roomOf(env, found.roomId).joinedServers() : []
    return { room_id: found.roomId, servers: [...new Set([...found.servers, ...others])].slice(0, maxServers) }
  },
)

/** Members of a room may give it aliases. Spec: client-server-api/#put_matrixclientv3directoryroomroomalias */
export const setRoomAlias = operation(
  'PUT /_matrix/client/v3/directory/room/:roomAlias',
  { id: 'setRoomAlias', auth: 'accessToken', body: v.looseObject({ room_id: v.string() }), r0: true },
  async ({ env, requester, path, body }) => {
    const alias = localAliasFrom(env, path.roomAlias)
    const roomId = parseRoomId(body.room_id) ?? refuse('invalid_param', 'room_id is not a room ID')
    if (!requester.isAdmin && !(await isJoined(env, roomId, requester.userId))) refuse('not_in_room')
    unwrap(await roomOf(env, roomId).facts())
    const reserved = await reserveAlias(env, { alias, roomId, creator: requester.userId })
    if (!reserved) refuse('alias_exists', `Room alias ${alias} already exists.`)
    return {}
  },
)

/**
 * Spec: client-server-api/#delete_matrixclientv3directoryroomroomalias. "Servers may choose to implement additional access
 * control checks": whoever made the alias may delete it, whoever may set the canonical alias, and administrators.
 */
export const deleteRoomAlias = operation(
  'DELETE /_matrix/client/v3/directory/room/:roomAlias',
  { id: 'deleteRoomAlias', auth: 'accessToken', r0: true },
  async ({ env, requester, path }) => {
    const alias = localAliasFrom(env, path.roomAlias)
    const notFound = () => refuse('not_found', `Room alias ${alias} not found.`)
    const held = (await findAlias(env, alias)) ?? notFound()
    const mayDelete = requester.isAdmin || held.creator === requester.userId
    if (!mayDelete && !(await mayCurate(env, held.roomId, requester.userId))) refuse('forbidden')
    if (!(await releaseAlias(env, alias, held.roomId))) notFound()
    await withdrawCanonicalAlias(env, held.roomId, requester.userId, alias)
    return {}
  },
)

/**
 * "Servers which choose to update the canonical alias event are recommended to … delete the alias and return a successful
 * response even if the user does not have permission to update the `m.room.canonical_alias` event."
 */
async function withdrawCanonicalAlias(env: Env, roomId: RoomId, sender: UserId, gone: RoomAlias): Promise<void> {
  const type = 'm.room.canonical_alias'
  const room = roomOf(env, roomId)
  const current = await room.stateEvent({ reader: sender, type, stateKey: '' })
  if (!current.ok || !isObject(current.event.content)) return
  const content = withoutAliases(current.event.content, (alias) => alias === gone)
  if (!content) return
  const sent = await room.sendEvent({ sender, type, stateKey: '', content })
  if (sent.ok) await renewEntry(env, roomId)
}

/** Spec: client-server-api/#get_matrixclientv3roomsroomidaliases */
export const getLocalAliases = operation(
  'GET /_matrix/client/v3/rooms/:roomId/aliases',
  {
    id: 'getLocalAliases',
    auth: 'accessToken',
    r0: true,
    aliases: ['/_matrix/client/unstable/org.matrix.msc2432/rooms/:roomId/aliases'],
  },
  async ({ env, requester, path: { roomId } }) => {
    if (!(await isJoined(env, roomId, requester.userId))) {
      const facts = await roomOf(env, roomId).facts()
      if (!facts.ok || !facts.worldReadable) refuse('not_in_room')
    }
    return { aliases: await aliasesOfRoom(env, roomId) }
  },
)

function aliasFrom(text: string): RoomAlias {
  return parseRoomAlias(text) ?? refuse('invalid_param', 'Room alias invalid')
}

function localAliasFrom(env: Env, text: string): RoomAlias {
  const alias = aliasFrom(text)
  if (serverNameOfAlias(alias) !== settingsOf(env).serverName)
    refuse('invalid_param', 'Other servers keep their aliases')
  return alias
}
