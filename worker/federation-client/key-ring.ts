/**
 * The keys of other servers: from this isolate's memory, else D1, else the server itself. Never from a third party.
 *
 * Spec: server-server-api/#retrieving-server-keys. A server that does not answer is asked again only after a pause, so that
 * events by a dead server cost one request, not one each.
 */
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { isObject, own, type JsonObject } from '#protocol/json/json.ts'
import { decodeBase64, encodeBase64Unpadded } from '#protocol/signing/base64.ts'
import { readServerKeys, type ServerKey } from '#protocol/signing/server-keys.ts'
import { and, desc, eq, inArray, isNotNull } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import { limiter } from '../../durable-objects/shared/limit.ts'
import { remoteServerKeys } from '../accounts/schema.ts'
import { expiredKeys } from '../accounts/signing-keys.ts'
import type { Env } from '../env.ts'
import { serverIdentity } from '../server-identity.ts'
import { settingsOf } from '../settings.ts'
import { sharedWork } from '../shared-work.ts'
import { ExpiringMap } from './expiring-map.ts'
import { signedFetch } from './signed-fetch.ts'

/** Finds the keys of a server that may be in use, current and old, newest knowledge. */
export interface KeyRing {
  /** Keys known of these servers, asking those servers of whom a wanted key is missing or no longer `counts`. */
  keysOf(wanted: ReadonlyMap<ServerName, KeyWish>): Promise<ReadonlyMap<ServerName, readonly ServerKey[]>>
}
export interface KeyWish {
  /** Key IDs of which one at least must be found. */
  readonly keyIds: ReadonlySet<string>
  /** Whether a known key serves the purpose; if none does, the server is asked. */
  readonly counts: (key: ServerKey) => boolean
}

const memory = new ExpiringMap<ServerName, readonly ServerKey[]>(5_000)
const asked = new ExpiringMap<ServerName, Promise<readonly ServerKey[]>>(5_000)
const memoryMs = 3_600_000
/** How long an answer, or none, is not asked for again. */
const pauseMs = 60_000
/** D1 takes 100 bound values a query. */
const perQuery = 90
/** Servers asked at once: a platform lets six connections wait for headers. */
const atOnce = 5
/** Bytes of an answer: a hundred keys have 15,000. */
const maxAnswer = 65_536
/** Keys kept of a server that does not publish them any more. */
const maxFormer = 100

/** `beforeAsking` is called before a server is asked, and may refuse that by throwing. */
export function keyRing(env: Env, beforeAsking: () => void = () => undefined): KeyRing {
  return {
    async keysOf(wanted) {
      const { serverName } = settingsOf(env)
      const found = await known(
        env,
        [...wanted.keys()].filter((server) => server !== serverName),
      )
      if (wanted.has(serverName)) found.set(serverName, await ownKeys(env))
      const lacking = [...wanted].filter(
        ([server, wish]) => server !== serverName && !isServed(found.get(server) ?? [], wish),
      )
      if (lacking.some(([server]) => !asked.get(server, Date.now()))) beforeAsking()
      // A dead server keeps one place busy and not all of them.
      const limited = limiter(atOnce)
      const asking = lacking.map(([server]) =>
        limited(async () => found.set(server, await ask(env, server, found.get(server) ?? []))),
      )
      await Promise.all(asking)
      return found
    },
  }
}

/** Our own signatures count too, where an event comes back to us. */
async function ownKeys(env: Env): Promise<ServerKey[]> {
  const { key } = await serverIdentity(env)
  const current = { keyId: key.keyId, publicKey: key.publicKey, validUntilTs: Number.MAX_SAFE_INTEGER, expired: false }
  const old = (await expiredKeys(env)).map(({ keyId, publicKey, expiredAt }) => ({
    keyId,
    publicKey: decodeBase64(publicKey) ?? new Uint8Array(),
    validUntilTs: expiredAt,
    expired: true,
  }))
  return [current, ...old]
}

function isServed(keys: readonly ServerKey[], { keyIds, counts }: KeyWish): boolean {
  return keys.some((key) => keyIds.has(key.keyId) && counts(key))
}

async function known(env: Env, servers: readonly ServerName[]): Promise<Map<ServerName, readonly ServerKey[]>> {
  const found = new Map<ServerName, readonly ServerKey[]>()
  const unknown: ServerName[] = []
  for (const server of servers) {
    const keys = memory.get(server, Date.now())
    if (keys) found.set(server, keys)
    else unknown.push(server)
  }
  for (let at = 0; at < unknown.length; at += perQuery) {
    const rows = await drizzle(env.DB)
      .select()
      .from(remoteServerKeys)
      .where(inArray(remoteServerKeys.serverName, unknown.slice(at, at + perQuery)))
    for (const { serverName, keyId, publicKey, validUntilTs, expired } of rows) {
      const key = { keyId, publicKey: decodeBase64(publicKey) ?? new Uint8Array(), validUntilTs, expired }
      found.set(serverName, [...(found.get(serverName) ?? []), key])
    }
  }
  for (const server of unknown) {
    const keys = found.get(server)
    if (keys) memory.set(server, keys, Date.now() + memoryMs)
  }
  return found
}

