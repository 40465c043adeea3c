/**
 * Our keys for others, and other servers' keys passed on with our signature (notary).
 *
 * Spec: server-server-api/#retrieving-server-keys. Unauthenticated by nature: a server must be able to ask before anybody
 * knows its key.
 */
import { canonicalJson } from '#protocol/json/canonical-json.ts'
import { own, isObject, type JsonObject } from '#protocol/json/json.ts'
import { parseServerName, type ServerName } from '#protocol/identifiers/server-name.ts'
import { encodeBase64Unpadded } from '#protocol/signing/base64.ts'
import { signJson } from '#protocol/signing/sign-json.ts'
import * as v from 'valibot'

import { expiredKeys } from '../accounts/signing-keys.ts'
import type { Env } from '../env.ts'
import { publishedKeys } from '../federation-client/key-ring.ts'
import { limitIntroduction } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { serverIdentity } from '../server-identity.ts'

/** How long others may use our keys without asking again. */
const validMs = 24 * 3_600_000
/** Servers whose keys one request may ask for. */
const maxServers = 50

/** Spec: server-server-api/#get_matrixkeyv2server */
export const getServerKey = operation('GET /_matrix/key/v2/server', { id: 'getServerKey', auth: 'none' }, ({ env }) =>
  canonicalResponse(env),
)

/** The older form with a key ID, which means the same. */
export const getServerKeyById = operation(
  'GET /_matrix/key/v2/server/:keyId',
  { id: 'getServerKeyById', auth: 'none' },
  ({ env }) => canonicalResponse(env),
)

/** Spec: server-server-api/#get_matrixkeyv2queryservername */
export const perspectivesKeyQuery = operation(
  'GET /_matrix/key/v2/query/:serverName',
  { id: 'perspectivesKeyQuery', auth: 'none' },
  async ({ env, path, query, request, settings }) => {
    const server = parseServerName(path.serverName)
    if (!server) return refuse('invalid_param', 'That is not a server name')
    const minimum = Number(query.get('minimum_valid_until_ts') ?? Date.now())
    const wanted = new Map([[server, Number.isFinite(minimum) ? minimum : Date.now()]])
    return { server_keys: await notarised(env, wanted, () => limitIntroduction(request, settings)) }
  },
)

/** Spec: server-server-api/#post_matrixkeyv2query */
export const bulkPerspectivesKeyQuery = operation(
  'POST /_matrix/key/v2/query',
  {
    id: 'bulkPerspectivesKeyQuery',
    auth: 'none',
    body: v.looseObject({ server_keys: v.record(v.string(), v.record(v.string(), v.unknown())) }),
  },
  async ({ env, body, request, settings }) => {
    const wanted = Object.entries(body.server_keys).slice(0, maxServers)
    const servers = wanted.flatMap(([name, criteria]) => {
      const server = parseServerName(name)
      return server ? [[server, latestMinimum(criteria)] as const] : []
    })
    return { server_keys: await notarised(env, new Map(servers), () => limitIntroduction(request, settings)) }
  },
)

/** The strictest `minimum_valid_until_ts` of the keys asked for; now, where none is named. */
function latestMinimum(criteria: Readonly<Record<string, unknown>>): number {
  const times = Object.values(criteria).map((criterion) =>
    isObject(criterion) ? own(criterion, 'minimum_valid_until_ts') : undefined,
  )
  return times.reduce<number>(
    (latest, time) => (typeof time === 'number' ? Math.max(latest, time) : latest),
    Date.now(),
  )
}

/** In the very form that was signed: who checks it need not sort it first. */
async function canonicalResponse(env: Env): Promise<Response> {
  return new Response(canonicalJson(await ownKeys(env)), { headers: { 'Content-Type': 'application/json' } })
}

async function ownKeys(env: Env): Promise<JsonObject> {
  const { serverName, key, crypto } = await serverIdentity(env)
  const old = (await expiredKeys(env)).map(({ keyId, publicKey, expiredAt }) => [
    keyId,
    { key: publicKey, expired_ts: expiredAt },
  ])
  return signJson(
    {
      server_name: serverName,
      valid_until_ts: Date.now() + validMs,
      verify_keys: { [key.keyId]: { key: encodeBase64Unpadded(key.publicKey) } },
      old_verify_keys: Object.fromEntries(old),
    },
    serverName,
    key,
    crypto,
  )
}

/** What those servers published, with our signature added. Servers that cannot be asked are left out. */
async function notarised(
  env: Env,
  wanted: ReadonlyMap<ServerName, number>,
  beforeAsking: () => void,
): Promise<JsonObject[]> {
  const { serverName, key, crypto } = await serverIdentity(env)
  const others = new Map([...wanted].filter(([server]) => server !== serverName))
  const published = await publishedKeys(env, others, beforeAsking)
  const signed = published.map((answer) => signJson(answer, serverName, key, crypto))
  return wanted.has(serverName) ? [await ownKeys(env), ...signed] : signed
}
