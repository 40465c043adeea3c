import { describe, expect, it } from 'vitest'
import { publicKeyOf } from '#protocol/signing/keys.ts'
import { nobleCrypto } from '#protocol/signing/noble-crypto.ts'
import { nodeCrypto } from '../../worker/node-crypto.ts'

/** What test/protocol/signing/crypto.test.ts finds true of Node must be true of the runtime that counts. */
describe('node:crypto in workerd', () => {
  const message = new TextEncoder().encode('a message')
  const seed = new Uint8Array(32).fill(7)
  const publicKey = publicKeyOf(seed)
  const signature = nodeCrypto.sign(message, seed)

  it('hashes and signs as its twin does', () => {
    expect(Array.from(nodeCrypto.sha256(message))).toEqual(Array.from(nobleCrypto.sha256(message)))
    expect(Array.from(signature)).toEqual(Array.from(nobleCrypto.sign(message, seed)))
  })

  it('verifies what is right and refuses what is not', () => {
    expect(nodeCrypto.verify(message, signature, publicKey)).toBe(true)
    expect(nodeCrypto.verify(message.slice(1), signature, publicKey)).toBe(false)
    expect(nodeCrypto.verify(message, new Uint8Array(64), publicKey)).toBe(false)
    expect(nodeCrypto.verify(message, signature, new Uint8Array(32))).toBe(false)
  })

  it.each([0, 31, 33])('refuses a key of %d bytes without an exception', (length) => {
    expect(nodeCrypto.verify(message, signature, new Uint8Array(length))).toBe(false)
  })

  it('refuses a key that is no point on the curve without an exception', () => {
    expect(nodeCrypto.verify(message, signature, new Uint8Array(32).fill(0xff))).toBe(false)
  })
})
