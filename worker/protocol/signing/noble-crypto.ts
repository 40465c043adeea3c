/**
 * `Crypto` on @noble: pure JavaScript, 7 to 14 times slower than the platform's. The twin that tests compare with.
 */
import { hashes, sign, verify } from '@noble/ed25519'
import { sha256, sha512 } from '@noble/hashes/sha2.js'
import type { Crypto } from './crypto.ts'

hashes.sha512 = sha512

export const nobleCrypto: Crypto = {
  sha256: (bytes) => sha256(bytes),
  sign: (bytes, seed) => sign(bytes, seed),
  verify(bytes, signature, publicKey) {
    if (signature.length !== 64 || publicKey.length !== 32) return false
    try {
      // RFC 8032, not ZIP 215: what the platform checks.
      return verify(signature, bytes, publicKey, { zip215: false })
    } catch {
      return false
    }
  },
}
