/** Who this server is when it signs: its name, its key and the cryptography, loaded once per isolate. */
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { Crypto, SigningKey } from '#protocol/signing/crypto.ts'

import { loadSigningKey } from './accounts/signing-keys.ts'
import type { Env } from './env.ts'
import { nodeCrypto } from './node-crypto.ts'
import { settingsOf } from './settings.ts'

export interface ServerIdentity {
  readonly serverName: ServerName
  readonly key: SigningKey
  readonly crypto: Crypto
}

/** Not the promise of it: one that was cut off with its request would never settle (shared-work.ts). */
let identity: ServerIdentity | undefined

/**
 * The identity of this server. Await it before a synchronous turn, never inside. The first call of an isolate reads the
 * key from D1 (and makes it, once in the life of a server); a failure is not remembered.
 */
export async function serverIdentity(env: Env): Promise<ServerIdentity> {
  if (identity) return identity
  const key = await loadSigningKey(env)
  identity = { serverName: settingsOf(env).serverName, key, crypto: nodeCrypto }
  return identity
}
