/**
 * Rooms that this server is not in, as another server tells of them: a space with the rooms in it, or one room alone.
 *
 * Spec: server-server-api/#spaces, #get_matrixfederationv1hierarchyroomid. What an answer may say: something of the room that
 * was asked for, and of rooms which that room names as its children; nothing else is read. Answers are kept for some minutes
 * ("Responses to this endpoint should be cached for a period of time"), by the servers that were asked, so that nobody can
 * put words into the mouths of others; and a server that does not answer is left alone for one.
 */
import { parseRoomId, type RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { isObject, type JsonObject, type JsonValue, own } from '#protocol/json/json.ts'
import { type ForeignSummary, readSummary } from '#protocol/room-summary.ts'
import { hasVia, viaOf } from '#protocol/space-child.ts'

import type { SpaceChild } from '../../durable-objects/room/space-room.ts'
import type { Env } from '../env.ts'
import { sharedWork } from '../shared-work.ts'
import { ExpiringMap } from './expiring-map.ts'
import { signedFetch } from './signed-fetch.ts'

export interface RemoteSpace {
  readonly room: ForeignSummary
  readonly children: readonly SpaceChild[]
  readonly childRooms: ReadonlyMap<RoomId, ForeignSummary>
  /** "They should not be re-requested." */
  readonly inaccessible: ReadonlySet<RoomId>
}

const timeoutMs = 5_000
const maxBytes = 4 * 1024 * 1024
/** Servers asked for one room. */
const maxServers = 3
/** Children read of one answer. */
const maxChildren = 1000
const rememberMs = 300_000
const silenceMs = 60_000
const answers = new ExpiringMap<string, Promise<RemoteSpace | undefined>>(300)
/** Servers that could not be reached lately. */
const silent = new ExpiringMap<ServerName, true>(1_000)

/** What one of these servers tells of the room; undefined if none of them does. */
export async function askHierarchy(
  env: Env,
  roomId: RoomId,
  servers: readonly ServerName[],
  suggestedOnly: boolean,
): Promise<RemoteSpace | undefined> {
  const asked = servers.slice(0, maxServers)
  const name = JSON.stringify([roomId, suggestedOnly, asked])
  const ask = () => askEach(env, roomId, asked, suggestedOnly)
  // Who may not know of a room now may in a moment, when their server has heard of a join.
  return sharedWork(answers, name, rememberMs, ask, { worthKeeping: (answer) => answer !== undefined })
}

async function askEach(
  env: Env,
  roomId: RoomId,
  servers: readonly ServerName[],
  suggestedOnly: boolean,
): Promise<RemoteSpace | undefined> {
  const path = `/_matrix/federation/v1/hierarchy/${encodeURIComponent(roomId)}?suggested_only=${suggestedOnly}`
  for (const destination of servers) {
    if (silent.get(destination, Date.now())) continue
    const answer = await signedFetch(env, { destination, method: 'GET', path, timeoutMs, maxBytes })
    const read = answer.ok ? readSpace(roomId, answer.json) : undefined
    if (read) return read
    if (!answer.ok && answer.kind !== 'http') silent.set(destination, true, Date.now() + silenceMs)
  }
  return undefined
}

function readSpace(roomId: RoomId, json: JsonObject): RemoteSpace | undefined {
  const parent = own(json, 'room')
  const room = readSummary(parent)
  if (!isObject(parent) || room?.roomId !== roomId) return undefined
  const children = list(own(parent, 'children_state')).slice(0, maxChildren).flatMap(readChild)
  const named = new Set(children.map((child) => child.roomId))
  const childRooms = new Map<RoomId, ForeignSummary>()
  for (const entry of list(own(json, 'children')).slice(0, maxChildren)) {
    const summary = readSummary(entry)
    if (summary && named.has(summary.roomId)) childRooms.set(summary.roomId, summary)
  }
  const closed = list(own(json, 'inaccessible_children')).slice(0, maxChildren).map(parseRoomId)
  const inaccessible = new Set(
    closed.filter((id) => id !== undefined && named.has(id)).filter((id) => id !== undefined),
  )
  return { room, children, childRooms, inaccessible }
}

/** A stripped `m.space.child`, in the order in which the server tells them. */
function readChild(event: JsonValue): SpaceChild[] {
  if (!isObject(event) || own(event, 'type') !== 'm.space.child') return []
  const [roomId, content] = [parseRoomId(own(event, 'state_key')), own(event, 'content')]
  const [sender, ts] = [own(event, 'sender'), own(event, 'origin_server_ts')]
  if (!roomId || !isObject(content) || !hasVia(content)) return []
  if (typeof sender !== 'string' || typeof ts !== 'number') return []
  const shown = { type: 'm.space.child', state_key: roomId, sender, content, origin_server_ts: ts }
  return [{ roomId, isSuggested: own(content, 'suggested') === true, via: viaOf(content), event: shown }]
}

function list(value: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(value) ? value : []
}
