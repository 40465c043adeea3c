/**
 * Fetches media from the server it belongs to.
 *
 * Spec: server-server-api/#get_matrixfederationv1mediadownloadmediaid. A `Location` is followed only to public addresses.
 * Servers from before v1.11 do not know that path; they are asked as they were then.
 */
import { type MxcUri } from '#protocol/identifiers/mxc-uri.ts'

import { cleanFileName, fileNameOf } from '../../r2-media/content-disposition.ts'
import { cleanContentType } from '../../r2-media/content-headers.ts'
import { boundaryOf, readMediaPart } from '../../r2-media/multipart-mixed.ts'
import type { Env } from '../env.ts'
import { fetchGuarded } from '../federation-client/fetch-capped.ts'
import { type FederationFailure, signedStream } from '../federation-client/signed-fetch.ts'
import { refuse } from '../refusal.ts'
import { settingsOf } from '../settings.ts'

/** Media on its way here. */
export interface RemoteMedia {
  readonly contentType: string
  readonly fileName: string | null
  readonly body: ReadableStream<Uint8Array>
}

/** Until all of it is here. */
const timeoutMs = 300_000
const maxRedirects = 3
/** What a multipart answer may have around the media. */
const frameAllowance = 131_072

/** Asks for media; the body is still to be read. Refuses as the other server did, or with 502. */
export async function askForMedia(
  env: Env,
  { serverName: destination, mediaId }: MxcUri,
  waitMs: number,
): Promise<RemoteMedia> {
  const path = `/_matrix/federation/v1/media/download/${mediaId}?timeout_ms=${waitMs}`
  const answer = await signedStream(env, { destination, method: 'GET', path, accept: 'multipart/mixed', timeoutMs })
  if (answer.ok) return readMultipart(env, answer.response)
  // Older servers, and what stands before them, say 404 or 400 for what they do not know, and no more.
  const isUnknownPath =
    answer.kind === 'http' &&
    (answer.errcode === 'M_UNRECOGNIZED' || (answer.status < 500 && answer.errcode === undefined))
  if (!isUnknownPath) return refuseAs(answer)
  const oldPath = `/_matrix/media/v3/download/${destination}/${mediaId}?allow_remote=false&timeout_ms=${waitMs}`
  const old = await signedStream(env, { destination, method: 'GET', path: oldPath, accept: '*/*', timeoutMs })
  return old.ok ? plain(env, old.response) : refuseAs(old)
}

async function readMultipart(env: Env, response: Response): Promise<RemoteMedia> {
  const boundary = boundaryOf(response.headers.get('Content-Type'))
  if (boundary === undefined || !response.body) {
    await response.body?.cancel()
    return refuse('bad_gateway', 'The other server did not answer with multipart/mixed')
  }
  await checkLength(env, response, frameAllowance)
  const part = await readMediaPart(response.body, boundary)
  if (!part) return refuse('bad_gateway', 'The answer of the other server holds no media')
  const location = part.headers.get('Location')
  if (location === null) return described(part.headers, part.body)
  await part.body.cancel()
  return follow(env, location)
}

async function follow(env: Env, location: string): Promise<RemoteMedia> {
  const url = URL.parse(location)
  if (!url) return refuse('bad_gateway', 'The other server names a place that is not a URL')
  const { allowPrivateAddresses, maxUploadSize: maxBytes } = settingsOf(env)
  const limits = { timeoutMs, maxBytes, allowPrivateAddresses, redirects: maxRedirects }
  const fetched = await fetchGuarded(url, {}, limits)
  if (!fetched.ok) return refuseAs(fetched)
  if (fetched.response.ok) return plain(env, fetched.response)
  await fetched.response.body?.cancel()
  return refuse('bad_gateway', `The place of the media answered ${fetched.response.status}`)
}

async function plain(env: Env, response: Response): Promise<RemoteMedia> {
  await checkLength(env, response, 0)
  return described(response.headers, response.body ?? new Blob([]).stream())
}

/** "Homeservers should not proxy large files from remote homeservers, returning 502 with M_TOO_LARGE." */
async function checkLength(env: Env, response: Response, allowance: number): Promise<void> {
  if (Number(response.headers.get('Content-Length') ?? 0) <= settingsOf(env).maxUploadSize + allowance) return
  await response.body?.cancel()
  refuse('remote_too_large')
}

function described(headers: Headers, body: ReadableStream<Uint8Array>): RemoteMedia {
  const contentType = cleanContentType(headers.get('Content-Type'))
  return { contentType, fileName: cleanFileName(fileNameOf(headers.get('Content-Disposition'))), body }
}

function refuseAs(failure: FederationFailure): never {
  if (failure.kind === 'http') {
    if (failure.errcode === 'M_NOT_YET_UPLOADED') return refuse('not_yet_uploaded')
    if (failure.errcode === 'M_TOO_LARGE') return refuse('remote_too_large')
    if (failure.status === 404) return refuse('not_found', 'The other server has no such media')
  }
  return refuse('bad_gateway', `The other server could not be asked: ${failure.message}`)
}
