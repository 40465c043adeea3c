/** One transaction to one server. Spec: server-server-api/#put_matrixfederationv1sendtxnid. */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { JsonObject } from '#protocol/json/json.ts'

import type { Env } from '../../worker/env.ts'
import { signedFetch } from '../../worker/federation-client/signed-fetch.ts'
import { roomOf } from '../../worker/rooms.ts'
import { settingsOf } from '../../worker/settings.ts'
import type { Outgoing } from './outgoing.ts'

const maxPdus = 50
const maxEdus = 100
/** Characters of EDUs: with 50 events of full size a transaction stays below what others take, a few megabytes. */
const maxEduLength = 2_000_000

export interface Sent {
  readonly ok: true
  /** Whether the server was asked at all: there may have been nothing for it. */
  readonly isAnswered: boolean
  /** Per room the positions after which, and up to which, the server now has everything meant for it, and whether there is more. */
  readonly rooms: { roomId: RoomId; after: number; upTo: number; more: boolean }[]
  /** Row IDs of the EDUs that arrived. */
  readonly edus: number[]
}

/** Gathers what the server lacks and sends it, within `timeoutMs`. `{ ok: false }`: it did not take the transaction; nothing is marked sent. */
export async function sendTransaction(
  env: Env,
  destination: ServerName,
  outgoing: Outgoing,
  timeoutMs: number,
): Promise<Sent | { readonly ok: false }> {
  const { pdus, rooms } = await gatherPdus(env, destination, outgoing)
  const durable = fitting([...outgoing.edus].slice(0, maxEdus))
  const edus = [...durable.map(([, edu]) => edu), ...outgoing.takePassing(maxEdus - durable.length)]
  const sent = { ok: true, isAnswered: true, rooms, edus: durable.map(([id]) => id) } as const
  if (pdus.length === 0 && edus.length === 0) return { ...sent, isAnswered: false }
  const answer = await signedFetch(env, {
    destination,
    method: 'PUT',
    path: `/_matrix/federation/v1/send/${crypto.randomUUID()}`,
    body: { origin: settingsOf(env).serverName, origin_server_ts: Date.now(), pdus, ...(edus.length > 0 && { edus }) },
    timeoutMs,
  })
  return answer.ok ? sent : { ok: false }
}

/** As many as one transaction may hold, in order; at least one. */
function fitting(edus: readonly [id: number, edu: JsonObject][]): readonly [id: number, edu: JsonObject][] {
  let length = 0
  const first = edus.findIndex(([, edu], index) => (length += JSON.stringify(edu).length) > maxEduLength && index > 0)
  return first === -1 ? edus : edus.slice(0, first)
}

async function gatherPdus(
  env: Env,
  destination: ServerName,
  outgoing: Outgoing,
): Promise<{ pdus: JsonObject[]; rooms: Sent['rooms'] }> {
  const pdus: JsonObject[] = []
  const rooms: Sent['rooms'] = []
  for (const [roomId, { after }] of outgoing.rooms) {
    const limit = maxPdus - pdus.length
    if (limit === 0) break
    const news = await roomOf(env, roomId).pdusFor({ destination, after, limit })
    pdus.push(...news.pdus)
    rooms.push({ roomId, after, upTo: news.upTo, more: news.more })
  }
  return { pdus, rooms }
}
