import { describe, expect, it } from 'vitest'
import { oversizedField, parsePdu, pduFromStored } from '#protocol/events/event-format.ts'
import type { FormatReason } from '#protocol/events/event-format.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import { parseEventId } from '#protocol/identifiers/event-id.ts'
import { canonicalJson } from '#protocol/json/canonical-json.ts'
import type { JsonObject, JsonValue } from '#protocol/json/json.ts'
import { parseFederationJson } from '#protocol/json/strict-json.ts'
import { roomVersions } from '#protocol/room-versions/rules.ts'
import type { RoomVersion } from '#protocol/room-versions/rules.ts'
import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { everyRoomVersion, rulesFor } from '../signing/synapse-cases.ts'

const hash = 'Nhcu5BS-UMnFX7hBVfVSoXiD7OgH6iRT-xyIuqDnpYQ'
const since = (first: number) => roomVersions.filter((version) => Number(version) >= first)
const isV1Format = (version: RoomVersion) => Number(version) <= 2

function references(version: RoomVersion, count: number): JsonValue {
  return Array.from({ length: count }, (_, index) => (isV1Format(version) ? [`$p${index}:a`, {}] : `$p${index}`))
}

/** A message that every room version accepts. */
function message(version: RoomVersion, changes: JsonObject = {}): JsonObject {
  return {
    type: 'm.room.message',
    room_id: version === '12' ? `!${hash}` : '!room:a',
    sender: '@alice:a',
    content: { body: 'hello' },
    depth: 5,
    origin_server_ts: 1_731_769_874_137,
    hashes: { sha256: 'x' },
    signatures: { a: { 'ed25519:1': 'x' } },
    prev_events: references(version, 1),
    auth_events: references(version, 3),
    ...(isV1Format(version) ? { event_id: '$e:a' } : {}),
    ...changes,
  }
}

function reasonOf(version: RoomVersion, json: unknown): FormatReason | 'accepted' {
  const result = parsePdu(rulesFor(version), json, nodeCrypto)
  return result.ok ? 'accepted' : result.reason
}

function accepted(version: RoomVersion, json: unknown): Pdu {
  const result = parsePdu(rulesFor(version), json, nodeCrypto)
  if (!result.ok) throw new Error(`${result.reason}: ${result.message}`)
  return result.pdu
}

describe.each(everyRoomVersion)('the events of Synapse in room version $version', ({ rules, cases }) => {
  it('are PDUs, with the same IDs', () => {
    for (const { event, eventId, roomId } of cases) {
      const result = parsePdu(rules, event, nodeCrypto)
      expect(result.ok && [result.pdu.event_id, result.pdu.room_id]).toEqual([eventId, roomId])
    }
  })

  it('keep every signed field, known or not, and lose `unsigned`', () => {
    for (const { event } of cases) {
      const result = parsePdu(rules, event, nodeCrypto)
      const { unsigned: _, ...signed } = event
      expect(result.ok && result.pdu.json).toEqual(signed)
    }
  })
})

