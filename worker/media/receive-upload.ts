/** Takes the body of an upload into R2. Spec: client-server-api/#post_matrixmediav3upload. */
import type { UserId } from '#protocol/identifiers/user-id.ts'

import { cleanFileName } from '../../r2-media/content-disposition.ts'
import { cleanContentType } from '../../r2-media/content-headers.ts'
import { inLargeChunks } from '../../r2-media/large-chunks.ts'
import { newStorageKey } from '../../r2-media/media-key.ts'
import { openMediaWriter } from '../../r2-media/media-store.ts'
import { type StoredMedia, uploadedBytes } from '../accounts/media.ts'
import type { Env } from '../env.ts'
import { refuse } from '../refusal.ts'
import type { Settings } from '../settings.ts'

interface UploadCall {
  readonly request: Request
  readonly env: Env
  readonly settings: Settings
  readonly query: URLSearchParams
  readonly requester: { readonly userId: UserId }
}

/**
 * Refuses with M_USER_LIMIT_EXCEEDED what would be more than a user may have here. Asked before and after the upload:
 * uploads at the same time may end a little over the quota, none begins there.
 */
async function demandRoom({ env, settings, requester }: UploadCall, size: number): Promise<void> {
  const { userMediaQuota: quota, support, publicUrl } = settings
  if (quota === undefined || (await uploadedBytes(env, requester.userId)) + size <= quota) return
  const info_uri = support.page ?? `${publicUrl}/.well-known/matrix/support`
  refuse('user_limit_exceeded', `You may have ${quota} bytes of files here`, { info_uri })
}

/**
 * Stores the body and has `note` write it down. Nothing stays in R2 unless `note` says true. Refuses with M_TOO_LARGE
 * before reading where Content-Length says so, and while reading where it lied or was not there.
 */
export async function receiveUpload(
  call: UploadCall,
  note: (stored: StoredMedia) => Promise<boolean>,
): Promise<boolean> {
  const { request, env, settings, query } = call
  const announced = announcedLength(request)
  const tooLarge = `Uploads of more than ${settings.maxUploadSize} bytes are not taken`
  if (announced !== undefined && announced > settings.maxUploadSize) refuse('too_large', tooLarge)
  await demandRoom(call, announced ?? 1)
  const storageKey = newStorageKey('local')
  const writer = openMediaWriter(env.MEDIA, storageKey, settings.maxUploadSize)
  let isStored = false
  try {
    for await (const chunk of bodyOf(request)) if (!(await writer.write(chunk))) refuse('too_large', tooLarge)
    const bytes = await writer.finish()
    isStored = true
    if (announced !== undefined && announced !== bytes.size) refuse('invalid_param', 'Content-Length is not the length')
    await demandRoom(call, bytes.size)
    const contentType = cleanContentType(request.headers.get('Content-Type'))
    const fileName = cleanFileName(query.get('filename'))
    if (await note({ storageKey, contentType, fileName, ...bytes })) return true
    await env.MEDIA.delete(storageKey)
    return false
  } catch (error) {
    await (isStored ? env.MEDIA.delete(storageKey) : writer.abort())
    throw error
  }
}

function announcedLength(request: Request): number | undefined {
  const header = request.headers.get('Content-Length')
  if (header === null) return undefined
  return /^\d{1,15}$/.test(header) ? Number(header) : refuse('invalid_param', 'Content-Length is malformed')
}

/** The body as it comes. A client that goes away within it is no fault of ours. */
async function* bodyOf({ body }: Request): AsyncGenerator<Uint8Array> {
  try {
    if (body) yield* inLargeChunks(body)
  } catch {
    refuse('invalid_param', 'The body ended early')
  }
}
