/**
 * The published rooms of another server. Spec: server-server-api/#published-room-directory.
 *
 * The same question by many people within a short time is asked once. Of the answer clients get what such an answer holds.
 */
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { type JsonObject, own } from '#protocol/json/json.ts'
import { readPublishedRoom } from '#protocol/room-summary.ts'

import type { Env } from '../env.ts'
import { refuse } from '../refusal.ts'
import { sharedWork } from '../shared-work.ts'
import { ExpiringMap } from './expiring-map.ts'
import { type FederationAnswer, signedFetch } from './signed-fetch.ts'

/** What is asked, in the words of the wire; `limit` is a number of rooms above 0. */
export interface DirectoryWishes {
  readonly limit: number
  readonly since?: string
  readonly filter?: {
    readonly generic_search_term?: string
    readonly room_types?: (string | null)[]
  }
  readonly include_all_networks?: boolean
  readonly third_party_instance_id?: string
}

const timeoutMs = 15_000
const maxBytes = 4 * 1024 * 1024
/** Of one page. A server that gives more than was asked for has them shown: its next page begins after them. */
const mostRooms = 500
const rememberMs = 30_000
const asked = new ExpiringMap<string, Promise<FederationAnswer>>(200)

/** One page. Refuses with what the other server said, or that it could not be asked. */
export async function askPublicRooms(env: Env, server: ServerName, wishes: DirectoryWishes): Promise<JsonObject> {
  const name = JSON.stringify([server, wishes])
  const answer = await sharedWork(asked, name, rememberMs, () => ask(env, server, wishes), {
    worthKeeping: ({ ok }) => ok,
  })
  if (!answer.ok) {
    const reason = answer.kind !== 'http' ? 'bad_gateway' : answer.status === 403 ? 'forbidden' : 'bad_gateway'
    return refuse(reason, `That directory cannot be read: ${answer.message}`)
  }
  return pageOf(answer.json)
}

/** A filter needs the form with a body; everybody understands the other one. */
function ask(env: Env, destination: ServerName, { filter, ...wishes }: DirectoryWishes): Promise<FederationAnswer> {
  const path = '/_matrix/federation/v1/publicRooms'
  const limits = { timeoutMs, maxBytes }
  if (filter) return signedFetch(env, { destination, method: 'POST', path, body: { ...wishes, filter }, ...limits })
  const query = new URLSearchParams(Object.entries(wishes).map(([key, value]) => [key, String(value)]))
  return signedFetch(env, { destination, method: 'GET', path: `${path}?${query.toString()}`, ...limits })
}

function pageOf(json: JsonObject): JsonObject {
  const list = own(json, 'chunk')
  const chunk = (Array.isArray(list) ? list : []).slice(0, mostRooms).map(readPublishedRoom)
  const total = own(json, 'total_room_count_estimate')
  return {
    chunk: chunk.filter((room) => room !== undefined),
    ...token(json, 'next_batch'),
    ...token(json, 'prev_batch'),
    ...(typeof total === 'number' && Number.isSafeInteger(total) && total >= 0
      ? { total_room_count_estimate: total }
      : {}),
  }
}

function token(json: JsonObject, key: string): JsonObject {
  const value = own(json, key)
  return typeof value === 'string' && value !== '' && value.length <= 1024 ? { [key]: value } : {}
}
