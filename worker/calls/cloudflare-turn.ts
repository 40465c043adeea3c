/**
 * Credentials for Cloudflare's TURN servers (https://developers.cloudflare.com/realtime/turn/generate-credentials/): an API
 * token makes them, which no client may see. All clients are given the same until half of their time is over, so that
 * calls of many cost few requests.
 */
import * as v from 'valibot'

import { ExpiringMap } from '../federation-client/expiring-map.ts'
import { fetchGuarded, readCapped } from '../federation-client/fetch-capped.ts'
import type { Settings } from '../settings.ts'
import type { CloudflareTurn } from '../settings/turn.ts'
import { sharedWork } from '../shared-work.ts'

/** Seconds for which credentials are asked for. */
export const lifetime = 86_400

/** After a failure the service is left alone for so long, in milliseconds. */
const pause = 30_000

const limits = { timeoutMs: 8_000, maxBytes: 64 * 1024 }

export interface Credentials {
  readonly ok: true
  readonly username: string
  readonly password: string
  readonly uris: readonly string[]
  /** Milliseconds since 1970. */
  readonly expiresAt: number
}
/** `message` is for the owner: neither the token nor what the service said in its own words. */
type Asked = Credentials | { readonly ok: false; readonly message: string }

/** By key: one server has one, tests have several. */
const asking = new ExpiringMap<string, Promise<Asked>>(8)
const lastGood = new ExpiringMap<string, Credentials>(8)

/** Credentials that hold for half their lifetime at least, or, when no new ones are to be had, until they end. */
export async function cloudflareCredentials(turn: CloudflareTurn, settings: Settings): Promise<Asked> {
  const key = JSON.stringify([turn.service, turn.keyId, turn.apiToken])
  const known = lastGood.get(key, Date.now())
  if (known && known.expiresAt - Date.now() > (lifetime / 2) * 1000) return known
  const asked = await sharedWork(asking, key, pause, () => askAndNote(turn, key, settings), {
    // Good ones are kept elsewhere; of failures one a while is enough.
    worthKeeping: ({ ok }) => !ok,
    patience: limits.timeoutMs,
  })
  return asked.ok ? asked : (lastGood.get(key, Date.now()) ?? asked)
}

async function askAndNote(turn: CloudflareTurn, key: string, settings: Settings): Promise<Asked> {
  const asked = await askForCredentials(turn, settings)
  if (asked.ok) lastGood.set(key, asked, asked.expiresAt)
  else console.error('no TURN credentials from Cloudflare:', asked.message)
  return asked
}

/** Asks the service, whatever is remembered. */
export async function askForCredentials(turn: CloudflareTurn, { allowPrivateAddresses }: Settings): Promise<Asked> {
  const url = new URL(`${turn.service}/v1/turn/keys/${turn.keyId}/credentials/generate-ice-servers`)
  const headers = { Authorization: `Bearer ${turn.apiToken}`, 'Content-Type': 'application/json' }
  const init = { method: 'POST', headers, body: JSON.stringify({ ttl: lifetime }) }
  const expiresAt = Date.now() + lifetime * 1000
  const sent = await fetchGuarded(url, init, { ...limits, allowPrivateAddresses })
  if (!sent.ok) return { ok: false, message: sent.message }
  const body = await readCapped(sent.response, limits.maxBytes)
  const { status } = sent.response
  if (status === 401 || status === 403 || status === 404) {
    return { ok: false, message: `the service answers ${status}: TURN_KEY_ID and TURN_KEY_API_TOKEN do not fit` }
  }
  if (!sent.response.ok) return { ok: false, message: `the service answers ${status}` }
  if (!body.ok) return { ok: false, message: body.message }
  const credentials = parseIceServers(new TextDecoder().decode(body.bytes))
  return credentials
    ? { ok: true, ...credentials, expiresAt }
    : { ok: false, message: 'the service answers something else than ICE servers' }
}

const iceServer = v.object({
  urls: v.union([v.string(), v.array(v.string())]),
  username: v.optional(v.string()),
  credential: v.optional(v.string()),
})
const iceServers = v.pipe(v.string(), v.parseJson(), v.object({ iceServers: v.union([v.array(iceServer), iceServer]) }))

/**
 * What WebRTC calls ICE servers as Matrix has it: one name and password with all addresses. Port 53 is left out, which
 * browsers refuse and then wait for. Undefined unless there is a TURN server with a name and a password.
 */
export function parseIceServers(text: string): Pick<Credentials, 'username' | 'password' | 'uris'> | undefined {
  const parsed = v.safeParse(iceServers, text)
  if (!parsed.success) return undefined
  for (const { urls, username, credential: password } of [parsed.output.iceServers].flat()) {
    const uris = [urls].flat().filter((uri) => /^turns?:[^\s:]+/.test(uri) && !/:53(?:\?|$)/.test(uri))
    if (uris.length > 0 && username !== undefined && password !== undefined) return { username, password, uris }
  }
  return undefined
}
