/**
 * SRV records by DNS over HTTPS, the only DNS a Worker has.
 *
 * The resolver is a setting (JSON API of RFC 8484 services); without one there are no SRV records, and discovery goes on
 * to port 8448. Spec: server-server-api/#resolving-server-names steps 3.3, 3.4, 4 and 5.
 */
import { isObject, own, type JsonObject } from '#protocol/json/json.ts'

import type { Settings } from '../settings.ts'
import { ExpiringMap } from './expiring-map.ts'
import { fetchGuarded, readCapped } from './fetch-capped.ts'

export interface SrvRecord {
  readonly target: string
  readonly port: number
}

const known = new ExpiringMap<string, SrvRecord | null>(2_000)
const limits = { timeoutMs: 5_000, maxBytes: 16_384 }
const srvType = 33

/** The record to try first, or undefined. Never fails. */
export async function lookupSrv(name: string, settings: Settings): Promise<SrvRecord | undefined> {
  if (!settings.dnsOverHttps) return undefined
  const remembered = known.get(name, Date.now())
  if (remembered !== undefined) return remembered ?? undefined
  const { record, ttl } = await ask(name, settings.dnsOverHttps, settings)
  known.set(name, record ?? null, Date.now() + ttl * 1000)
  return record
}

async function ask(name: string, resolver: string, settings: Settings): Promise<{ record?: SrvRecord; ttl: number }> {
  const url = new URL(resolver)
  url.searchParams.set('name', name)
  url.searchParams.set('type', 'SRV')
  const { allowPrivateAddresses } = settings
  const fetched = await fetchGuarded(
    url,
    { headers: { Accept: 'application/dns-json' } },
    { ...limits, allowPrivateAddresses },
  )
  if (!fetched.ok) return { ttl: 60 }
  const body = await readCapped(fetched.response, limits.maxBytes)
  if (!body.ok || fetched.response.status !== 200) return { ttl: 60 }
  try {
    return bestSrv(JSON.parse(new TextDecoder().decode(body.bytes)))
  } catch {
    return { ttl: 60 }
  }
}

/** The record of lowest priority, then highest weight, with its lifetime in seconds. Target `.` means: no service. */
export function bestSrv(answer: unknown): { record?: SrvRecord; ttl: number } {
  const list = isObject(answer) ? own(answer, 'Answer') : undefined
  const records = (Array.isArray(list) ? list : [])
    .filter((entry): entry is JsonObject => isObject(entry) && own(entry, 'type') === srvType)
    .flatMap((entry) => {
      const match = /^(\d{1,5}) (\d{1,5}) (\d{1,5}) ([A-Za-z0-9_-][A-Za-z0-9._-]{0,253}?)\.?$/.exec(
        textOf(own(entry, 'data')),
      )
      if (!match || Number(match[3]) > 65_535) return []
      return [
        {
          priority: Number(match[1]),
          weight: Number(match[2]),
          port: Number(match[3]),
          target: match[4] ?? '',
          ttl: Number(own(entry, 'TTL')),
        },
      ]
    })
    .sort((a, b) => a.priority - b.priority || b.weight - a.weight)
  const best = records[0]
  if (!best) return { ttl: 300 }
  return { record: { target: best.target, port: best.port }, ttl: Math.min(Math.max(best.ttl || 300, 60), 86_400) }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
