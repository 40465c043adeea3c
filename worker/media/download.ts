/** A download by a client: media of this server from R2, media of others from the copy or from there. */
import type { MxcUri } from '#protocol/identifiers/mxc-uri.ts'

import { contentHeaders } from '../../r2-media/content-headers.ts'
import { forgetMedia, type KeptMedia, noteAccess, noteLook } from '../accounts/media.ts'
import type { Env } from '../env.ts'
import { refuse } from '../refusal.ts'
import type { Settings } from '../settings.ts'
import { keepCopy, keepWhileStreaming } from './keep-copy.ts'
import { localMedia, waitOf } from './local-media.ts'
import { copyOrTurn, type Turn } from './one-fetch.ts'
import { askForMedia } from './remote-media.ts'
import { serveMedia } from './serve-media.ts'
import { thumbnailOf, type ThumbnailWish, wishOf } from './thumbnail.ts'

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
  for (;;) {
    const { copy, turn } = await copyOrTurn(env, uri)
    if (turn) {
      const remote = await orGiveUp(turn, askForMedia(env, uri, waitMs))
      const headers = contentHeaders(remote.contentType, fileName ?? remote.fileName)
      return new Response(keepWhileStreaming(call, uri, remote, turn), { headers })
    }
    call.waitUntil(noteAccess(env, uri, copy))
    const served = await serveMedia(request, env, copy, fileName ?? copy.fileName)
    if (served) return served
    await forgetMedia(env, uri, copy.storageKey)
  }
}

/** Answers with a thumbnail of the media. Those of other servers are made here too, from a copy of the whole. */
export async function downloadThumbnail(call: DownloadCall, uri: MxcUri): Promise<Response> {
  const { env, settings, query } = call
  const wish = wishOf(query)
  const waitMs = waitOf(query)
  if (uri.serverName === settings.serverName) {
    const media = await localMedia(env, uri, waitMs)
    const served = await serveThumbnail(call, uri, media, wish, 'too_large')
    return served ?? refuse('not_found', 'The bytes are gone')
  }
  for (;;) {
    const { copy, turn } = await copyOrTurn(env, uri)
    if (turn) await orGiveUp(turn, fetchCopy(call, uri, waitMs))
    else {
      const served = await serveThumbnail(call, uri, copy, wish, 'remote_too_large')
      if (served) return served
      await forgetMedia(env, uri, copy.storageKey)
    }
  }
}

/** Undefined where the bytes are gone. */
async function serveThumbnail(
  call: DownloadCall,
  uri: MxcUri,
  media: KeptMedia,
  wish: ThumbnailWish,
  tooLarge: 'too_large' | 'remote_too_large',
): Promise<Response | undefined> {
  const { request, env } = call
  call.waitUntil(noteAccess(env, uri, media))
  const thumbnail = await thumbnailOf(env, media, wish, tooLarge, (look) => noteLook(env, media, look))
  return thumbnail && serveMedia(request, env, thumbnail)
}

async function fetchCopy(call: DownloadCall, uri: MxcUri, waitMs: number): Promise<void> {
  const remote = await askForMedia(call.env, uri, waitMs)
  await keepCopy(call, uri, remote).catch(() => refuse('bad_gateway', 'The other server broke off'))
}

async function orGiveUp<T>(turn: Turn, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    await turn.giveUp()
    throw error
  }
}