describe.each(roomVersions)('an event of room version %s', (version) => {
  it('becomes a PDU', () => {
    const pdu = accepted(version, message(version))
    expect(pdu).toMatchObject({
      room_id: version === '12' ? `!${hash}` : '!room:a',
      type: 'm.room.message',
      state_key: undefined,
      sender: '@alice:a',
      content: { body: 'hello' },
      depth: 5,
      origin_server_ts: 1_731_769_874_137,
      prev_events: isV1Format(version) ? ['$p0:a'] : ['$p0'],
      redacts: undefined,
    })
    expect(pdu.auth_events).toHaveLength(3)
    expect(pduFromStored(rulesFor(version), pdu.json, pdu.event_id)).toEqual(pdu)
  })

  it.each([undefined, null, 1, 'x', [], [{}]])('is not %j', (json) => {
    expect(reasonOf(version, json)).toBe('not_an_object')
  })

  it.each<[string, JsonValue[]]>([
    ['type', [null, 1, {}, ['x']]],
    ['state_key', [null, 1, {}]],
    ['sender', [null, 1, '', 'alice', '@alice', '@alice:', '@a:b c', '!room:a']],
    ['content', [null, 1, 'x', []]],
    ['depth', [null, '5', -1, [], {}, true]],
    ['origin_server_ts', [null, '5', [], {}, true]],
    ['hashes', [null, 1, 'x', [], {}, { sha256: 1 }, { sha512: 'x' }, { sha256: 'x', other: 1 }]],
    ['signatures', [null, 1, 'x', [], { a: 1 }, { a: null }, { a: [] }, { a: { k: 1 } }, { a: { k: null } }]],
    ['prev_events', [null, 1, 'x', {}, [1], [null], [[]], [['$p:a']], [['$p:a', 'x']], [['$p:a', {}, {}]], [[1, {}]]]],
    ['auth_events', [null, 1, '$p:a', {}, [{}], [''], ['$'], ['p'], [['', {}]], [['p', {}]]]],
  ])('has a well-formed %s', (field, values) => {
    for (const value of values) {
      expect([value, reasonOf(version, message(version, { [field]: value }))]).toEqual([value, 'bad_field'])
    }
    if (field === 'state_key') return
    expect(reasonOf(version, message(version, { [field]: undefined }))).toBe('bad_field')
  })

  it('has up to 255 bytes in each identifier, and in type and state key', () => {
    for (const field of ['type', 'state_key']) {
      expect(reasonOf(version, message(version, { [field]: 'a'.repeat(255) }))).toBe('accepted')
      expect(reasonOf(version, message(version, { [field]: 'a'.repeat(256) }))).toBe('field_too_long')
      expect(reasonOf(version, message(version, { [field]: 'é'.repeat(127) }))).toBe('accepted')
      // In old rooms characters were counted: such events are rejected where they are judged.
      const isOld = !rulesFor(version).strictFieldBytes
      const long = 'é'.repeat(128)
      expect(reasonOf(version, message(version, { [field]: long }))).toBe(isOld ? 'accepted' : 'field_too_long')
      if (isOld) expect(oversizedField(accepted(version, message(version, { [field]: long })))).toBe(field)
      expect(oversizedField(accepted(version, message(version, { [field]: 'é'.repeat(127) })))).toBeUndefined()
      const longest = '💥'.repeat(255)
      expect(reasonOf(version, message(version, { [field]: longest }))).toBe(isOld ? 'accepted' : 'field_too_long')
      expect(reasonOf(version, message(version, { [field]: `${longest}x` }))).toBe('field_too_long')
    }
    expect(reasonOf(version, message(version, { sender: `@${'a'.repeat(252)}:a` }))).toBe('accepted')
    expect(reasonOf(version, message(version, { sender: `@${'a'.repeat(253)}:a` }))).toBe('field_too_long')
    expect(reasonOf(version, message(version, { room_id: `!${'a'.repeat(253)}:a` }))).toBe('field_too_long')
    const longReference = isV1Format(version) ? [[`$${'a'.repeat(255)}`, {}]] : [`$${'a'.repeat(255)}`]
    expect(reasonOf(version, message(version, { prev_events: longReference }))).toBe('bad_field')
  })

  it('may come from a historical user, even one without a name', () => {
    for (const sender of ['@:a', '@Ünï Cödé:a', '@a!b:[::1]:8448']) {
      expect(accepted(version, message(version, { sender })).sender).toBe(sender)
    }
  })

  it('has up to 65,536 bytes of canonical JSON, signatures included and `unsigned` not', () => {
    const room = 65_536 - canonicalJson(message(version, { content: { body: '' } })).length
    const filled = (length: number) => message(version, { content: { body: 'x'.repeat(length) } })
    expect(reasonOf(version, filled(room))).toBe('accepted')
    expect(reasonOf(version, filled(room + 1))).toBe('event_too_large')
    expect(reasonOf(version, { ...filled(room), unsigned: { big: 'x'.repeat(100) } })).toBe('accepted')
    expect(reasonOf(version, message(version, { content: { body: 'é'.repeat(room / 2 + 1) } }))).toBe('event_too_large')
    expect(reasonOf(version, message(version, { content: { body: '日'.repeat(room / 3) } }))).toBe('accepted')
  })

  it('has up to 20 prev events and 10 auth events', () => {
    expect(reasonOf(version, message(version, { prev_events: references(version, 20) }))).toBe('accepted')
    expect(reasonOf(version, message(version, { prev_events: references(version, 21) }))).toBe('too_many_prev_events')
    expect(reasonOf(version, message(version, { auth_events: references(version, 10) }))).toBe('accepted')
    expect(reasonOf(version, message(version, { auth_events: references(version, 11) }))).toBe('too_many_auth_events')
  })

  it('has a depth from 0 to 2^53-1, and a time that is an integer', () => {
    for (const depth of [0, 2 ** 53 - 1]) expect(accepted(version, message(version, { depth })).depth).toBe(depth)
    for (const field of ['depth', 'origin_server_ts']) {
      for (const value of [0.5, 2 ** 53, 2 ** 63, -(2 ** 60)]) {
        expect(reasonOf(version, message(version, { [field]: value }))).toMatch(/bad_field|not_canonical_json/)
      }
    }
    expect(accepted(version, message(version, { origin_server_ts: -1 })).origin_server_ts).toBe(-1)
  })

  it('holds floats and large integers up to room version 5', () => {
    for (const value of [0.5, 2 ** 53, -(2 ** 60)]) {
      expect(reasonOf(version, message(version, { content: { deep: [{ value }] } }))).toBe(
        Number(version) <= 5 ? 'accepted' : 'not_canonical_json',
      )
    }
  })

  it('is refused without an exception, whatever hostile JSON holds', () => {
    const deep = '['.repeat(30_000) + ']'.repeat(30_000)
    for (const bad of [
      '1.0',
      '1e3',
      '9007199254740993',
      '1e999',
      '"\\ud800"',
      '{"a":1,"a":2}',
      '{"\\udc00":1}',
      deep,
    ]) {
      const text = canonicalJson(message(version)).replace('"hello"', bad)
      const parsed = parseFederationJson(text)
      expect(reasonOf(version, parsed.ok && parsed.value)).toBe('not_canonical_json')
    }
    const polluted = parseFederationJson(canonicalJson(message(version)).replace('"sender"', '"__proto__"'))
    expect(reasonOf(version, polluted.ok && polluted.value)).toBe('bad_field')
  })

  it('takes no field from a prototype', () => {
    const inherited: unknown = Object.create(message(version))
    expect(reasonOf(version, inherited)).toBe('bad_field')
  })

  it('names what it redacts where its version has it', () => {
    const redaction = message(version, {
      type: 'm.room.redaction',
      redacts: '$top:a',
      content: { redacts: '$inner:a' },
    })
    expect(accepted(version, redaction).redacts).toBe(Number(version) >= 11 ? '$inner:a' : '$top:a')
    expect(
      accepted(version, message(version, { redacts: '$top:a', content: { redacts: '$i:a' } })).redacts,
    ).toBeUndefined()
    for (const redacts of [1, null, '', 'x']) {
      const odd = message(version, { type: 'm.room.redaction', redacts, content: { redacts } })
      expect(accepted(version, odd).redacts).toBeUndefined()
    }
  })

  it('was accepted before, or does not come out of the store', () => {
    const eventId = parseEventId('$e:a')
    if (eventId === undefined) throw new Error('not an event ID')
    expect(() => pduFromStored(rulesFor(version), { type: 'x' }, eventId)).toThrow(TypeError)
  })
})

