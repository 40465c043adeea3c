/**
 * Thumbnails of stored media: from R2 where made before, else made and kept there.
 *
 * Spec: client-server-api/#thumbnails. What cannot be made smaller here, be it a GIF or a large photo, is answered with
 * itself while that is small: never less than what was asked for.
 */
import { pictureInfo, type PictureInfo } from '../../r2-media/picture-info.ts'
import { isDecodable, makeThumbnail, sizeFor, type ThumbnailSize } from '../../r2-media/thumbnails.ts'
import type { StoredMedia } from '../accounts/media.ts'
import { oneOf } from '../client-server/parameters.ts'
import type { Env } from '../env.ts'
import { refuse } from '../refusal.ts'

export interface ThumbnailWish extends ThumbnailSize {
  /** False: it must not move. */
  readonly mayMove: boolean
}

/** Where the size of a picture is looked for. */
const headBytes = 262_144
/** Bytes of a picture that is decoded at most; the whole of them is in memory meanwhile. */
const maxDecoded = 20_000_000
/** Bytes of an original that stands for its thumbnail. */
const maxOriginal = 4_000_000
const maxSide = 10_000

/** The `width`, `height`, `method` and `animated` of a query. */
export function wishOf(query: URLSearchParams): ThumbnailWish {
  const side = (name: string) => {
    const text = query.get(name) ?? refuse('missing_param', `${name} is missing`)
    const number = /^\d{1,9}$/.test(text) ? Number(text) : 0
    return number > 0 ? Math.min(number, maxSide) : refuse('invalid_param', `${name} must be a number of pixels`)
  }
  const method = oneOf(query, 'method', ['crop', 'scale']) ?? 'scale'
  return { width: side('width'), height: side('height'), method, mayMove: query.get('animated') !== 'false' }
}

/** The thumbnail as something to serve. `tooLarge` is the reason for what is too large to be decoded. */
export async function thumbnailOf(
  env: Env,
  media: StoredMedia,
  wish: ThumbnailWish,
  tooLarge: 'too_large' | 'remote_too_large',
): Promise<StoredMedia> {
  const size = sizeFor(wish)
  const label = size && `${size.width}x${size.height}-${size.method}`
  const thumbnail = {
    storageKey: `thumbnail/${media.storageKey}/${label}`,
    fileName: null,
    sha256: `${media.sha256}-${label}`,
  }
  const kept = size && (await env.MEDIA.head(thumbnail.storageKey))
  if (kept?.httpMetadata?.contentType !== undefined) {
    return { ...thumbnail, contentType: kept.httpMetadata.contentType, size: kept.size }
  }
  const head = await read(env, media, headBytes)
  const picture = pictureInfo(head) ?? refuse('cannot_thumbnail')
  if (!size) return original(media, picture, wish, tooLarge)
  const isSmallEnough = media.size <= maxDecoded && isDecodable(picture)
  const made = isSmallEnough ? await makeThumbnail(await read(env, media, media.size), picture, size) : undefined
  if (made === 'original') return original(media, picture, wish)
  if (!made) return original(media, picture, wish, isSmallEnough ? 'cannot_thumbnail' : tooLarge)
  const { contentType, bytes } = made
  await env.MEDIA.put(thumbnail.storageKey, bytes, { httpMetadata: { contentType } })
  return { ...thumbnail, contentType, size: bytes.byteLength }
}

/** The picture itself, as what its bytes are; unless it moves and must not, or is too large where there is a limit. */
function original(
  media: StoredMedia,
  { format, mayMove }: PictureInfo,
  wish: ThumbnailWish,
  otherwise?: 'cannot_thumbnail' | 'too_large' | 'remote_too_large',
): StoredMedia {
  if (mayMove && !wish.mayMove) return refuse('cannot_thumbnail', 'No still thumbnail can be made of that')
  if (otherwise && media.size > maxOriginal) return refuse(otherwise)
  return { ...media, contentType: format, sha256: `${media.sha256}-as-thumbnail` }
}

async function read(env: Env, { storageKey, size }: StoredMedia, most: number): Promise<Uint8Array> {
  const length = Math.min(size, most)
  const object = length === 0 ? undefined : await env.MEDIA.get(storageKey, { range: { offset: 0, length } })
  if (object === null) return refuse('not_found', 'The bytes are gone')
  return object ? new Uint8Array(await object.arrayBuffer()) : new Uint8Array()
}
