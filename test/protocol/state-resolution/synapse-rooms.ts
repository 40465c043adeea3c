/** Forked rooms and what Synapse resolves their states to; made by test/fixtures/generate/state_resolution.py. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { parsePdu } from '#protocol/events/event-format.ts'
import type { Lookup, Pdu } from '#protocol/events/pdu.ts'
import { stateMapKey } from '#protocol/events/state-map.ts'
import type { StateMap } from '#protocol/events/state-map.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import { isObject, own } from '#protocol/json/json.ts'
import type { JsonObject, JsonValue } from '#protocol/json/json.ts'
import { parseStrictJson } from '#protocol/json/strict-json.ts'
import { rulesOf } from '#protocol/room-versions/rules.ts'
import type { RoomVersion, RoomVersionRules } from '#protocol/room-versions/rules.ts'
import type { AuthGraph } from '#protocol/state-resolution/auth-graph.ts'
import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { textAt } from '../signing/synapse-cases.ts'

/** The room versions that Synapse was asked about: all that differ in a way that resolution can see. */
export const versionsWithRooms = ['1', '2', '5', '6', '8', '10', '11', '12'] as const satisfies readonly RoomVersion[]

export interface SynapseRoom {
  readonly rules: RoomVersionRules
  readonly events: readonly Pdu[]
  /** Finds all events but the rejected ones. */
  readonly lookup: Lookup
  readonly graph: AuthGraph
  readonly cases: readonly SynapseCase[]
  /** All states that the cases are about. */
  readonly states: readonly StateMap[]
  /** SHA-256 of all event IDs as Synapse computed them, joined. */
  readonly ids: string
}

export interface SynapseCase {
  readonly stateSets: readonly StateMap[]
  readonly resolved: StateMap
}

export function readRooms(version: (typeof versionsWithRooms)[number]): SynapseRoom[] {
  const rules = rulesOf(version)
  const path = new URL(`../../fixtures/state-resolution/v${version}.json.gz`, import.meta.url)
  const parsed = parseStrictJson(gunzipSync(readFileSync(path)).toString('utf8'))
  if (!parsed.ok || !isObject(parsed.value) || rules === undefined) throw new Error(`cannot read ${path.href}`)
  return listAt(parsed.value, 'rooms').map((room) => readRoom(rules, objectOf(room)))
}

export function idsDigest(events: readonly Pdu[]): string {
  return createHash('sha256')
    .update(events.map((pdu) => pdu.event_id).join(''))
    .digest('hex')
}

function readRoom(rules: RoomVersionRules, room: JsonObject): SynapseRoom {
  const events: Pdu[] = []
  const accepted = new Map<EventId, Pdu>()
  const places = new Map<EventId, number>()
  for (const written of listAt(room, 'events').map(objectOf)) {
    const pdu = rebuild(rules, own(room, 'room_id'), written, events)
    places.set(pdu.event_id, events.length)
    events.push(pdu)
    if (own(written, 'rejected') === undefined) accepted.set(pdu.event_id, pdu)
  }
  const eventAt = (place: JsonValue): Pdu => {
    const pdu = events[Number(place)]
    if (pdu === undefined) throw new Error(`no event at ${Number(place)}`)
    return pdu
  }
  const stateOf = (written: JsonValue): StateMap =>
    new Map(
      listOf(written)
        .map(eventAt)
        .map((pdu) => [stateMapKey(pdu.type, pdu.state_key ?? ''), pdu.event_id]),
    )
  const states = listAt(room, 'states').map(stateOf)
  return {
    rules,
    events,
    lookup: (id) => accepted.get(id),
    graph: {
      authEvents: (id) => eventAt(places.get(id) ?? -1).auth_events,
      order: (id) => places.get(id) ?? -1,
    },
    states,
    cases: listAt(room, 'cases')
      .map(objectOf)
      .map((one) => ({
        stateSets: listAt(one, 'sets').map((place) => states[Number(place)] ?? new Map()),
        resolved: stateOf(listAt(one, 'resolved')),
      })),
    ids: textAt(room, 'ids'),
  }
}

/** The event as it would be on the wire, with its references by ID. */
function rebuild(
  rules: RoomVersionRules,
  roomId: JsonValue | undefined,
  written: JsonObject,
  earlier: readonly Pdu[],
): Pdu {
  const { ts, prev: _, auth: __, id, signed_by, rejected: ___, ...fields } = written
  const references = (key: string): JsonValue[] =>
    listAt(written, key)
      .map((place) => String(earlier[Number(place)]?.event_id))
      .map((eventId) => (rules.eventId === 'in-event' ? [eventId, { sha256: '0' }] : eventId))
  const named = rules.roomIdIsCreateHash && fields['type'] === 'm.room.create' ? {} : { room_id: roomId }
  const json: JsonObject = {
    ...fields,
    ...named,
    ...(id === undefined ? {} : { event_id: id }),
    origin_server_ts: ts,
    prev_events: references('prev'),
    auth_events: references('auth'),
    hashes: { sha256: '0' },
    signatures: typeof signed_by === 'string' ? { [signed_by]: { 'ed25519:1': '0' } } : {},
  }
  const parsed = parsePdu(rules, json, nodeCrypto)
  if (!parsed.ok) throw new Error(parsed.message)
  return parsed.pdu
}

function listAt(object: JsonObject, key: string): readonly JsonValue[] {
  return listOf(own(object, key))
}

function listOf(value: JsonValue | undefined): readonly JsonValue[] {
  if (!Array.isArray(value)) throw new Error('not a list')
  return value
}

function objectOf(value: JsonValue): JsonObject {
  if (!isObject(value)) throw new Error('not an object')
  return value
}
