/** A download by a client: media of this server from R2, media of others from the copy or from there. */
import type { MxcUri } from '#protocol/identifiers/mxc-uri.ts'

import { contentHeaders } from '../../r2-media/content-headers.ts'
import { findMedia, forgetMedia, type KeptMedia, noteAccess } from '../accounts/media.ts'
import type { Env } from '../env.ts'
import { refuse } from '../refusal.ts'
import type { Settings } from '../settings.ts'
import { keepCopy, keepWhileStreaming } from './keep-copy.ts'
import { localMedia, waitOf } from './local-media.ts'
import { askForMedia } from './remote-media.ts'
import { serveMedia } from './serve-media.ts'
import { thumbnailOf, wishOf } from './thumbnail.ts'

export interface DownloadCall {
  readonly request: Request
  readonly env: Env
  readonly settings: Settings
  readonly query: URLSearchParams
  waitUntil(work: Promise<unknown>): void
}

/** Answers with the media. `fileName` is the name that the client would rather see. */
export async function download(call: DownloadCall, uri: MxcUri, fileName?: string | null): Promise<Response> {
  const { request, env, settings, query } = call
  const waitMs = waitOf(query)
  if (uri.serverName === settings.serverName) {
    const media = await localMedia(env, uri, waitMs)
    call.waitUntil(noteAccess(env, uri, media))
    return (
      (await serveMedia(request, env, media, fileName ?? media.fileName)) ?? refuse('not_found', 'The bytes are gone')
    )
  }
  const copy = await findMedia(env, uri)
  if (copy?.kind === 'quarantined') refuse('not_found', 'That media is not given out')
  if (copy?.kind === 'stored') {
    call.waitUntil(noteAccess(env, uri, copy.media))
    const served = await serveMedia(request, env, copy.media, fileName ?? copy.media.fileName)
    if (served) return served
    await forgetMedia(env, uri, copy.media.storageKey)
  }
  const remote = await askForMedia(env, uri, waitMs)
  const headers = contentHeaders(remote.contentType, fileName ?? remote.fileName)
  return new Response(keepWhileStreaming(call, uri, remote), { headers })
}

/** Answers with a thumbnail of the media. Those of other servers are made here too, from a copy of the whole. */
export async function downloadThumbnail(call: DownloadCall, uri: MxcUri): Promise<Response> {
  const { request, env, settings, query } = call
  const wish = wishOf(query)
  const waitMs = waitOf(query)
  const isLocal = uri.serverName === settings.serverName
  const media = isLocal ? await localMedia(env, uri, waitMs) : await copyOf(call, uri, waitMs)
  call.waitUntil(noteAccess(env, uri, media))
  const thumbnail = await thumbnailOf(env, media, wish, isLocal ? 'too_large' : 'remote_too_large')
  return (await serveMedia(request, env, thumbnail)) ?? refuse('not_found', 'The bytes are gone')
}

async function copyOf(call: DownloadCall, uri: MxcUri, waitMs: number): Promise<KeptMedia> {
  const copy = await findMedia(call.env, uri)
  if (copy?.kind === 'quarantined') refuse('not_found', 'That media is not given out')
  if (copy?.kind === 'stored') {
    if (await call.env.MEDIA.head(copy.media.storageKey)) return copy.media
    await forgetMedia(call.env, uri, copy.media.storageKey)
  }
  const remote = await askForMedia(call.env, uri, waitMs)
  await keepCopy(call, uri, remote).catch(() => refuse('bad_gateway', 'The other server broke off'))
  const kept = await findMedia(call.env, uri)
  return kept?.kind === 'stored' ? kept.media : refuse('bad_gateway', 'The copy is gone')
}
