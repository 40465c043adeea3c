/** Events that Synapse has judged: the core agrees, but where Synapse is known not to follow the specification. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { checkAuthEventsOf } from '#protocol/event-auth/auth-events.ts'
import type { KnownEvent } from '#protocol/event-auth/auth-events.ts'
import { checkAuthRules } from '#protocol/event-auth/check-auth-rules.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import { parseEventId } from '#protocol/identifiers/event-id.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import { parseUserId, serverNameOf } from '#protocol/identifiers/user-id.ts'
import { isObject, own } from '#protocol/json/json.ts'
import type { JsonObject, JsonValue } from '#protocol/json/json.ts'
import { parseStrictJson } from '#protocol/json/strict-json.ts'
import { roomVersions } from '#protocol/room-versions/rules.ts'
import type { RoomVersion, RoomVersionRules } from '#protocol/room-versions/rules.ts'
import { crypto } from '../../dsl/room-timeline.ts'
import { objectAt, rulesFor, textAt } from '../signing/synapse-cases.ts'

const fixture = readFixture()
const deviations = objectAt(fixture, 'deviations')

function readFixture(): JsonObject {
  const parsed = parseStrictJson(readFileSync(new URL('../../fixtures/event-auth.json', import.meta.url), 'utf8'))
  if (!parsed.ok || !isObject(parsed.value)) throw new Error('the fixture is not strict JSON')
  return parsed.value
}

function listAt(object: JsonObject, key: string): readonly JsonValue[] {
  const value = own(object, key)
  if (!Array.isArray(value)) throw new Error(`no list at ${key}`)
  return value
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('expected a value')
  return value
}

function eventId(rules: RoomVersionRules, name: string, server = 'a.example'): EventId {
  return must(parseEventId(rules.eventId === 'in-event' ? `$${name}:${server}` : `$${name.padEnd(43, '_')}`))
}

function roomIdOf(rules: RoomVersionRules): RoomId {
  return must(parseRoomId(rules.roomIdIsCreateHash ? `!${eventId(rules, 'state0').slice(1)}` : '!room:a.example'))
}

/** What of an event the fixture writes down, as a PDU. */
function pduOf(
  rules: RoomVersionRules,
  event: JsonObject,
  id: EventId,
  links: Pick<Pdu, 'prev_events' | 'auth_events'>,
): Pdu {
  const sender = must(parseUserId(own(event, 'sender')))
  const roomId = own(event, 'room_id')
  const type = textAt(event, 'type')
  const hasRoomId = type !== 'm.room.create' || !rules.roomIdIsCreateHash
  const signers = own(event, 'signed_by') ?? [serverNameOf(sender)]
  if (!Array.isArray(signers)) throw new Error('signed_by is a list')
  const signatures = Object.fromEntries(signers.map((server) => [server, { 'ed25519:1': 'x' }]))
  const stateKey = own(event, 'state_key')
  return {
    event_id: id,
    room_id: roomId === undefined ? roomIdOf(rules) : must(parseRoomId(roomId)),
    type,
    state_key: typeof stateKey === 'string' ? stateKey : undefined,
    sender,
    content: objectAt(event, 'content'),
    depth: 1,
    origin_server_ts: 1,
    redacts: parseEventId(own(event, 'redacts')),
    ...links,
    json: { ...event, signatures, ...(hasRoomId ? { room_id: roomIdOf(rules) } : {}) },
  }
}

const noLinks = { prev_events: [], auth_events: [] }

function stateOf(rules: RoomVersionRules, room: JsonValue): Pdu[] {
  if (!Array.isArray(room)) throw new Error('a room is a list of events')
  return room.map((event, index) => {
    if (!Array.isArray(event)) throw new Error('an event in a room is a list')
    const [type, state_key, sender, content] = event
    return pduOf(rules, { type, state_key, sender, content }, eventId(rules, `state${index}`), noLinks)
  })
}

function judge(rules: RoomVersionRules, rooms: readonly JsonValue[], event: JsonObject) {
  const room = stateOf(rules, must(rooms[Number(own(event, 'room'))]))
  const known = new Map<EventId, KnownEvent>(room.map((pdu) => [pdu.event_id, { pdu, rejected: false }]))
  const authEvents = listAt(event, 'auth').map((index) => eventId(rules, `state${Number(index)}`))
  const extra = own(event, 'extra_auth')
  for (const each of Array.isArray(extra) ? extra : []) {
    if (!isObject(each)) throw new Error('an auth event is an object')
    const id = eventId(rules, `extra${authEvents.length}`)
    known.set(id, { pdu: pduOf(rules, each, id, noLinks), rejected: own(each, 'rejected') === true })
    authEvents.push(id)
  }
  const create = must(room[0]).event_id
  const other = eventId(rules, 'other')
  const prevEvents = { none: [], create: [create], 'create and another': [create, other], another: [other] }
  const prev = own(event, 'prev') ?? 'another'
  const prev_events = must(Object.entries(prevEvents).find(([name]) => name === prev))[1]
  const server =
    own(event, 'id_server') === undefined
      ? serverNameOf(must(parseUserId(own(event, 'sender'))))
      : textAt(event, 'id_server')
  const id = eventId(rules, 'judged', server)
  const pdu = pduOf(rules, event, id, { prev_events, auth_events: authEvents })

  const byAuthEvents = checkAuthEventsOf(rules, pdu, (id) => known.get(id))
  if (!byAuthEvents.ok) return byAuthEvents
  const state = (type: string, stateKey: string) => room.find((pdu) => pdu.type === type && pdu.state_key === stateKey)
  return checkAuthRules(rules, pdu, state, crypto)
}

function casesOf(version: RoomVersion) {
  const ofVersion = objectAt(objectAt(fixture, 'room_versions'), version)
  const rules = rulesFor(version)
  const rooms = listAt(ofVersion, 'rooms')
  return listAt(ofVersion, 'cases').map((event, index) => {
    if (!isObject(event)) throw new Error('a case is an object')
    return { index, event, verdict: judge(rules, rooms, event) }
  })
}

describe.each(roomVersions)('the verdicts of Synapse in version %s', (version) => {
  const cases = casesOf(version)

  it('are ours, but for its deviations', () => {
    const disagreements = cases.filter(({ event, verdict }) => {
      const synapse = own(event, 'allowed') === true
      const deviates = own(event, 'deviation') !== undefined
      if (deviates) expect(textAt(deviations, textAt(event, 'deviation'))).toMatch(/Synapse/)
      return verdict.ok !== (deviates ? !synapse : synapse)
    })
    expect(disagreements).toEqual([])
  })

  it('are of both kinds', () => {
    const allowed = cases.filter(({ verdict }) => verdict.ok).length
    expect(allowed).toBeGreaterThan(30)
    expect(cases.length - allowed).toBeGreaterThan(30)
  })
})
