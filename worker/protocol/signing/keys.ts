/**
 * Ed25519 keys: from a 32-byte seed to what signs and what others verify with.
 *
 * Spec: appendices/#signing-details. A signing key identifier is `<algorithm>:<name>`; `ed25519` is the only algorithm.
 */
import { Point, getPublicKey, hashes } from '@noble/ed25519'
import { sha512 } from '@noble/hashes/sha2.js'
import type { SigningKey } from './crypto.ts'

hashes.sha512 = sha512

/** The public key (32 bytes) of a seed (32 bytes). */
export function publicKeyOf(seed: Uint8Array): Uint8Array {
  return getPublicKey(seed)
}

/** The key with this identifier, `ed25519:<name>`, and this seed of 32 bytes. */
export function signingKeyOf(keyId: string, seed: Uint8Array): SigningKey {
  if (!isEd25519KeyId(keyId)) throw new TypeError('a key ID is ed25519:<name>')
  return { keyId, seed, publicKey: publicKeyOf(seed) }
}

/** True for keys of the one algorithm. Their names are free: with devices it is the device ID, which clients choose. */
export function isEd25519KeyId(keyId: string): boolean {
  return keyId.startsWith('ed25519:') && keyId.length > 'ed25519:'.length
}

/**
 * False for 32 bytes that are no point of the curve, and for the few points of small order, for which signatures on
 * every message exist: some implementations accept those (OpenSSL), others do not (libsodium), and servers must agree.
 */
export function isUsablePublicKey(publicKey: Uint8Array): boolean {
  if (publicKey.length !== 32) return false
  try {
    return !Point.fromBytes(publicKey).isSmallOrder()
  } catch {
    return false
  }
}
