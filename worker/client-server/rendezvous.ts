/**
 * Where two devices meet while one signs the other in with a QR code: MSC4108 in its form of 2024 (unstable), with entity tags
 * and text, and MSC4388, its successor, with tokens and JSON. ../accounts/rendezvous.ts has the places.
 *
 * Signing in this way needs OAuth, which this server has not: no flag in /versions speaks of it. What is here is what the two
 * devices write to each other meanwhile, which other servers' users may do here as well.
 */
import * as v from 'valibot'

import { fail } from '#protocol/errors.ts'

import { dropPlace, maxData, newPlace, type Place, readPlace, writePlace } from '../accounts/rendezvous.ts'
import { limitAddress } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { readBytes } from '../read-body.ts'
import { errorResponse, refuse, refuseForNow } from '../refusal.ts'

/** How long whoever finds all places taken is told to wait. */
const wait = 30_000

// MSC4108

const textPlain = 'text/plain'
const path4108 = '/_matrix/client/unstable/org.matrix.msc4108/rendezvous'

export const createTextRendezvous = operation(
  `POST ${path4108}`,
  { id: 'createTextRendezvous', auth: 'none' },
  async ({ env, settings, request }) => {
    const data = await textOf(request)
    limitAddress('rendezvous', request, settings)
    const place = (await newPlace(env, 'msc4108', data, Date.now())) ?? refuseForNow(wait)
    const url = `${settings.publicUrl}${path4108}/${place.id}`
    return Response.json({ url }, { status: 201, headers: headersOf(place) })
  },
)

export const getTextRendezvous = operation(
  `GET ${path4108}/:rendezvousId`,
  { id: 'getTextRendezvous', auth: 'none' },
  async ({ env, request, path: { rendezvousId } }) => {
    const place = (await readPlace(env, 'msc4108', rendezvousId, Date.now())) ?? refuse('not_found')
    const headers = headersOf(place)
    const known = tagsIn(request.headers.get('If-None-Match'))
    if (known.includes(place.token) || known.includes('*')) return new Response(null, { status: 304, headers })
    return new Response(place.data, { headers: { ...headers, 'Content-Type': textPlain } })
  },
)

export const putTextRendezvous = operation(
  `PUT ${path4108}/:rendezvousId`,
  { id: 'putTextRendezvous', auth: 'none' },
  async ({ env, settings, request, path: { rendezvousId } }) => {
    const data = await textOf(request)
    limitAddress('rendezvousMessage', request, settings)
    const given = request.headers.get('If-Match') ?? refuse('missing_param', 'The header If-Match is missing')
    const [token = ''] = tagsIn(given)
    const written = await writePlace(env, 'msc4108', rendezvousId, {
      token: token === '*' ? undefined : token,
      data,
      now: Date.now(),
    })
    // A type although there is nothing: some proxies take the entity tag away from what has none.
    if (written.ok) {
      return new Response(null, { status: 202, headers: { ...headersOf(written.place), 'Content-Type': textPlain } })
    }
    const { place = refuse('not_found') } = written
    const refusal = errorResponse(fail('concurrent_write'), { 'org.matrix.msc4108.errcode': 'M_CONCURRENT_WRITE' })
    for (const [name, value] of Object.entries(headersOf(place))) refusal.headers.set(name, value)
    return refusal
  },
)

export const deleteTextRendezvous = operation(
  `DELETE ${path4108}/:rendezvousId`,
  { id: 'deleteTextRendezvous', auth: 'none' },
  async ({ env, path: { rendezvousId } }) => {
    if (!(await dropPlace(env, 'msc4108', rendezvousId, Date.now()))) refuse('not_found')
    return new Response(null, { status: 204 })
  },
)

async function textOf(request: Request): Promise<string> {
  const type = request.headers.get('Content-Type') ?? refuse('missing_param', 'The header Content-Type is missing')
  if (type.split(';')[0]?.trim().toLowerCase() !== textPlain) {
    refuse('invalid_param', `Content-Type must be ${textPlain}`)
  }
  const bytes = await readBytes(request.body, maxData)
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return refuse('invalid_param', 'The body is not UTF-8')
  }
}

