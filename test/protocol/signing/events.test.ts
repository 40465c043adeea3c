import { describe, expect, it } from 'vitest'
import { redact } from '#protocol/events/redaction.ts'
import { canonicalJson, canonicalJsonBytes } from '#protocol/json/canonical-json.ts'
import { own } from '#protocol/json/json.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { decodeBase64, encodeBase64Unpadded, encodeBase64UrlUnpadded } from '#protocol/signing/base64.ts'
import { contentHash, contentHashMatches } from '#protocol/signing/content-hash.ts'
import { signEvent, verifyEventSignature } from '#protocol/signing/event-signatures.ts'
import { signingKeyOf } from '#protocol/signing/keys.ts'
import { nobleCrypto } from '#protocol/signing/noble-crypto.ts'
import { eventIdOf, referenceHash } from '#protocol/signing/reference-hash.ts'
import { nodeCrypto } from '../../../worker/node-crypto.ts'
import vectors from '../../fixtures/signing-vectors.json' with { type: 'json' }
import { everyRoomVersion, objectAt, rulesFor } from './synapse-cases.ts'

const key = signingKeyOf(vectors.key_id, decodeBase64(vectors.seed) ?? new Uint8Array())

describe.each([
  { name: 'node', crypto: nodeCrypto },
  { name: 'noble', crypto: nobleCrypto },
])('the signed events of the specification by $name', ({ crypto }) => {
  const rules = rulesFor('1')

  it.each(vectors.events)('$input.type', ({ input, signed }) => {
    expect(signEvent(rules, input, 'domain', key, crypto)).toEqual(signed)
    expect(contentHashMatches(rules, signed, crypto)).toBe(true)
    expect(verifyEventSignature(rules, signed, 'domain', 'ed25519:1', key.publicKey, crypto)).toBe(true)
  })
})

describe.each(everyRoomVersion)(
  'what Synapse makes of events in room version $version',
  ({ version, rules, cases }) => {
    it('is what we make of them: canonical form', () => {
      for (const { event, sha256OfCanonicalJson } of cases) {
        const bytes = canonicalJsonBytes({ ...event, unsigned: undefined }, !rules.strictCanonicalJson)
        expect(Buffer.from(nodeCrypto.sha256(bytes)).toString('hex')).toBe(sha256OfCanonicalJson)
      }
    })

    it('redacted form', () => {
      for (const { event, redacted } of cases) expect(redact(rules, event)).toEqual(redacted)
    })

    it('content hash', () => {
      for (const { event, contentHash: expected } of cases) {
        expect(contentHash(event, nodeCrypto, rules)).toBe(expected)
        expect(contentHash(event, nodeCrypto)).toBe(expected)
        expect(contentHashMatches(rules, event, nodeCrypto)).toBe(true)
      }
    })

    it('reference hash and event ID', () => {
      for (const { event, redacted, referenceHash: expected, eventId } of cases) {
        // Synapse's, here, in the standard alphabet.
        const urlSafe = expected.replaceAll('+', '-').replaceAll('/', '_')
        expect(referenceHash(rules, event, nodeCrypto)).toBe(Number(version) >= 4 ? urlSafe : expected)
        expect(eventIdOf(rules, event, nodeCrypto)).toBe(eventId)
        // An event and its redacted form have one name.
        expect(eventIdOf(rules, redacted, nodeCrypto)).toBe(eventId)
      }
    })

    it('signature', () => {
      for (const { event, redacted } of cases) {
        const bare = { ...event, signatures: undefined, hashes: undefined }
        expect(signEvent(rules, bare, 'domain', key, nodeCrypto)).toEqual(event)
        for (const json of [event, redacted]) {
          expect(verifyEventSignature(rules, json, 'domain', 'ed25519:1', key.publicKey, nodeCrypto)).toBe(true)
        }
      }
    })
  },
)

describe('an event that was tampered with', () => {
  const rules = rulesFor('11')
  const event = signEvent(
    rules,
    {
      type: 'm.room.message',
      room_id: '!r:domain',
      sender: '@a:domain',
      content: { body: 'hello' },
      depth: 5,
      origin_server_ts: 1,
      prev_events: ['$p'],
      auth_events: [],
    },
    'domain',
    key,
    nodeCrypto,
  )
  const verify = (json: JsonObject, server = 'domain') =>
    verifyEventSignature(rules, json, server, 'ed25519:1', key.publicKey, nodeCrypto)

  it('in what a redaction removes: the signature holds, the hash does not', () => {
    const tampered = { ...event, content: { body: 'bye' } }
    expect(verify(tampered)).toBe(true)
    expect(contentHashMatches(rules, tampered, nodeCrypto)).toBe(false)
    expect(contentHashMatches(rules, redact(rules, event), nodeCrypto)).toBe(false)
  })

  it.each([
    { depth: 6 },
    { sender: '@b:domain' },
    { room_id: '!s:domain' },
    { type: 'm.room.topic' },
    { state_key: '' },
    { prev_events: [] },
    { auth_events: ['$p'] },
    { origin_server_ts: 2 },
    { hashes: { sha256: '' } },
  ])('in what a redaction keeps: the signature does not hold, and the name is another: %j', (change) => {
    const tampered = { ...event, ...change }
    expect(verify(tampered)).toBe(false)
    expect(eventIdOf(rules, tampered, nodeCrypto)).not.toBe(eventIdOf(rules, event, nodeCrypto))
  })

  it('in its signatures: it loses them, not its name', () => {
    const tampered = { ...event, signatures: { other: objectAt(objectAt(event, 'signatures'), 'domain') } }
    expect(verify(tampered)).toBe(false)
    expect(verify(tampered, 'other')).toBe(true)
    expect(eventIdOf(rules, tampered, nodeCrypto)).toBe(eventIdOf(rules, event, nodeCrypto))
  })

  it.each([undefined, null, 'x', [], {}, { sha256: 1 }, { sha256: '***' }, { sha256: 'AAAA' }, { sha512: 'AAAA' }])(
    'in its hashes, which are %j',
    (hashes) => {
      expect(contentHashMatches(rules, { ...event, hashes }, nodeCrypto)).toBe(false)
    },
  )

  it('so that it has no canonical form: no exception either', () => {
    expect(verify({ ...event, depth: 0.5 })).toBe(false)
    expect(verify({ ...event, state_key: '\ud800' })).toBe(false)
  })

  it('by a second signature: both hold', () => {
    const twice = signEvent(rules, event, 'second', key, nodeCrypto)
    expect(verify(twice)).toBe(true)
    expect(verify(twice, 'second')).toBe(true)
    expect(canonicalJson(own(twice, 'hashes') ?? null)).toBe(canonicalJson(own(event, 'hashes') ?? null))
  })
})

describe('the content hash in an event', () => {
  it('may be in either alphabet, padded or not', () => {
    const rules = rulesFor('10')
    const event = { type: 'x', content: {} }
    const bytes = decodeBase64(contentHash(event, nodeCrypto)) ?? new Uint8Array()
    for (const sha256 of [
      encodeBase64Unpadded(bytes),
      encodeBase64UrlUnpadded(bytes),
      Buffer.from(bytes).toString('base64'),
    ]) {
      expect(contentHashMatches(rules, { ...event, hashes: { sha256 } }, nodeCrypto)).toBe(true)
    }
  })
})
