/** What a room is, before one is in it. Spec: client-server-api/#room-summaries, data/api/client-server/room_summary.yaml. */
import type { JsonObject } from '#protocol/json/json.ts'

import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { RemoteRooms } from '../remote-rooms.ts'
import { findRoom, roomOf } from '../rooms.ts'
import { conditionsFor, isOpen } from '../space-hierarchy.ts'
import { viaServers } from './parameters.ts'

const older = '/_matrix/client/unstable/im.nheko.summary'

/** Spec: client-server-api/#get_matrixclientv1room_summaryroomidoralias */
export const getRoomSummary = operation(
  'GET /_matrix/client/v1/room_summary/:roomIdOrAlias',
  {
    id: 'getRoomSummary',
    auth: 'optional',
    guests: true,
    aliases: [`${older}/summary/:roomIdOrAlias`, `${older}/rooms/:roomIdOrAlias/summary`],
  },
  async ({ env, request, requester, path: { roomIdOrAlias }, query }) => {
    const { roomId, servers } = await findRoom(env, roomIdOrAlias, viaServers(query))
    const reader = requester?.userId
    const here = await roomOf(env, roomId).spaceRoom(reader === undefined ? {} : { reader })
    // Nobody unknown gets this server to ask others for them.
    const found = here.ok ? here : reader && (await new RemoteRooms(env, reader, false).find(roomId, servers))
    const mayEnter = reader === undefined ? () => Promise.resolve(false) : conditionsFor(env, reader)
    // One who may not know of a room is told what is told of rooms that are not there.
    if (!found || !(await isOpen(found, mayEnter))) return refuse('not_found', 'Room not found')
    const { summary, membership } = found
    const names = new URL(request.url).pathname.startsWith(older) ? olderNames(summary) : {}
    return { ...summary, ...names, ...(reader === undefined ? {} : { membership: membership ?? 'leave' }) }
  },
)

/** What was called otherwise before v1.15 (MSC3266). */
function olderNames({ room_version: version, encryption }: JsonObject): JsonObject {
  return {
    ...(version === undefined ? {} : { 'im.nheko.summary.room_version': version, 'im.nheko.summary.version': version }),
    ...(encryption === undefined ? {} : { 'im.nheko.summary.encryption': encryption }),
  }
}
