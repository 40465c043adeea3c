/** The picture of a preview, copied here: clients must not ask a stranger's server for it. */
import { printMxcUri } from '#protocol/identifiers/mxc-uri.ts'
import type { JsonObject } from '#protocol/json/json.ts'

import { newMediaId, newStorageKey } from '../../../r2-media/media-key.ts'
import { join, openMediaWriter } from '../../../r2-media/media-store.ts'
import { pictureInfo } from '../../../r2-media/picture-info.ts'
import { addPreviewImage } from '../../accounts/preview-images.ts'
import type { Env } from '../../env.ts'
import { fetchWeb, type WebQuestion } from './fetch-web.ts'

const maxImageBytes = 10_000_000
/** Where the size of a picture is looked for. */
const headBytes = 262_144

/** The Open Graph properties of a picture; empty when there is none to be had. */
export async function copyImage(env: Env, url: URL, question: WebQuestion): Promise<JsonObject> {
  if (!/^https?:$/.test(url.protocol)) return {}
  const fetched = await fetchWeb(url, 'image/*', question)
  return fetched.ok ? keepImage(env, fetched.response, question) : {}
}

/** As `copyImage`, for a picture that is on its way already. Only what its bytes show to be a picture is kept. */
export async function keepImage(env: Env, response: Response, { settings }: WebQuestion): Promise<JsonObject> {
  const maxBytes = Math.min(maxImageBytes, settings.maxUploadSize)
  if (Number(response.headers.get('Content-Length') ?? 0) > maxBytes) {
    await response.body?.cancel()
    return {}
  }
  const storageKey = newStorageKey('remote')
  const writer = openMediaWriter(env.MEDIA, storageKey, maxBytes)
  const head: Uint8Array[] = []
  let seen = 0
  try {
    for await (const chunk of response.body ?? []) {
      if (seen < headBytes) head.push(chunk)
      seen += chunk.byteLength
      if (!(await writer.write(chunk))) throw new Error('the picture is too large')
    }
  } catch {
    await writer.abort().catch(() => undefined)
    return {}
  }
  const headSize = head.reduce((size, chunk) => size + chunk.byteLength, 0)
  const picture = pictureInfo(join(head, headSize))
  if (!picture) {
    await writer.abort().catch(() => undefined)
    return {}
  }
  const bytes = await writer.finish()
  const stored = { storageKey, contentType: picture.format, fileName: null, ...bytes }
  const mediaId = await addPreviewImage(env, { serverName: settings.serverName, mediaId: newMediaId() }, stored)
  if (mediaId === undefined) return {}
  return {
    'og:image': printMxcUri({ serverName: settings.serverName, mediaId }),
    'og:image:type': picture.format,
    'og:image:width': picture.width,
    'og:image:height': picture.height,
    'matrix:image:size': bytes.size,
  }
}
