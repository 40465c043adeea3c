import { describe, expect, it } from 'vitest'
import { buildEvent } from '#protocol/events/build-event.ts'
import type { EventToBuild } from '#protocol/events/build-event.ts'
import { parsePdu } from '#protocol/events/event-format.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import { parseEventId } from '#protocol/identifiers/event-id.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import { parseUserId } from '#protocol/identifiers/user-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { canonicalJson } from '#protocol/json/canonical-json.ts'
import { own } from '#protocol/json/json.ts'
import { roomVersions } from '#protocol/room-versions/rules.ts'
import type { RoomVersion } from '#protocol/room-versions/rules.ts'
import { contentHashMatches } from '#protocol/signing/content-hash.ts'
import { requiredSigners, verifyEventSignature } from '#protocol/signing/event-signatures.ts'
import { signingKeyOf } from '#protocol/signing/keys.ts'
import { nobleCrypto } from '#protocol/signing/noble-crypto.ts'
import { referenceHash } from '#protocol/signing/reference-hash.ts'
import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { rulesFor } from '../signing/synapse-cases.ts'

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('expected a value')
  return value
}
const key = signingKeyOf('ed25519:a', new Uint8Array(32).fill(1))
const alice: UserId = must(parseUserId('@alice:hearth.example'))
const eventId = (id: string): EventId => must(parseEventId(id))

function roomOf(version: RoomVersion): RoomId {
  return must(parseRoomId(version === '12' ? `!${'h'.repeat(43)}` : '!room:hearth.example'))
}

function build(version: RoomVersion, changes: Partial<EventToBuild> = {}, crypto = nodeCrypto) {
  const input: EventToBuild = {
    rules: rulesFor(version),
    roomId: roomOf(version),
    type: 'm.room.message',
    stateKey: undefined,
    sender: alice,
    content: { body: 'hello', msgtype: 'm.text' },
    prevEvents: [{ event_id: eventId('$p:a'), depth: 7 }],
    authEvents: [eventId('$c:a'), eventId('$m:a')],
    originServerTs: 1_731_769_874_137,
    ...changes,
  }
  return buildEvent(input, 'hearth.example', key, crypto)
}

function built(version: RoomVersion, changes: Partial<EventToBuild> = {}): Pdu {
  const result = build(version, changes)
  if (!result.ok) throw new Error(result.message)
  return result.pdu
}

