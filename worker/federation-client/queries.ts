/** What we ask other servers about their aliases and users. Spec: server-server-api/#querying-for-information. */
import { type RoomAlias, serverNameOfAlias } from '#protocol/identifiers/room-alias.ts'
import { parseRoomId, type RoomId } from '#protocol/identifiers/room-id.ts'
import { parseServerName, type ServerName } from '#protocol/identifiers/server-name.ts'
import { serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'
import { own, type JsonObject } from '#protocol/json/json.ts'

import type { Env } from '../env.ts'
import { refuse } from '../refusal.ts'
import { signedFetch, type FederationFailure } from './signed-fetch.ts'

const timeoutMs = 10_000
/** Servers of an alias's answer that are kept, in its order. */
const maxServers = 50

/** The room that an alias of another server leads to; undefined where it does not know the alias. */
export async function askAlias(
  env: Env,
  alias: RoomAlias,
): Promise<{ roomId: RoomId; servers: ServerName[] } | undefined> {
  const destination = serverNameOfAlias(alias)
  const path = `/_matrix/federation/v1/query/directory?room_alias=${encodeURIComponent(alias)}`
  const answer = await signedFetch(env, { destination, method: 'GET', path, timeoutMs })
  if (!answer.ok) return unknownOr(answer)
  const roomId = parseRoomId(own(answer.json, 'room_id'))
  const list = own(answer.json, 'servers')
  if (!roomId) return undefined
  const servers = (Array.isArray(list) ? list : []).slice(0, maxServers).flatMap((name) => parseServerName(name) ?? [])
  return { roomId, servers: [...new Set([...servers, destination])] }
}

/** The profile of a user of another server, or one field of it; undefined where there is no such user. */
export async function askProfile(env: Env, userId: UserId, field?: string): Promise<JsonObject | undefined> {
  const query = `user_id=${encodeURIComponent(userId)}${field === undefined ? '' : `&field=${encodeURIComponent(field)}`}`
  const path = `/_matrix/federation/v1/query/profile?${query}`
  const answer = await signedFetch(env, {
    destination: serverNameOf(userId),
    method: 'GET',
    path,
    timeoutMs,
    maxBytes: 131_072,
  })
  return answer.ok ? answer.json : unknownOr(answer)
}

function unknownOr(failure: FederationFailure): undefined {
  if (failure.kind === 'http' && failure.status < 500) return undefined
  // For whoever asks it is the same: nobody knows of it now.
  return refuse('no_server', `The other server could not be asked: ${failure.message}`)
}
