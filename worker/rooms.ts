/**
 * Where a room is: its object, by room ID or by alias.
 *
 * A room this server is not in has an object as well, which knows nothing and answers `unknown_room`; whoever can go to
 * other servers for a room starts from that answer.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import { parseRoomAlias, type RoomAlias, serverNameOfAlias } from '#protocol/identifiers/room-alias.ts'
import { parseRoomId, type RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'

import type { RoomDO } from '../durable-objects/room/room-do.ts'
import { findAlias } from './accounts/room-aliases.ts'
import type { Env } from './env.ts'
import { askAlias } from './federation-client/queries.ts'
import { refuse, unwrap } from './refusal.ts'
import { remote, type Remote } from './remote.ts'
import { settingsOf } from './settings.ts'

/** The object that decides about a room. */
export function roomOf(env: Env, roomId: RoomId): Remote<RoomDO> {
  return remote(env.ROOM, roomId)
}

/**
 * The value of what a room answered to one of its members, or a refusal. Rooms that are not here are like rooms one is not
 * in: nobody finds out by asking which private rooms there are.
 */
export function unwrapAsMember<T>(outcome: Outcome<T>): { readonly ok: true } & T {
  return unwrap(!outcome.ok && outcome.reason === 'unknown_room' ? fail('not_in_room') : outcome)
}

export interface FoundRoom {
  readonly roomId: RoomId
  /** By which it was asked for. */
  readonly alias?: RoomAlias
  /** Servers that are likely to be in the room, this one included where it holds the alias. */
  readonly servers: readonly ServerName[]
}

/** What `{roomIdOrAlias}` of a path means. Refuses with M_INVALID_PARAM, or M_NOT_FOUND for an alias nobody holds. */
export async function findRoom(env: Env, idOrAlias: string, via: readonly ServerName[]): Promise<FoundRoom> {
  const roomId = parseRoomId(idOrAlias)
  if (roomId !== undefined) return { roomId, servers: via }
  const alias = parseRoomAlias(idOrAlias) ?? refuse('invalid_param', 'That is neither a room ID nor a room alias')
  const found = (await resolveAlias(env, alias)) ?? refuse('not_found', `Room alias ${alias} not found`)
  return { roomId: found.roomId, alias, servers: [...new Set([...via, ...found.servers])] }
}

/** The room that an alias leads to. Only the server in its name knows; where that is another one, it is asked. */
export async function resolveAlias(env: Env, alias: RoomAlias): Promise<FoundRoom | undefined> {
  const { serverName } = settingsOf(env)
  if (serverNameOfAlias(alias) !== serverName) return askAlias(env, alias)
  const found = await findAlias(env, alias)
  return found && { roomId: found.roomId, servers: [serverName] }
}