describe('event IDs', () => {
  it.each(['1', '2'] as const)('are carried by events of v%s', (version) => {
    expect(accepted(version, message(version, { event_id: '$mine:a' })).event_id).toBe('$mine:a')
    for (const event_id of [undefined, 1, null, '', 'e:a', '$hash', '$e:not a server']) {
      expect(reasonOf(version, message(version, { event_id }))).toBe('bad_field')
    }
    expect(reasonOf(version, message(version, { event_id: `$${'a'.repeat(255)}:a` }))).toBe('field_too_long')
  })

  it.each(since(3))('are not, in v%s', (version) => {
    expect(accepted(version, message(version)).event_id).toMatch(
      version === '3' ? /^\$[0-9A-Za-z+/]{43}$/ : /^\$[0-9A-Za-z_-]{43}$/,
    )
    expect(reasonOf(version, message(version, { event_id: '$e:a' }))).toBe('bad_field')
  })

  it.each(since(3))('do not depend on content, signatures or unsigned in v%s', (version) => {
    const eventId = accepted(version, message(version)).event_id
    const changed = message(version, { content: {}, signatures: {}, unsigned: { a: 1 } })
    expect(accepted(version, changed).event_id).toBe(eventId)
    expect(accepted(version, message(version, { depth: 6 })).event_id).not.toBe(eventId)
  })
})

describe('room IDs', () => {
  const bad = [undefined, null, 1, '', 'room:a', '!room', '!room:b c', '$room:a']

  it.each(roomVersions.filter((version) => version !== '12'))('name a server in v%s', (version) => {
    for (const room_id of [...bad, `!${hash}`]) {
      expect(reasonOf(version, message(version, { room_id }))).toMatch(/bad_room_id|bad_field/)
    }
    expect(accepted(version, message(version, { room_id: '!r:[::1]:80' })).room_id).toBe('!r:[::1]:80')
  })

  it('are hashes in v12', () => {
    for (const room_id of [...bad, '!room:a', `!${hash}:a`, `!${hash.replace('-', '+')}`]) {
      expect(reasonOf('12', message('12', { room_id }))).toMatch(/bad_room_id|bad_field/)
    }
  })

  const create = (version: RoomVersion, changes: JsonObject) =>
    message(version, { type: 'm.room.create', state_key: '', prev_events: [], auth_events: [], ...changes })

  it('are made by the create event of v12, which must not have one', () => {
    const pdu = accepted('12', create('12', { room_id: undefined }))
    expect(pdu.room_id).toBe(`!${pdu.event_id.slice(1)}`)
    expect(canonicalJson(pdu.json)).not.toContain('room_id')
    for (const room_id of [`!${hash}`, '!room:a', pdu.room_id]) {
      expect(reasonOf('12', create('12', { room_id }))).toBe('bad_room_id')
    }
  })

  it('cannot come from something like a create event', () => {
    expect(reasonOf('12', create('12', { room_id: undefined, state_key: undefined }))).toBe('bad_field')
    expect(reasonOf('12', create('12', { room_id: undefined, state_key: 'x' }))).toBe('bad_field')
    expect(reasonOf('12', create('12', { room_id: undefined, type: 'm.room.member' }))).toBe('bad_room_id')
    expect(reasonOf('11', create('11', { room_id: undefined }))).toBe('bad_room_id')
  })
})
