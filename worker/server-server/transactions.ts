/**
 * What other servers send us: PDUs for our rooms, EDUs for our users.
 *
 * Spec: server-server-api/#transactions. Cheap refusals first; then format, signatures and hashes here, where CPU
 * parallelises; then one call to each room. Every PDU stands or falls alone, and the answer names those refused.
 */
import { parseRoomId, type RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { isObject, own } from '#protocol/json/json.ts'
import { rulesOf, type RoomVersion } from '#protocol/room-versions/rules.ts'
import * as v from 'valibot'

import type { Env } from '../env.ts'
import { ExpiringMap } from '../federation-client/expiring-map.ts'
import { keyRing } from '../federation-client/key-ring.ts'
import { verifyPdus } from '../federation-client/verify-pdus.ts'
import { removeGuests } from '../memberships.ts'
import { nodeCrypto } from '../node-crypto.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { roomOf } from '../rooms.ts'
import { sharedWork } from '../shared-work.ts'
import { receiveEdus } from './edus/receive-edus.ts'

const maxPdus = 50
const maxEdus = 100

type PduResults = Record<string, { error?: string }>

/** Answers given lately, by origin and transaction ID. Losing one does no harm: events and EDUs are known by themselves. */
const answered = new ExpiringMap<string, Promise<{ pdus: PduResults }>>(1_000)
const rememberMs = 600_000

/** Spec: server-server-api/#put_matrixfederationv1sendtxnid */
export const sendTransaction = operation(
  'PUT /_matrix/federation/v1/send/:txnId',
  {
    id: 'sendTransaction',
    auth: 'server',
    // 50 events and 100 EDUs of 64 KiB each, as servers make them at most, and some room around them.
    maxBody: 12 * 1024 * 1024,
    body: v.looseObject({ pdus: v.optional(v.array(v.unknown()), []), edus: v.optional(v.array(v.unknown()), []) }),
  },
  async ({ env, path, body, requester: { origin } }) => {
    if (body.pdus.length > maxPdus) return refuse('too_large', `A transaction has at most ${maxPdus} PDUs`)
    if (body.edus.length > maxEdus) return refuse('too_large', `A transaction has at most ${maxEdus} EDUs`)
    const name = `${origin} ${path.txnId}`
    return sharedWork(answered, name, rememberMs, () => receive(env, origin, body))
  },
)

async function receive(
  env: Env,
  origin: ServerName,
  { pdus, edus }: { readonly pdus: readonly unknown[]; readonly edus: readonly unknown[] },
): Promise<{ pdus: PduResults }> {
  const results = await Promise.all(
    [...byRoom(pdus)].map(([roomId, events]) => receiveInRoom(env, origin, roomId, events)),
  )
  await receiveEdus(env, origin, edus)
  return { pdus: Object.assign({}, ...results) }
}

/** PDUs that name no room cannot be anybody's. */
function byRoom(pdus: readonly unknown[]): Map<RoomId, unknown[]> {
  const rooms = new Map<RoomId, unknown[]>()
  for (const pdu of pdus) {
    const roomId = isObject(pdu) ? parseRoomId(own(pdu, 'room_id')) : undefined
    if (!roomId) continue
    const events = rooms.get(roomId)
    if (events) events.push(pdu)
    else rooms.set(roomId, [pdu])
  }
  return rooms
}

async function receiveInRoom(env: Env, origin: ServerName, roomId: RoomId, events: unknown[]): Promise<PduResults> {
  const version = await versionOf(env, roomId)
  const rules = rulesOf(version)
  // Without the version not even their IDs are known. Nobody here is in that room.
  if (!rules) return {}
  const verified = await verifyPdus(rules, events, { keys: keyRing(env), crypto: nodeCrypto, now: Date.now() })
  const results: PduResults = {}
  const good = []
  for (const result of verified) {
    if (result.ok) good.push({ event_id: result.pdu.event_id, json: result.pdu.json })
    else if (result.eventId) results[result.eventId] = { error: result.message }
  }
  if (good.length === 0) return results
  const received = await roomOf(env, roomId).receivePdus({ origin, events: good })
  if (good.some(({ json }) => own(json, 'type') === 'm.room.guest_access')) await removeGuests(env, roomId)
  if (received.ok) return Object.assign(results, received.results)
  for (const { event_id } of good) results[event_id] = { error: received.message ?? received.reason }
  return results
}

/** Versions never change once they are certain. Rooms that nobody here is in are asked for at each transaction. */
const versions = new ExpiringMap<RoomId, RoomVersion>(10_000)
const dayMs = 24 * 3_600_000

async function versionOf(env: Env, roomId: RoomId): Promise<RoomVersion | undefined> {
  const known = versions.get(roomId, Date.now())
  if (known) return known
  const asked = await roomOf(env, roomId).version({ forEvents: true })
  if (asked.ok && asked.isCertain) versions.set(roomId, asked.version, Date.now() + dayMs)
  return asked.ok ? asked.version : undefined
}
