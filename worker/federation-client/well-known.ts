/**
 * `.well-known/matrix/server` of other servers, remembered for as long as they say, within limits.
 *
 * Spec: server-server-api/#resolving-server-names step 3: Cache-Control is honoured, 24 hours is the default, 48 hours
 * the most; failures are remembered for at most an hour.
 */
import { isObject, own } from '#protocol/json/json.ts'

import type { Settings } from '../settings.ts'
import { ExpiringMap } from './expiring-map.ts'
import { fetchGuarded, readCapped } from './fetch-capped.ts'

const hour = 3_600_000
const known = new ExpiringMap<string, string | null>(2_000)
const limits = { timeoutMs: 10_000, maxBytes: 51_200, redirects: 10 }

/** What the host delegates to, or undefined. Never fails. */
export async function wellKnownOf(host: string, settings: Settings): Promise<string | undefined> {
  const remembered = known.get(host, Date.now())
  if (remembered !== undefined) return remembered ?? undefined
  const found = await ask(host, settings)
  known.set(host, found.server ?? null, Date.now() + found.lifetime)
  return found.server
}

async function ask(host: string, settings: Settings): Promise<{ server: string | undefined; lifetime: number }> {
  const failure = { server: undefined, lifetime: hour }
  const { allowPrivateAddresses } = settings
  // A name of digits alone fits the grammar of server names, and is no host: too large for an address.
  const url = URL.parse(`https://${host}/.well-known/matrix/server`)
  if (!url) return failure
  const fetched = await fetchGuarded(url, {}, { ...limits, allowPrivateAddresses })
  if (!fetched.ok) return failure
  const body = await readCapped(fetched.response, limits.maxBytes)
  if (!body.ok || fetched.response.status !== 200) return failure
  try {
    const json: unknown = JSON.parse(new TextDecoder().decode(body.bytes))
    const server = isObject(json) ? own(json, 'm.server') : undefined
    if (typeof server !== 'string') return failure
    return { server, lifetime: lifetimeOf(fetched.response.headers.get('Cache-Control')) }
  } catch {
    return failure
  }
}

/** Milliseconds to keep an answer with this Cache-Control: at least five minutes, so that nobody makes us ask always. */
export function lifetimeOf(cacheControl: string | null): number {
  if (cacheControl === null) return 24 * hour
  if (/(?:^|[\s,])no-(?:store|cache)\b/i.test(cacheControl)) return hour / 12
  const seconds = /(?:^|[\s,])max-age=(\d{1,9})/i.exec(cacheControl)?.[1]
  if (seconds === undefined) return 24 * hour
  return Math.min(Math.max(Number(seconds) * 1000, hour / 12), 48 * hour)
}
