/**
 * Requests to other servers, signed by ours.
 *
 * Spec: server-server-api/#request-authentication. Every request of the federation goes through here: discovery, the
 * X-Matrix signature, time and byte caps. Redirects are never followed.
 */
import { canonicalJsonLoose } from '#protocol/json/canonical-json.ts'
import { isObject, own, type JsonObject, type JsonValue } from '#protocol/json/json.ts'
import { parseFederationJson } from '#protocol/json/strict-json.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { signatureOf, signJson } from '#protocol/signing/sign-json.ts'
import { encodeBase64Unpadded } from '#protocol/signing/base64.ts'

import type { Env } from '../env.ts'
import { serverIdentity, type ServerIdentity } from '../server-identity.ts'
import { settingsOf, type Settings } from '../settings.ts'
import { fetchGuarded, readCapped, type FetchFailure } from './fetch-capped.ts'
import { isPublicHost } from './address-check.ts'
import { http1 } from './http1.ts'
import { discoverServer, type Place } from './server-discovery.ts'
import { lookupSrv } from './srv-lookup.ts'
import { wellKnownOf } from './well-known.ts'

export interface FederationRequest {
  readonly destination: ServerName
  readonly method: 'GET' | 'PUT' | 'POST'
  /** Path with query, percent-encoded. */
  readonly path: string
  readonly body?: JsonObject
  /** Media type of the answer; JSON unless told. */
  readonly accept?: string
  /** The oldest endpoints answer `[200, answer]`. */
  readonly isWrapped?: boolean
  /** Until the whole answer is there; 60 s unless told. */
  readonly timeoutMs?: number
  /** Ends it in place of `timeoutMs`: a timer that nobody clears keeps a Durable Object from sleeping. */
  readonly signal?: AbortSignal
  /** Bytes of answer; 10 MiB unless told. */
  readonly maxBytes?: number
}

export type FederationFailure =
  | FetchFailure
  | { readonly ok: false; readonly kind: 'not_json'; readonly message: string }
  /** The server answered, with an error. */
  | {
      readonly ok: false
      readonly kind: 'http'
      readonly status: number
      readonly errcode: string | undefined
      readonly message: string
      /** Its `room_version`, where it says that we do not support that. */
      readonly roomVersion?: string
    }

export type FederationAnswer = { readonly ok: true; readonly json: JsonObject } | FederationFailure
export type FederationStream = { readonly ok: true; readonly response: Response } | FederationFailure

const defaultTimeoutMs = 60_000
const defaultMaxBytes = 10 * 1024 * 1024

/** Asks another server and reads its JSON answer. Expected failures are data. */
export async function signedFetch(env: Env, request: FederationRequest): Promise<FederationAnswer> {
  const sent = await signedStream(env, request)
  if (!sent.ok) return sent
  const body = await readCapped(sent.response, request.maxBytes ?? defaultMaxBytes)
  if (!body.ok) return body
  const whole = parse(body.bytes)
  const json = request.isWrapped && Array.isArray(whole) ? whole[1] : whole
  return isObject(json)
    ? { ok: true, json }
    : { ok: false, kind: 'not_json', message: 'the answer is not a JSON object' }
}

/** As `signedFetch`, but hands out a 2xx answer with its body unread: for answers too large to hold. */
export async function signedStream(env: Env, request: FederationRequest): Promise<FederationStream> {
  const settings = settingsOf(env)
  const identity = await serverIdentity(env)
  if (request.destination === identity.serverName) {
    return { ok: false, kind: 'refused_address', message: 'a server does not call itself' }
  }
  const place = await placeOf(request.destination, settings)
  const sent = await send(place, request, authorization(request, identity), settings)
  if (!sent.ok || sent.response.ok) return sent
  const body = await readCapped(sent.response, 65_536)
  const error = body.ok ? parse(body.bytes) : undefined
  const text = (key: string) => {
    const value = isObject(error) ? own(error, key) : undefined
    return typeof value === 'string' ? value : undefined
  }
  const message = text('error') ?? `HTTP ${sent.response.status}`
  const roomVersion = text('room_version')
  const failure = { ok: false, kind: 'http', status: sent.response.status, errcode: text('errcode'), message } as const
  return roomVersion === undefined ? failure : { ...failure, roomVersion }
}

/** Where a server is reached. */
export function placeOf(serverName: ServerName, settings: Settings): Promise<Place> {
  return discoverServer(serverName, {
    wellKnown: (host) => wellKnownOf(host, settings),
    srv: (name) => lookupSrv(name, settings),
  })
}

/** The Authorization header: a signature over method, path, names and body. */
export function authorization(
  { destination, method, path, body }: FederationRequest,
  { serverName, key, crypto }: ServerIdentity,
): string {
  const signed = signJson(
    { method, uri: path, origin: serverName, destination, ...(body && { content: body }) },
    serverName,
    key,
    crypto,
  )
  const signature = signatureOf(signed, serverName, key.keyId)
  if (!signature) throw new TypeError('signing left no signature')
  return `X-Matrix origin="${serverName}",destination="${destination}",key="${key.keyId}",sig="${encodeBase64Unpadded(signature)}"`
}

async function send(
  place: Place,
  request: FederationRequest,
  auth: string,
  settings: Settings,
): Promise<FederationStream> {
  const { allowPrivateAddresses } = settings
  const timeoutMs = request.timeoutMs ?? defaultTimeoutMs
  const headers = {
    Authorization: auth,
    Accept: request.accept ?? 'application/json',
    ...(request.body && { 'Content-Type': 'application/json' }),
  }
  const body = request.body && new TextEncoder().encode(canonicalJsonLoose(request.body))
  if (place.tlsName === place.host) {
    const host = place.host.includes(':') ? `[${place.host}]` : place.host
    const url = URL.parse(`https://${host}:${place.port}${request.path}`)
    if (!url) return { ok: false, kind: 'unreachable', message: `${place.host} is no host` }
    const limits = { timeoutMs, maxBytes: 0, allowPrivateAddresses, ...(request.signal && { signal: request.signal }) }
    return fetchGuarded(url, { method: request.method, headers, ...(body && { body }) }, limits)
  }
  if (!allowPrivateAddresses && !isPublicHost(place.host)) {
    return { ok: false, kind: 'refused_address', message: `${place.host} is not a public address` }
  }
  try {
    const signal = request.signal ?? AbortSignal.timeout(timeoutMs)
    return {
      ok: true,
      response: await http1(place, { method: request.method, path: request.path, headers, body }, signal),
    }
  } catch (error) {
    return { ok: false, kind: 'unreachable', message: error instanceof Error ? error.message : String(error) }
  }
}

/** As requests are read: what JSON.parse would change silently, or what nests without end, is no number and no object. */
function parse(bytes: Uint8Array): JsonValue | undefined {
  const parsed = parseFederationJson(new TextDecoder().decode(bytes))
  return parsed.ok ? parsed.value : undefined
}