/** Asks the server for its keys; those known before stay, as far as it does not say otherwise. */
function ask(env: Env, server: ServerName, before: readonly ServerKey[]): Promise<readonly ServerKey[]> {
  return sharedWork(asked, server, pauseMs, async () => {
    const answer = await fetchKeys(env, server)
    if (!answer) return before
    const former = before.filter((old) => answer.keys.every(({ keyId }) => keyId !== old.keyId))
    const keys = [...answer.keys, ...former.slice(0, maxFormer)]
    memory.set(server, keys, Date.now() + memoryMs)
    await save(env, server, answer, keys)
    return keys
  })
}

interface KeyAnswer {
  readonly keys: readonly ServerKey[]
  readonly response: string
}

/** The server's own answer; undefined when it does not come or does not hold. */
export async function fetchKeys(env: Env, server: ServerName): Promise<KeyAnswer | undefined> {
  const answer = await signedFetch(env, {
    destination: server,
    method: 'GET',
    path: '/_matrix/key/v2/server',
    timeoutMs: 10_000,
    maxBytes: maxAnswer,
  })
  if (!answer.ok) return undefined
  const { crypto } = await serverIdentity(env)
  const keys = readServerKeys(answer.json, server, crypto)
  return keys && { keys, response: JSON.stringify(answer.json) }
}

/** No further server is asked for a notary's answer once so many milliseconds have gone by. */
const notaryPatience = 15_000

/**
 * Whole key answers of servers, as they signed them, for a notary to pass on: valid at least until the time given for
 * each, else asked for anew. Servers that give none are left out. `beforeAsking` as for `keyRing`, once a server.
 */
export async function publishedKeys(
  env: Env,
  wanted: ReadonlyMap<ServerName, number>,
  beforeAsking: () => void,
): Promise<JsonObject[]> {
  const until = Date.now() + notaryPatience
  const limited = limiter(atOnce)
  const publish = async (server: ServerName, minimumValidUntil: number) => {
    const stored = await storedAnswer(env, server)
    const validUntil = stored && own(stored, 'valid_until_ts')
    const fresh = typeof validUntil === 'number' && validUntil >= minimumValidUntil
    if (fresh || Date.now() > until) return stored
    beforeAsking()
    await ask(env, server, (await known(env, [server])).get(server) ?? [])
    return storedAnswer(env, server)
  }
  const asking = [...wanted].map(([server, minimum]) => limited(() => publish(server, minimum)))
  return (await Promise.all(asking)).filter((answer) => answer !== undefined)
}

async function storedAnswer(env: Env, server: ServerName): Promise<JsonObject | undefined> {
  const row = await drizzle(env.DB)
    .select({ response: remoteServerKeys.response })
    .from(remoteServerKeys)
    .where(and(eq(remoteServerKeys.serverName, server), isNotNull(remoteServerKeys.response)))
    .orderBy(desc(remoteServerKeys.fetchedAt))
    .get()
  const json: unknown = row?.response ? JSON.parse(row.response) : undefined
  return isObject(json) ? json : undefined
}

/** Writes down the keys of an answer, and the answer with one of them; of those before, all but `keys` go. */
async function save(
  { DB }: Env,
  serverName: ServerName,
  { keys: answered, response }: KeyAnswer,
  keys: readonly ServerKey[],
): Promise<void> {
  const first = answered.find(({ expired }) => !expired)
  const rows = answered.map((key) => ({
    keyId: key.keyId,
    publicKey: encodeBase64Unpadded(key.publicKey),
    validUntilTs: key.validUntilTs,
    expired: key.expired ? 1 : 0,
    isFirst: key === first,
  }))
  const insert = `INSERT INTO remote_server_keys(server_name, key_id, public_key, valid_until_ts, expired, fetched_at, response)
    SELECT ?1, value ->> 'keyId', value ->> 'publicKey', value ->> 'validUntilTs', value ->> 'expired', ?2,
      iif(value ->> 'isFirst', ?3, NULL) FROM json_each(?4) WHERE true
    ON CONFLICT DO UPDATE SET public_key = excluded.public_key, valid_until_ts = excluded.valid_until_ts,
      expired = excluded.expired, fetched_at = excluded.fetched_at, response = excluded.response`
  const drop =
    'DELETE FROM remote_server_keys WHERE server_name = ?1 AND key_id NOT IN (SELECT value FROM json_each(?2))'
  // Of an answer that another one has replaced nothing is passed on.
  const forget =
    'UPDATE remote_server_keys SET response = NULL WHERE server_name = ?1 AND key_id <> ?2 AND response IS NOT NULL'
  await DB.batch([
    DB.prepare(drop).bind(serverName, JSON.stringify(keys.map(({ keyId }) => keyId))),
    DB.prepare(insert).bind(serverName, Date.now(), response, JSON.stringify(rows)),
    DB.prepare(forget).bind(serverName, first?.keyId ?? ''),
  ])
}
