/** What makes an event sticky, and until when. MSC4354 (unstable). */
import { buildEvent } from '#protocol/events/build-event.ts'
import { redact } from '#protocol/events/redaction.ts'
import { parseEventId } from '#protocol/identifiers/event-id.ts'
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import { parseUserId } from '#protocol/identifiers/user-id.ts'
import type { JsonValue } from '#protocol/json/json.ts'
import { roomVersions, rulesOf } from '#protocol/room-versions/rules.ts'
import { signingKeyOf } from '#protocol/signing/keys.ts'
import { maxStickyDuration, parseStickyDuration, stickyDurationOf, stickyUntil } from '#protocol/sticky-events.ts'
import { describe, expect, test } from 'vitest'

import { nodeCrypto } from '../../worker/node-crypto.ts'

const hour = 3_600_000

describe('what an event says', () => {
  const said: [JsonValue, number | undefined][] = [
    [{ duration_ms: 5000 }, 5000],
    [{ duration_ms: 0 }, 0],
    [{ duration_ms: 10 * hour }, 10 * hour],
    [{ duration_ms: -1 }, undefined],
    [{ duration_ms: 1.5 }, undefined],
    [{ duration_ms: '5000' }, undefined],
    [{ duration_ms: null }, undefined],
    [{}, undefined],
    [[], undefined],
    [true, undefined],
  ]
  test.each(said)('%j', (sticky, duration) => {
    expect(stickyDurationOf({ msc4354_sticky: sticky })).toBe(duration)
  })
  test('is said at the top level, and by the event itself', () => {
    expect(stickyDurationOf({})).toBeUndefined()
    expect(stickyDurationOf({ content: { msc4354_sticky: { duration_ms: 1 } } })).toBeUndefined()
    expect(stickyDurationOf(Object.create({ msc4354_sticky: { duration_ms: 1 } }))).toBeUndefined()
  })
})

describe('an event is sticky', () => {
  const [sent, received] = [1_000_000, 1_000_500]
  test('from when it was sent', () => {
    expect(stickyUntil({ originServerTs: sent, receivedTs: received, duration: 100 })).toBe(sent + 100)
  })
  test('though not from a time to come', () => {
    expect(stickyUntil({ originServerTs: sent + hour, receivedTs: received, duration: 100 })).toBe(received + 100)
  })
  test('for an hour at most', () => {
    expect(stickyUntil({ originServerTs: sent, receivedTs: received, duration: 24 * hour })).toBe(sent + hour)
  })
})

test.each([
  ['0', 0],
  ['60000', 60_000],
  ['3600000', maxStickyDuration],
  ['3600001', undefined],
  ['-1', undefined],
  ['1.5', undefined],
  ['1e3', undefined],
  ['', undefined],
  [' 1', undefined],
  ['99999999999999999999', undefined],
])('a client asks for %j', (text, duration) => {
  expect(parseStickyDuration(text)).toBe(duration)
})

describe.each(roomVersions)('room version %s', (version) => {
  const rules = rulesOf(version)
  const [roomId, sender] = [
    parseRoomId(version === '12' ? `!${'a'.repeat(43)}` : '!room:here.test'),
    parseUserId('@alice:here.test'),
  ]
  const previous = parseEventId(version === '1' || version === '2' ? '$before:here.test' : `$${'a'.repeat(43)}`)
  if (!rules || !roomId || !sender || !previous) throw new TypeError(version)
  const draft = {
    rules,
    roomId,
    type: 'm.rtc.member',
    sender,
    content: { msc4354_sticky_key: 'PHONE' },
    prevEvents: [{ event_id: previous, depth: 1 }],
    authEvents: [],
    originServerTs: 1,
  }
  const build = (stickyDuration?: number) => {
    const key = signingKeyOf('ed25519:k', new Uint8Array(32).fill(1))
    const built = buildEvent({ ...draft, stickyDuration }, 'here.test', key, nodeCrypto)
    if (!built.ok) throw new Error(built.message)
    return built.pdu
  }

  test('it stands in what is hashed, so that nobody can make it another', () => {
    const [sticky, plain] = [build(60_000), build()]
    expect(sticky.json['msc4354_sticky']).toEqual({ duration_ms: 60_000 })
    expect(plain.json).not.toHaveProperty('msc4354_sticky')
    expect(sticky.json['hashes']).not.toEqual(plain.json['hashes'])
  })
  test('a redaction leaves nothing of it', () => {
    expect(redact(rules, build(60_000).json)).not.toHaveProperty('msc4354_sticky')
  })
})
