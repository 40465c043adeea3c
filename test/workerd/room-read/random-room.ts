/**
 * Rooms in which anything happens: branches fork and meet, events arrive late, refused or long after, visibility changes,
 * and Bob comes and goes. The same seed makes the same room.
 *
 * Works on a room beside its object (`withRoom`), since another server's events come in as the federation would store them.
 */
import { authEventKeys } from '#protocol/events/auth-events-selection.ts'
import { buildEvent } from '#protocol/events/build-event.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { parseServerName } from '#protocol/identifiers/server-name.ts'
import { signingKeyOf } from '#protocol/signing/keys.ts'
import { append, stateAfterAll } from '../../../durable-objects/room/append.ts'
import { setMembership } from '../../../durable-objects/room/membership.ts'
import { setReceipt } from '../../../durable-objects/room/receipts.ts'
import { type Room, stateLookup } from '../../../durable-objects/room/room.ts'
import { sendEvent } from '../../../durable-objects/room/send-event.ts'
import { eventColumns, type EventRow, outcomes, type StoredEvent } from '../../../durable-objects/room/stored-event.ts'
import { nodeCrypto } from '../../../worker/node-crypto.ts'
import type { ServerIdentity } from '../../../worker/server-identity.ts'
import { alice, bob, makeRoom, mallory, type TestRoom } from '../room/rooms.ts'

const elsewhere = parseServerName('localhost:1')
const key = signingKeyOf('ed25519:remote', new Uint8Array(32).fill(7))
let clock = 1_800_000_000_000

/** Numbers from 0 up to, but not including, what is asked for. */
export type Dice = (sides: number) => number

/** mulberry32. */
export function dice(seed: number): Dice {
  let state = seed
  return (sides) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296) * sides) | 0
  }
}

export function pick<T>(roll: Dice, list: readonly T[]): T {
  const chosen = list[roll(list.length)]
  if (chosen === undefined) throw new Error('nothing to pick from')
  return chosen
}

/** Alice's public room, in which Mallory, of another server, may set state once `begin` let her in. */
export function roomWithMallory(): Promise<TestRoom> {
  return makeRoom('12', { preset: 'public_chat', powerLevelContentOverride: { users: { [mallory]: 50 } } })
}

export interface Event {
  readonly type: string
  readonly stateKey?: string
  readonly content: JsonObject
  readonly prev: readonly StoredEvent[]
  readonly outcome?: StoredEvent['outcome']
  readonly source?: 'live' | 'history'
  /** Claims an event before it that nobody has. */
  readonly hole?: boolean
}

/** Stores an event of Mallory's as if it had come over federation. */
export function receive(room: Room, event: Event): StoredEvent {
  const { type, stateKey, content, prev, outcome = outcomes.accepted, source = 'live', hole = false } = event
  const group = stateAfterAll(room, prev)
  const state = stateLookup(room, group)
  const authEvents = authEventKeys(room.reader.rules, { type, state_key: stateKey, sender: mallory, content })
    .map(([type, stateKey]) => state(type, stateKey)?.event_id)
    .filter((id) => id !== undefined)
  if (elsewhere === undefined) throw new Error('no server name')
  const draft = {
    rules: room.reader.rules,
    roomId: room.reader.header().roomId,
    type,
    stateKey,
    sender: mallory,
    content,
    authEvents,
    originServerTs: (clock += 1),
  }
  const unknown = (depth: number) => {
    const built = buildEvent(
      { ...draft, prevEvents: prev.map(({ event_id }) => ({ event_id, depth })) },
      elsewhere,
      key,
      nodeCrypto,
    )
    if (!built.ok) throw new Error(built.message)
    return built.pdu
  }
  const highest = Math.max(...prev.map(({ depth }) => depth))
  const prevEvents = hole ? [unknown(highest)] : prev
  const built = buildEvent({ ...draft, content: { ...content, again: hole }, prevEvents }, elsewhere, key, nodeCrypto)
  if (!built.ok) throw new Error(built.message)
  return room.transactor.turn(() => ({
    ok: true,
    ...append(room, { pdu: built.pdu, outcome, source, stateBefore: group }),
  })).event
}

/** Lets Mallory in. */
export function begin(room: Room): void {
  const ends = room.reader.events(room.reader.header().extremities)
  receive(room, { type: 'm.room.member', stateKey: mallory, content: { membership: 'join' }, prev: ends })
}

/** Every stored event with a place in the DAG, oldest first. */
export function allEvents({ reader }: Room): StoredEvent[] {
  const query = `SELECT ${eventColumns} FROM events WHERE state_after IS NOT NULL ORDER BY nid`
  return reader.sql
    .exec<EventRow>(query)
    .toArray()
    .map((row) => reader.fromRow(row))
}

export interface Happenings {
  /** Only what this server makes: no fork, nothing late. */
  readonly linear?: boolean
}

const visibilities = ['joined', 'invited', 'shared', 'world_readable']

/** One thing happens. */
export function happen(room: Room, identity: ServerIdentity, roll: Dice, { linear = false }: Happenings = {}): void {
  const now = (clock += 1)
  const own = (type: string, content: JsonObject, stateKey?: string) =>
    sendEvent(room, identity, { sender: alice, type, content, ...(stateKey === undefined ? {} : { stateKey }) }, now)
  const member = (membership: 'join' | 'leave' | 'invite' | 'ban', byAlice: boolean) =>
    setMembership(room, identity, { sender: byAlice ? alice : bob, target: bob, membership }, now)
  switch (roll(linear ? 9 : 16)) {
    case 0:
    case 1:
    case 2:
      own('m.room.message', { body: `own ${clock}` })
      break
    case 3:
      own('m.room.topic', { topic: `own ${clock}` }, '')
      break
    case 4:
      own('m.room.history_visibility', { history_visibility: pick(roll, visibilities) }, '')
      break
    case 5:
    case 6:
      // Some of these are not allowed where Bob stands; then nothing happens.
      member(pick(roll, ['join', 'join', 'join', 'leave']), false)
      break
    case 7:
      member(pick(roll, ['invite', 'leave', 'ban', 'leave']), true)
      break
    case 8:
      readUpToEnd(room, now)
      break
    default:
      fromElsewhere(room, roll)
  }
}

function readUpToEnd(room: Room, now: number): void {
  const newest = allEvents(room).findLast(({ pos }) => pos !== undefined)
  if (newest) setReceipt(room, { user: alice, type: 'm.read', eventId: newest.event_id }, now)
}

/** Mallory sends something, built on some of the latest events in which she was there. */
function fromElsewhere(room: Room, roll: Dice): void {
  const known = allEvents(room).filter(({ outcome }) => outcome === outcomes.accepted)
  const start = known.findIndex(({ type, state_key }) => type === 'm.room.member' && state_key === mallory)
  const late = known.slice(Math.max(start, known.length - 8))
  const prev = [...new Set(roll(3) === 0 ? [pick(roll, late), pick(roll, late)] : [pick(roll, late)])]
  const what = roll(10)
  const state = { type: 'm.room.topic', stateKey: '', content: { topic: `theirs ${clock}` } }
  const message = { type: 'm.room.message', content: { body: `theirs ${clock}` } }
  const change = { ...state, type: 'org.example.other', content: { number: clock } }
  const told = what < 3 ? state : what === 3 ? change : message
  if (what === 9) receive(room, { ...message, prev, source: 'history' })
  else if (what === 8) receive(room, { ...told, prev, outcome: pick(roll, [outcomes.softFailed, outcomes.rejected]) })
  else receive(room, { ...told, prev, hole: what === 7 && roll(3) === 0 })
}
