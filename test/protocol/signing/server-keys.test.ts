import { encodeBase64Unpadded } from '#protocol/signing/base64.ts'
import { signingKeyOf } from '#protocol/signing/keys.ts'
import { nobleCrypto as crypto } from '#protocol/signing/noble-crypto.ts'
import { countsForEvent, countsForRequest, readServerKeys } from '#protocol/signing/server-keys.ts'
import { signJson } from '#protocol/signing/sign-json.ts'
import { describe, expect, it } from 'vitest'

const key = signingKeyOf('ed25519:a', new Uint8Array(32).fill(1))
const other = signingKeyOf('ed25519:b', new Uint8Array(32).fill(2))
const listed = (...keys: (typeof key)[]) =>
  Object.fromEntries(keys.map(({ keyId, publicKey }) => [keyId, { key: encodeBase64Unpadded(publicKey) }]))
const answer = {
  server_name: 'a.example',
  valid_until_ts: 5000,
  verify_keys: listed(key),
  old_verify_keys: { 'ed25519:old': { key: encodeBase64Unpadded(other.publicKey), expired_ts: 1000 } },
}

describe('a server publishes its keys', () => {
  it('and they are believed with its own signature, old ones until they expired', () => {
    expect(readServerKeys(signJson(answer, 'a.example', key, crypto), 'a.example', crypto)).toEqual([
      { keyId: 'ed25519:a', publicKey: key.publicKey, validUntilTs: 5000, expired: false },
      { keyId: 'ed25519:old', publicKey: other.publicKey, validUntilTs: 1000, expired: true },
    ])
  })
  it.each([
    ['without a signature', answer],
    ['signed by a key it does not list', signJson(answer, 'a.example', other, crypto)],
    ['signed by another server', signJson(answer, 'b.example', key, crypto)],
    ['changed after signing', { ...signJson(answer, 'a.example', key, crypto), valid_until_ts: 9000 }],
    [
      'with one right and one wrong signature',
      {
        ...signJson(
          signJson({ ...answer, verify_keys: listed(key, other) }, 'a.example', key, crypto),
          'a.example',
          { ...other, seed: key.seed },
          crypto,
        ),
      },
    ],
    ['for another server', signJson({ ...answer, server_name: 'b.example' }, 'a.example', key, crypto)],
    ['without an end of validity', signJson({ ...answer, valid_until_ts: '5000' }, 'a.example', key, crypto)],
  ])('not %s', (_, hostile) => {
    expect(readServerKeys(hostile, 'a.example', crypto)).toBeUndefined()
  })
  it.each([
    'XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI',
    'XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI=',
    'XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNJ',
  ])('a key whose private half stands in the specification is no key: %s', (text) => {
    const leaked = { 'ed25519:1': { key: text }, ...listed(key) }
    const keys = readServerKeys(
      signJson({ ...answer, verify_keys: leaked }, 'a.example', key, crypto),
      'a.example',
      crypto,
    )
    expect(keys?.map(({ keyId }) => keyId)).toEqual(['ed25519:a', 'ed25519:old'])
  })
})

describe('a key counts', () => {
  const current = { keyId: 'ed25519:a', publicKey: key.publicKey, validUntilTs: 5000, expired: false }
  const old = { ...current, expired: true }
  it('for events up to its end, where the room version asks for validity', () => {
    expect(countsForEvent(current, 5000, true, 0)).toBe(true)
    expect(countsForEvent(current, 5001, true, 0)).toBe(false)
    expect(countsForEvent(current, 5001, false, 0)).toBe(true)
    expect(countsForEvent(old, 4000, true, 9e12)).toBe(true)
  })
  it('for no more than seven days ahead, whatever it claims', () => {
    const forEver = { ...current, validUntilTs: Number.MAX_SAFE_INTEGER }
    expect(countsForEvent(forEver, 7 * 86_400_000 + 1, true, 0)).toBe(false)
    expect(countsForEvent(forEver, 7 * 86_400_000, true, 0)).toBe(true)
  })
  it('for requests only while it is current', () => {
    expect(countsForRequest(current, 5000)).toBe(true)
    expect(countsForRequest(current, 5001)).toBe(false)
    expect(countsForRequest(old, 0)).toBe(false)
  })
})
