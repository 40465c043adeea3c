/**
 * The cryptography the core is handed: synchronous, so that an event is hashed and signed in the turn that chose its
 * `prev_events`. node:crypto in production, @noble as the independent twin in tests.
 */
export interface Crypto {
  sha256(bytes: Uint8Array): Uint8Array
  /** Ed25519 signature (64 bytes) by the key with this 32-byte seed. */
  sign(bytes: Uint8Array, seed: Uint8Array): Uint8Array
  /** False, never an exception, for a signature or key that is malformed. */
  verify(bytes: Uint8Array, signature: Uint8Array, publicKey: Uint8Array): boolean
}

/** A key this server signs with. `keyId` is `ed25519:<name>`. */
export interface SigningKey {
  readonly keyId: string
  readonly seed: Uint8Array
  readonly publicKey: Uint8Array
}
