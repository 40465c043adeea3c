/** Events of another server, stored as if they had passed its checks: for tests of the DAG. */
import { authEventKeys } from '#protocol/events/auth-events-selection.ts'
import { buildEvent } from '#protocol/events/build-event.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import { parseServerName } from '#protocol/identifiers/server-name.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { signingKeyOf } from '#protocol/signing/keys.ts'
import { append, type Appended, type Arrival, stateAfterAll } from '../../../durable-objects/room/append.ts'
import { type Room, stateLookup } from '../../../durable-objects/room/room.ts'
import { type GroupId, outcomes, type StoredEvent } from '../../../durable-objects/room/stored-event.ts'
import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { mallory } from './rooms.ts'

const elsewhere = parseServerName('localhost:1')
const key = signingKeyOf('ed25519:remote', new Uint8Array(32).fill(7))
let clock = 1_800_000_000_000

/** A time after that of every event so far. */
export function now(): number {
  return (clock += 1)
}

export interface Remote {
  readonly type: string
  readonly stateKey?: string
  readonly sender?: UserId
  readonly content?: JsonObject
  readonly redacts?: EventId
  readonly prev: readonly StoredEvent[]
  /** Where it is not the state after `prev`. */
  readonly state?: GroupId
  /** Where it is not one after all others. */
  readonly originServerTs?: number
}

/** An event of Mallory's server. */
export function build(room: Room, event: Remote): Pdu {
  const { type, stateKey, sender = mallory, content = {}, prev } = event
  const state = stateLookup(room, event.state ?? stateAfterAll(room, prev))
  const authEvents = authEventKeys(room.reader.rules, { type, state_key: stateKey, sender, content })
    .map(([type, stateKey]) => state(type, stateKey)?.event_id)
    .filter((id) => id !== undefined)
  const { roomId } = room.reader.header()
  const draft = { ...event, rules: room.reader.rules, roomId, sender, content, prevEvents: prev, authEvents }
  if (elsewhere === undefined) throw new Error('no server name')
  const built = buildEvent({ ...draft, originServerTs: event.originServerTs ?? now() }, elsewhere, key, nodeCrypto)
  if (!built.ok) throw new Error(built.message)
  return built.pdu
}

export function store(room: Room, pdu: Pdu, arrival: Partial<Arrival> = {}): Appended {
  const prev = pdu.prev_events.map((id) => room.reader.eventById(id)).filter((event) => event !== undefined)
  const stateBefore = 'stateBefore' in arrival ? arrival.stateBefore : stateAfterAll(room, prev)
  return room.transactor.turn(() => ({
    ok: true,
    ...append(room, { pdu, outcome: outcomes.accepted, source: 'live', ...arrival, stateBefore }),
  }))
}

/** Builds and stores in one. */
export function receive(room: Room, event: Remote, arrival: Partial<Arrival> = {}): StoredEvent {
  return store(room, build(room, event), arrival).event
}