describe.each(roomVersions)('an event built for room version %s', (version) => {
  const rules = rulesFor(version)

  it('is one that other servers accept', () => {
    const pdu = built(version)
    // Through the wire, as others get it.
    const received = parsePdu(rules, JSON.parse(canonicalJson(pdu.json)), nobleCrypto)
    expect(received.ok && received.pdu).toEqual(pdu)
    expect(contentHashMatches(rules, pdu.json, nobleCrypto)).toBe(true)
    for (const server of requiredSigners(rules, pdu)) {
      expect(server).toBe('hearth.example')
      expect(verifyEventSignature(rules, pdu.json, server, 'ed25519:a', key.publicKey, nobleCrypto)).toBe(true)
    }
    expect(requiredSigners(rules, pdu)).toHaveLength(1)
  })

  it('has what it was given', () => {
    const pdu = built(version, { type: 'm.room.topic', stateKey: '', content: { topic: 'x' } })
    expect(pdu).toMatchObject({
      room_id: roomOf(version),
      type: 'm.room.topic',
      state_key: '',
      sender: alice,
      content: { topic: 'x' },
      depth: 8,
      origin_server_ts: 1_731_769_874_137,
      prev_events: ['$p:a'],
      auth_events: ['$c:a', '$m:a'],
    })
  })

  it('does not depend on who does the cryptography', () => {
    expect(build(version, {}, nobleCrypto)).toEqual(build(version))
  })

  it('is another event at another time, and another message at the same time', () => {
    const ids = new Set([
      built(version).event_id,
      built(version, { originServerTs: 1 }).event_id,
      built(version, { content: { body: 'bye' } }).event_id,
      built(version, { prevEvents: [] }).event_id,
    ])
    expect(ids.size).toBe(4)
  })

  it('has a depth one above the deepest before it, up to the limit', () => {
    const after = (...depths: number[]) =>
      built(version, { prevEvents: depths.map((depth, index) => ({ event_id: eventId(`$${index}:a`), depth })) }).depth
    expect(after()).toBe(1)
    expect(after(0)).toBe(1)
    expect(after(3, 9, 5)).toBe(10)
    expect(after(2 ** 53 - 1)).toBe(2 ** 53 - 1)
  })

  it('redacts where its version says so', () => {
    const pdu = built(version, {
      type: 'm.room.redaction',
      content: { reason: 'spam' },
      redacts: eventId('$bad:a'),
    })
    expect(pdu.redacts).toBe('$bad:a')
    const inContent = Number(version) >= 11
    expect(pdu.content).toEqual({ reason: 'spam', ...(inContent ? { redacts: '$bad:a' } : {}) })
    expect(own(pdu.json, 'redacts')).toBe(inContent ? undefined : '$bad:a')
  })

  it('is refused, not thrown, where the client asked for what cannot be', () => {
    const reason = (changes: Partial<EventToBuild>) => {
      const result = build(version, changes)
      return result.ok ? 'built' : result.reason
    }
    const isLoose = Number(version) <= 5
    expect(reason({ content: { a: 0.5 } })).toBe(isLoose ? 'built' : 'not_canonical_json')
    expect(reason({ content: { a: 2 ** 53 } })).toBe(isLoose ? 'built' : 'not_canonical_json')
    expect(reason({ content: { a: NaN } })).toBe('not_canonical_json')
    expect(reason({ content: { a: '\ud800' } })).toBe('not_canonical_json')
    expect(reason({ content: { a: 'x'.repeat(65_536) } })).toBe('event_too_large')
    expect(reason({ type: 'x'.repeat(256) })).toBe('field_too_long')
    expect(reason({ stateKey: 'x'.repeat(256) })).toBe('field_too_long')
    expect(reason({ originServerTs: 0.5 })).toMatch(/bad_field|not_canonical_json/)
    expect(reason({ roomId: undefined })).toBe('bad_room_id')
    const many = Array.from({ length: 21 }, (_, index) => ({ event_id: eventId(`$${index}:a`), depth: 1 }))
    expect(reason({ prevEvents: many })).toBe('too_many_prev_events')
    expect(reason({ authEvents: many.slice(0, 11).map((event) => event.event_id) })).toBe('too_many_auth_events')
  })
})

describe('the create event', () => {
  const create = { type: 'm.room.create', stateKey: '', content: {}, prevEvents: [], authEvents: [] }

  it('of v12 makes the room ID', () => {
    const pdu = built('12', { ...create, roomId: undefined })
    expect(pdu.room_id).toBe(`!${pdu.event_id.slice(1)}`)
    expect(own(pdu.json, 'room_id')).toBeUndefined()
    expect(built('12', create).room_id).toBe(pdu.room_id)
    expect(built('12', { ...create, originServerTs: 1 }).room_id).not.toBe(pdu.room_id)
  })

  it.each(roomVersions.filter((version) => version !== '12'))('of v%s has the room ID it was given', (version) => {
    expect(own(built(version, create).json, 'room_id')).toBe('!room:hearth.example')
  })
})

describe.each(['1', '2'] as const)('room version %s', (version) => {
  it('puts the event ID into the event, under our name', () => {
    const pdu = built(version)
    expect(own(pdu.json, 'event_id')).toBe(pdu.event_id)
    expect(pdu.event_id).toMatch(/^\$[0-9A-Za-z_-]{24}:hearth\.example$/)
  })

  it('puts reference hashes beside the IDs of events that are known', () => {
    const first = built(version)
    const second = built(version, {
      prevEvents: [first, { event_id: eventId('$unknown:a'), depth: 1 }],
      lookup: (id) => (id === first.event_id ? first : undefined),
    })
    expect(own(second.json, 'prev_events')).toEqual([
      [first.event_id, { sha256: referenceHash(rulesFor(version), first.json, nodeCrypto) }],
      ['$unknown:a', {}],
    ])
    expect(second.prev_events).toEqual([first.event_id, '$unknown:a'])
  })
})
