/**
 * The one way out: a fetch with a time cap, a byte cap and no way to a private address.
 *
 * Redirects are followed only when asked for, one by one, each target checked anew. Bodies are counted after
 * decompression, so that a bomb stops at the cap (CWE-409).
 */
import { isPublicHost } from './address-check.ts'

export interface FetchLimits {
  /** Until the whole body is there, in milliseconds. */
  readonly timeoutMs: number
  /** Bytes of body, decompressed. */
  readonly maxBytes: number
  /** Development: loopback and private addresses are allowed. */
  readonly allowPrivateAddresses: boolean
  /** Redirects that are followed at most; none unless told. */
  readonly redirects?: number
  /** Plain http to public addresses is allowed as well: for the web at large. */
  readonly plainHttp?: true
  /** Hosts, with their ports where those are not the usual ones, that are not asked: this server itself. */
  readonly exceptHosts?: readonly string[]
  /** What asks, in place of the global fetch. */
  readonly by?: { fetch(target: URL, init: RequestInit): Promise<Response> }
  /** Ends it in place of `timeoutMs`: for Durable Objects, which a timer that nobody clears keeps from sleeping. */
  readonly signal?: AbortSignal
}

export type FetchFailure = {
  readonly ok: false
  readonly kind: 'refused_address' | 'unreachable' | 'timeout' | 'too_large' | 'too_many_redirects'
  readonly message: string
}
export type FetchedResponse = { readonly ok: true; readonly response: Response; readonly url: URL }

/** A response whose body is still to be read; `timeoutMs` goes on running over it, `capped` reads it. */
export async function fetchGuarded(
  url: URL,
  init: RequestInit,
  limits: FetchLimits,
): Promise<FetchedResponse | FetchFailure> {
  const signal = limits.signal ?? AbortSignal.timeout(limits.timeoutMs)
  let target = url
  for (let hop = 0; hop <= (limits.redirects ?? 0); hop++) {
    const refused = addressFault(target, limits)
    if (refused) return refused
    let response: Response
    try {
      const wanted = { ...init, redirect: 'manual', signal } as const
      response = await (limits.by ? limits.by.fetch(target, wanted) : fetch(target, wanted))
    } catch (error) {
      return failureOf(error, signal)
    }
    const location = response.status >= 300 && response.status < 400 ? response.headers.get('Location') : null
    if (location === null || !limits.redirects) return { ok: true, response, url: target }
    await response.body?.cancel()
    const next = URL.parse(location, target)
    if (!next) return { ok: false, kind: 'unreachable', message: 'redirected to something that is not a URL' }
    target = next
  }
  return { ok: false, kind: 'too_many_redirects', message: `more than ${limits.redirects} redirects` }
}

/** The whole body as bytes, or a failure once it is over the cap or takes too long. */
export async function readCapped(
  response: Response,
  maxBytes: number,
): Promise<{ readonly ok: true; readonly bytes: Uint8Array } | FetchFailure> {
  const announced = Number(response.headers.get('Content-Length') ?? 0)
  if (announced > maxBytes) {
    await response.body?.cancel()
    return { ok: false, kind: 'too_large', message: `the answer has ${announced} bytes` }
  }
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of response.body ?? []) {
      size += chunk.byteLength
      // Leaving the loop cancels the stream.
      if (size > maxBytes) return { ok: false, kind: 'too_large', message: `the answer is over ${maxBytes} bytes` }
      chunks.push(chunk)
    }
  } catch (error) {
    return failureOf(error)
  }
  return { ok: true, bytes: join(chunks, size) }
}

function addressFault(url: URL, limits: FetchLimits): FetchFailure | undefined {
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && (limits.plainHttp || limits.allowPrivateAddresses))) {
    return { ok: false, kind: 'refused_address', message: `${url.protocol} is not allowed` }
  }
  if (limits.exceptHosts?.includes(url.host)) {
    return { ok: false, kind: 'refused_address', message: `${url.host} is this server` }
  }
  if (limits.allowPrivateAddresses || isPublicHost(url.hostname)) return undefined
  return { ok: false, kind: 'refused_address', message: `${url.hostname} is not a public address` }
}

function failureOf(error: unknown, signal?: AbortSignal): FetchFailure {
  const message = error instanceof Error ? error.message : String(error)
  const timedOut = signal?.aborted === true || (error instanceof Error && error.name === 'TimeoutError')
  return { ok: false, kind: timedOut ? 'timeout' : 'unreachable', message }
}

function join(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const whole = new Uint8Array(size)
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.byteLength
  }
  return whole
}