/** `no-transform`: a proxy that compresses makes the entity tag a weak one. Browsers are let to read it by cors.ts. */
function headersOf({ token, changedAt, expiresAt }: Place): Record<string, string> {
  return {
    ETag: `"${token}"`,
    Expires: new Date(expiresAt).toUTCString(),
    'Last-Modified': new Date(changedAt).toUTCString(),
    'Cache-Control': 'no-store, no-transform',
    Pragma: 'no-cache',
  }
}

/** The entity tags of a header, without quotes, and without saying which are weak: ours never are. */
function tagsIn(header: string | null): string[] {
  return (header ?? '').split(',').map((tag) => tag.trim().replace(/^(?:W\/)?"(.*)"$/, '$1'))
}

// MSC4388

const path4388 = '/_matrix/client/unstable/io.element.msc4388/rendezvous'
const noStore = { 'Cache-Control': 'no-store' }
/** JSON may need six bytes for one. */
const maxBody = 6 * maxData + 1024

export const discoverRendezvous = operation(
  `GET ${path4388}`,
  { id: 'discoverRendezvous', auth: 'optional', guests: true },
  () => ({ create_available: true }),
)

export const createRendezvous = operation(
  `POST ${path4388}`,
  { id: 'createRendezvous', auth: 'optional', guests: true, body: v.object({ data: v.string() }), maxBody },
  async ({ env, settings, request, body: { data } }) => {
    checkLength(data)
    limitAddress('rendezvous', request, settings)
    const { id, token, expiresAt, changedAt } = (await newPlace(env, 'msc4388', data, Date.now())) ?? refuseForNow(wait)
    return Response.json({ id, sequence_token: token, expires_in_ms: expiresAt - changedAt }, { headers: noStore })
  },
)

export const getRendezvous = operation(
  `GET ${path4388}/:rendezvousId`,
  { id: 'getRendezvous', auth: 'none' },
  async ({ env, request, path: { rendezvousId } }) => {
    refuseToShow(request)
    const now = Date.now()
    const { data, token, expiresAt } = (await readPlace(env, 'msc4388', rendezvousId, now)) ?? refuse('not_found')
    return Response.json({ data, sequence_token: token, expires_in_ms: expiresAt - now }, { headers: noStore })
  },
)

export const putRendezvous = operation(
  `PUT ${path4388}/:rendezvousId`,
  { id: 'putRendezvous', auth: 'none', body: v.object({ sequence_token: v.string(), data: v.string() }), maxBody },
  async ({ env, settings, request, path: { rendezvousId }, body: { sequence_token: token, data } }) => {
    checkLength(data)
    limitAddress('rendezvousMessage', request, settings)
    const written = await writePlace(env, 'msc4388', rendezvousId, { token, data, now: Date.now() })
    const { place = refuse('not_found') } = written
    // Who got no answer says it again, and is told what came of it the first time.
    if (!written.ok && !written.isAgain) refuse('sequence_conflict')
    return Response.json({ sequence_token: place.token }, { headers: noStore })
  },
)

export const deleteRendezvous = operation(
  `DELETE ${path4388}/:rendezvousId`,
  { id: 'deleteRendezvous', auth: 'none' },
  async ({ env, path: { rendezvousId } }) => {
    if (!(await dropPlace(env, 'msc4388', rendezvousId, Date.now()))) refuse('not_found')
    return {}
  },
)

function checkLength(data: string): void {
  if (new TextEncoder().encode(data).byteLength > maxData) refuse('too_large', `The data has ${maxData} bytes at most`)
}

/** What somebody put there is never shown as a page: browsers say where an answer is to go. */
function refuseToShow({ headers }: Request): void {
  const destination = headers.get('Sec-Fetch-Dest') ?? 'empty'
  const isShown =
    destination !== 'empty' ||
    headers.get('Sec-Fetch-Mode') === 'navigate' ||
    headers.get('Sec-Fetch-User') === '?1' ||
    headers.get('Sec-Fetch-Site') === 'none'
  if (isShown) refuse('forbidden', 'This is for programs, not to be looked at')
}
