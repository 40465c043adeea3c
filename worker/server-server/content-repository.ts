/** Media of this server for other servers. Spec: server-server-api/#content-repository. */
import { describingHeaders } from '../../r2-media/content-headers.ts'
import { frameOf } from '../../r2-media/multipart-mixed.ts'
import { noteLook } from '../accounts/media.ts'
import { localMedia, waitOf } from '../media/local-media.ts'
import { localUriOf } from '../media/media-path.ts'
import { thumbnailOf, wishOf } from '../media/thumbnail.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'

/** Spec: server-server-api/#get_matrixfederationv1mediadownloadmediaid */
export const getContent = operation(
  'GET /_matrix/federation/v1/media/download/:mediaId',
  { id: 'getContent', auth: 'server' },
  async (call) => {
    const { env, settings, path, query } = call
    const media = await localMedia(env, localUriOf(settings.serverName, path.mediaId), waitOf(query))
    const object = (await env.MEDIA.get(media.storageKey)) ?? refuse('not_found', 'The bytes are gone')
    const headers = describingHeaders(media.contentType, media.fileName)
    return multipartAnswer(headers, object.body, media.size, call)
  },
)

/** Spec: server-server-api/#get_matrixfederationv1mediathumbnailmediaid */
export const getContentThumbnail = operation(
  'GET /_matrix/federation/v1/media/thumbnail/:mediaId',
  { id: 'getContentThumbnail', auth: 'server' },
  async (call) => {
    const { env, settings, path, query } = call
    const wish = wishOf(query)
    const media = await localMedia(env, localUriOf(settings.serverName, path.mediaId), waitOf(query))
    const made = await thumbnailOf(env, media, wish, 'too_large', (look) => noteLook(env, media, look))
    const thumbnail = made ?? refuse('not_found', 'The bytes are gone')
    const kept = thumbnail.bytes && new Blob([thumbnail.bytes]).stream()
    const body = kept ?? (await env.MEDIA.get(thumbnail.storageKey))?.body ?? refuse('not_found', 'The bytes are gone')
    return multipartAnswer(describingHeaders(thumbnail.contentType, null), body, thumbnail.size, call)
  },
)

/** A multipart/mixed answer around `size` bytes of media. */
export function multipartAnswer(
  headers: Readonly<Record<string, string>>,
  body: ReadableStream<Uint8Array>,
  size: number,
  call: { waitUntil(work: Promise<unknown>): void },
): Response {
  const boundary = crypto.randomUUID()
  const { head, tail } = frameOf(boundary, headers)
  const { readable, writable } = new FixedLengthStream(head.byteLength + size + tail.byteLength)
  const sending = async () => {
    await write(writable, head)
    await body.pipeTo(writable, { preventClose: true })
    await write(writable, tail)
    await writable.close()
  }
  // The other server going away is no fault of ours.
  call.waitUntil(sending().catch(() => undefined))
  return new Response(readable, { headers: { 'Content-Type': `multipart/mixed; boundary=${boundary}` } })
}

async function write(stream: WritableStream<Uint8Array>, bytes: Uint8Array): Promise<void> {
  const writer = stream.getWriter()
  await writer.write(bytes)
  writer.releaseLock()
}
