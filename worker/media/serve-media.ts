/** Answers with media out of R2: conditional and range requests, never the bytes in memory, but for thumbnails. */
import { byteRange, isUnchanged } from '../../r2-media/byte-range.ts'
import { contentHeaders } from '../../r2-media/content-headers.ts'
import type { Env } from '../env.ts'
import type { ServedPicture } from './thumbnail.ts'

/** The answer to a download, or undefined where R2 has lost the bytes. `fileName` is what it shall be called. */
export async function serveMedia(
  request: Request,
  env: Env,
  media: ServedPicture,
  fileName: string | null = media.fileName,
): Promise<Response | undefined> {
  const etag = `"${media.sha256}"`
  const headers = contentHeaders(media.contentType, fileName, etag)
  if (isUnchanged(request.headers, etag)) return new Response(null, { status: 304, headers })
  const range = byteRange(request.headers, media.size, etag)
  if (range === 'unsatisfiable') {
    headers.set('Content-Range', `bytes */${media.size}`)
    return new Response(null, { status: 416, headers })
  }
  const body = media.bytes
    ? media.bytes.subarray(range?.offset, range && range.offset + range.length)
    : (await env.MEDIA.get(media.storageKey, range ? { range } : {}))?.body
  if (!body) return undefined
  headers.set('Content-Length', String(range?.length ?? media.size))
  if (!range) return new Response(body, { headers })
  headers.set('Content-Range', `bytes ${range.offset}-${range.offset + range.length - 1}/${media.size}`)
  return new Response(body, { status: 206, headers })
}
