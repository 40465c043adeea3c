import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isUsablePublicKey, publicKeyOf, signingKeyOf } from '#protocol/signing/keys.ts'
import { nobleCrypto } from '#protocol/signing/noble-crypto.ts'
import { nodeCrypto } from '../../../worker/node-crypto.ts'

const bytes = fc.uint8Array({ maxLength: 200 })
const seed = fc.uint8Array({ minLength: 32, maxLength: 32 })

describe('the platform and its twin', () => {
  it('hash alike', () => {
    fc.assert(
      fc.property(bytes, (message) => {
        expect(Array.from(nodeCrypto.sha256(message))).toEqual(Array.from(nobleCrypto.sha256(message)))
      }),
    )
  })

  it('sign alike, and each believes the other', () => {
    fc.assert(
      fc.property(bytes, seed, (message, secret) => {
        const signature = nodeCrypto.sign(message, secret)
        expect(Array.from(nobleCrypto.sign(message, secret))).toEqual(Array.from(signature))
        const publicKey = publicKeyOf(secret)
        expect(nodeCrypto.verify(message, signature, publicKey)).toBe(true)
        expect(nobleCrypto.verify(message, signature, publicKey)).toBe(true)
      }),
      { numRuns: 25 },
    )
  })

  it('both refuse what was changed by one bit', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 50 }), seed, fc.nat(), (message, secret, where) => {
        const flip = (of: Uint8Array) =>
          of.map((byte, index) => (index === where % of.length ? byte ^ (1 << (where % 8)) : byte))
        const signature = nodeCrypto.sign(message, secret)
        const publicKey = publicKeyOf(secret)
        for (const crypto of [nodeCrypto, nobleCrypto]) {
          expect(crypto.verify(flip(message), signature, publicKey)).toBe(false)
          expect(crypto.verify(message, flip(signature), publicKey)).toBe(false)
          expect(crypto.verify(message, signature, flip(publicKey))).toBe(false)
        }
      }),
      { numRuns: 20 },
    )
  })

  it('both refuse a signature whose second half is not reduced', () => {
    // RFC 8032 section 8.4: adding the group order to S must not give a second valid signature.
    const order = 2n ** 252n + 27742317777372353535851937790883648493n
    const message = Uint8Array.of(1, 2, 3)
    const key = signingKeyOf('ed25519:a', new Uint8Array(32).fill(7))
    const signature = Uint8Array.from(nodeCrypto.sign(message, key.seed))
    let s = 0n
    for (let index = 63; index >= 32; index--) s = (s << 8n) | BigInt(signature[index] ?? 0)
    s += order
    const malleable = signature.map((byte, index) =>
      index < 32 ? byte : Number((s >> BigInt(8 * (index - 32))) & 255n),
    )
    expect(nodeCrypto.verify(message, signature, key.publicKey)).toBe(true)
    expect(nodeCrypto.verify(message, malleable, key.publicKey)).toBe(false)
    expect(nobleCrypto.verify(message, malleable, key.publicKey)).toBe(false)
  })

  it.each([
    ['order 1', '0100000000000000000000000000000000000000000000000000000000000000'],
    ['order 2', 'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
    ['order 4', '0000000000000000000000000000000000000000000000000000000000000000'],
    ['order 8', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'],
    ['order 8', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'],
    ['order 1, not canonical', 'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
    ['no point', 'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff'],
  ])('both refuse a key for which everything is signed: %s', (_, hex) => {
    const publicKey = Uint8Array.from(Buffer.from(hex, 'hex'))
    expect(isUsablePublicKey(publicKey)).toBe(false)
    // R is the neutral element and S is zero: valid for a key of order 1, and of others for one message in a few.
    const signature = Uint8Array.from({ length: 64 }, (_, index) => (index === 0 ? 1 : 0))
    for (let message = 0; message < 16; message++) {
      expect(nodeCrypto.verify(Uint8Array.of(message), signature, publicKey)).toBe(false)
      expect(nobleCrypto.verify(Uint8Array.of(message), signature, publicKey)).toBe(false)
    }
  })

  it('remember keys without mixing them up, however many there are', () => {
    const message = Uint8Array.of(9)
    const secrets = Array.from({ length: 2100 }, (_, index) =>
      new Uint8Array(32).fill(index % 251, 0, 16).fill(index % 241, 16),
    )
    const first = nodeCrypto.sign(message, new Uint8Array(32))
    for (const secret of secrets) nodeCrypto.sign(message, secret)
    expect(Array.from(nodeCrypto.sign(message, new Uint8Array(32)))).toEqual(Array.from(first))
  })
})

describe('a signing key', () => {
  it('has a public key that is usable, and 32 bytes long', () => {
    const publicKey = publicKeyOf(new Uint8Array(32))
    expect(isUsablePublicKey(publicKey)).toBe(true)
    expect(isUsablePublicKey(publicKey.slice(1))).toBe(false)
  })

  it('has the public key of its seed', () => {
    // RFC 8032 section 7.1, test 1.
    const secret = Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex')
    expect(Buffer.from(publicKeyOf(secret)).toString('hex')).toBe(
      'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    )
  })

  it.each(['1', 'ed25519', 'ed25519:', 'rsa:1', ''])('is not called %j', (keyId) => {
    expect(() => signingKeyOf(keyId, new Uint8Array(32))).toThrow(TypeError)
  })

  it('has 32 bytes', () => {
    expect(() => signingKeyOf('ed25519:1', new Uint8Array(31))).toThrow()
    expect(() => nodeCrypto.sign(new Uint8Array(), new Uint8Array(31))).toThrow()
  })
})
