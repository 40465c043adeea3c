/**
 * The world as the server itself sees it, for the administrators' page: through the same guarded fetch as all that leaves
 * here. Why a certificate is bad it cannot tell; `npm run doctor` from elsewhere can.
 */
import { nodeCrypto } from '../node-crypto.ts'
import { fetchGuarded, readCapped } from '../federation-client/fetch-capped.ts'
import { http1 } from '../federation-client/http1.ts'
import { isPublicHost } from '../federation-client/address-check.ts'
import { lookupSrv } from '../federation-client/srv-lookup.ts'
import type { Settings } from '../settings.ts'
import type { Asked, Reply, Silence, Surroundings } from './surroundings.ts'

const limits = { timeoutMs: 10_000, maxBytes: 256 * 1024 }

export function surroundingsInside(settings: Settings): Surroundings {
  return {
    ask: (what) => ask(what, settings),
    srv: (name) => lookupSrv(name, settings),
    now: Date.now,
    crypto: nodeCrypto,
  }
}

async function ask(what: Asked, settings: Settings): Promise<Reply | Silence> {
  const url = new URL(what.url)
  const sent = await send(what, url, settings).catch((error: unknown) => messageOf(error))
  if (typeof sent === 'string') return { ok: false, message: sent }
  const body = await readCapped(sent, limits.maxBytes)
  if (!body.ok) return body
  return {
    ok: true,
    status: sent.status,
    headers: Object.fromEntries(sent.headers),
    body: new TextDecoder().decode(body.bytes),
    tlsFault: undefined,
  }
}

/** The answer, or why there is none. */
async function send({ hostHeader, tlsName, headers = {} }: Asked, url: URL, settings: Settings) {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const allowPrivateAddresses = settings.allowPrivateAddresses || url.origin === URL.parse(settings.publicUrl)?.origin
  const accept = { Accept: 'application/json', ...headers }
  if (tlsName === undefined || tlsName === host) {
    const sent = await fetchGuarded(url, { headers: accept }, { ...limits, allowPrivateAddresses })
    return sent.ok ? sent.response : plain(sent.message)
  }
  // Found by an SRV record: the certificate is of another name than the host.
  if (!allowPrivateAddresses && !isPublicHost(host)) return `${host} is not a public address`
  const place = { host, port: Number(url.port || 443), hostHeader: hostHeader ?? url.host, tlsName }
  const request = { method: 'GET', path: url.pathname + url.search, headers: accept, body: undefined }
  return http1(place, request, AbortSignal.timeout(limits.timeoutMs))
}

function messageOf(error: unknown): string {
  return plain(error instanceof Error ? error.message : String(error))
}

/** The runtime keeps to itself whether a name, a connection or a certificate failed. */
function plain(message: string): string {
  return message.startsWith('internal error') ? 'no connection' : message
}
