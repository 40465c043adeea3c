import { describe, expect, it } from 'vitest'
import { isObject, own } from '#protocol/json/json.ts'
import type { JsonObject, JsonValue } from '#protocol/json/json.ts'
import { parseStrictJson } from '#protocol/json/strict-json.ts'
import { decodeBase64 } from '#protocol/signing/base64.ts'
import { signingKeyOf } from '#protocol/signing/keys.ts'
import { nobleCrypto } from '#protocol/signing/noble-crypto.ts'
import { requestSignedBytes } from '#protocol/signing/request-signature.ts'
import {
  jsonSignedBytes,
  signJson,
  signatureKeyIds,
  signatureOf,
  verifySignedJson,
} from '#protocol/signing/sign-json.ts'
import { nodeCrypto } from '../../../worker/node-crypto.ts'
import vectors from '../../fixtures/signing-vectors.json' with { type: 'json' }

const key = signingKeyOf(vectors.key_id, decodeBase64(vectors.seed) ?? new Uint8Array())
const cryptos = [
  { name: 'node', crypto: nodeCrypto },
  { name: 'noble', crypto: nobleCrypto },
]

describe.each(cryptos)('signed JSON by $name', ({ crypto }) => {
  const verify = (object: JsonObject, entity = 'domain', keyId = 'ed25519:1', publicKey = key.publicKey) =>
    verifySignedJson(object, entity, keyId, publicKey, crypto)

  it.each(vectors.json)('is that of the specification', ({ input, signed }) => {
    expect(signJson(input, 'domain', key, crypto)).toEqual(signed)
    expect(verify(signed)).toBe(true)
  })

  it('leaves `unsigned` and the signatures of others alone', () => {
    const once = signJson({ a: 1, unsigned: { age: 5 } }, 'first', key, crypto)
    const twice = signJson(once, 'second', key, crypto)
    expect(verify(twice, 'first')).toBe(true)
    expect(verify(twice, 'second')).toBe(true)
    expect(verify({ ...twice, unsigned: { age: 6 }, signatures: own(twice, 'signatures') })).toBe(false)
    expect(verify({ ...twice, unsigned: { age: 6 } }, 'first')).toBe(true)
    expect(own(twice, 'unsigned')).toEqual({ age: 5 })
  })

  it('does not verify when anything else changed', () => {
    const signed = signJson({ a: 1, b: { c: ['d'] } }, 'domain', key, crypto)
    expect(verify(signed)).toBe(true)
    expect(verify({ ...signed, a: 2 })).toBe(false)
    expect(verify({ ...signed, b: { c: ['d', 'e'] } })).toBe(false)
    expect(verify({ ...signed, added: null })).toBe(false)
    expect(verify(signed, 'other')).toBe(false)
    expect(verify(signed, 'domain', 'ed25519:2')).toBe(false)
    expect(verify(signed, 'domain', 'ed25519:1', signingKeyOf('ed25519:1', new Uint8Array(32)).publicKey)).toBe(false)
  })

  it.each<[string, JsonValue]>([
    ['nothing', {}],
    ['no object', 'x'],
    ['an array', []],
    ['no entity', { domain: 'x' }],
    ['a null', { domain: null }],
    ['no text', { domain: { 'ed25519:1': 1 } }],
    ['no base64', { domain: { 'ed25519:1': '***' } }],
    ['too short', { domain: { 'ed25519:1': 'AAAA' } }],
    ['too long', { domain: { 'ed25519:1': 'A'.repeat(88) } }],
    ['all zeros', { domain: { 'ed25519:1': 'A'.repeat(86) } }],
  ])('does not verify where the signature is malformed: %s', (_, signatures) => {
    expect(verify({ a: 1, signatures })).toBe(false)
  })

  it('does not verify by a key that is malformed', () => {
    const signed = signJson({}, 'domain', key, crypto)
    for (const publicKey of [new Uint8Array(), new Uint8Array(31), new Uint8Array(33), new Uint8Array(32).fill(0xff)]) {
      expect(verify(signed, 'domain', 'ed25519:1', publicKey)).toBe(false)
    }
  })

  it('does not verify where there is no canonical form, and does not throw', () => {
    const { signatures } = signJson({}, 'domain', key, crypto)
    expect(verify({ a: NaN, ...(signatures === undefined ? {} : { signatures }) })).toBe(false)
    expect(verify({ a: '\ud800', ...(signatures === undefined ? {} : { signatures }) })).toBe(false)
  })

  it('takes entities and keys by their own names only', () => {
    const signed = signJson({ a: 1 }, '__proto__', key, crypto)
    expect(verify(signed, '__proto__')).toBe(true)
    expect(verify(signed, 'constructor')).toBe(false)
    expect(signatureKeyIds(signed, 'toString')).toEqual([])
  })
})

describe('signatures on an object', () => {
  const signed = { signatures: { a: { 'ed25519:1': 'A'.repeat(86), 'rsa:1': 'A'.repeat(86), 'ed25519:': 'x' } } }

  it('are listed by the keys of algorithms we know', () => {
    expect(signatureKeyIds(signed, 'a')).toEqual(['ed25519:1'])
    expect(signatureKeyIds(signed, 'b')).toEqual([])
    expect(signatureKeyIds({}, 'a')).toEqual([])
  })

  it('are read as bytes', () => {
    expect(signatureOf(signed, 'a', 'ed25519:1')).toEqual(new Uint8Array(64))
    expect(signatureOf(signed, 'a', 'rsa:1')).toBeUndefined()
    for (const length of [0, 85, 87]) {
      const odd = { signatures: { a: { 'ed25519:1': 'A'.repeat(length) } } }
      expect(signatureOf(odd, 'a', 'ed25519:1')).toBeUndefined()
    }
  })
})

describe('the signature on a request', () => {
  const request = { method: 'PUT', uri: '/_matrix/federation/v1/send/1?a=b', origin: 'o', destination: 'd' }
  const textOf = (bytes: Uint8Array | undefined) => bytes && new TextDecoder().decode(bytes)

  it('covers what signing the whole as JSON would', () => {
    const body = '{"pdus":[],"a":{"c":1,"b":"é"}}'
    const content = parseStrictJson(body)
    if (!content.ok || !isObject(content.value)) throw new Error('not an object')
    expect(requestSignedBytes({ ...request, content: body })).toEqual(
      jsonSignedBytes({ ...request, content: content.value }),
    )
    expect(requestSignedBytes({ ...request, content: undefined })).toEqual(jsonSignedBytes(request))
  })

  it('covers numbers as their sender spelled them', () => {
    expect(textOf(requestSignedBytes({ ...request, content: '{"x":1.0,"e":1e-7}' }))).toBe(
      '{"content":{"e":1e-7,"x":1.0},"destination":"d","method":"PUT","origin":"o","uri":"/_matrix/federation/v1/send/1?a=b"}',
    )
  })

  it('does not exist for a body that is no JSON', () => {
    expect(requestSignedBytes({ ...request, content: '{' })).toBeUndefined()
  })
})
