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

let loading: Promise<ServerIdentity> | undefined

/**
 * The identity of this server. Await it before a synchronous turn, never inside. The first call of an isolate reads the
 * key from D1 (and makes it, once in the life of a server); a failure is not remembered.
 */
export function serverIdentity(env: Env): Promise<ServerIdentity> {
  loading ??= load(env).catch((error: unknown) => {
    loading = undefined
    throw error
  })
  return loading
}

async function load(env: Env): Promise<ServerIdentity> {
  const { serverName } = settingsOf(env)
  return { serverName, key: await loadSigningKey(env), crypto: nodeCrypto }
}
