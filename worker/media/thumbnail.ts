/**
 * Thumbnails of stored media: from R2 where made before, else made and kept there.
 *
 * Spec: client-server-api/#thumbnails. By Cloudflare's Images where it is bound, else here. What cannot be made smaller is
 * answered with itself while that is small: never less than what was asked for.
 */
import { thumbnailByService } from '../../r2-media/images-binding.ts'
import { orientationOf } from '../../r2-media/jpeg.ts'
import { pictureInfo, type PictureInfo } from '../../r2-media/picture-info.ts'
import { isDecodable, makeThumbnail, sizeFor, type Thumbnail, type ThumbnailSize } from '../../r2-media/thumbnails.ts'
import type { StoredMedia } from '../accounts/media.ts'
import { oneOf } from '../client-server/parameters.ts'
import type { Env } from '../env.ts'
import { refuse } from '../refusal.ts'

export interface ThumbnailWish extends ThumbnailSize {
  /** "When `true`, the server SHOULD return an animated thumbnail"; "when not provided, SHOULD NOT"; "`false`: MUST NOT". */
  readonly animated: boolean | undefined
}

/** Something to serve; thumbnails come with their bytes, which are few, so that nothing is read twice. */
export interface ServedPicture extends StoredMedia {
  readonly bytes?: Uint8Array
}

type Otherwise = 'cannot_thumbnail' | 'too_large' | 'remote_too_large'

/** Where the size of a picture is looked for. */
const headBytes = 262_144
/** Bytes of a picture that is decoded at most; the whole of them is in memory meanwhile. */
const maxDecoded = 20_000_000
/** Bytes of a picture that Cloudflare takes. */
const maxForService = 70_000_000
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
  const word = oneOf(query, 'animated', ['true', 'false'])
  const animated = word && word === 'true'
  return { width: side('width'), height: side('height'), method, animated }
}

/** The thumbnail as something to serve. `tooLarge` is the reason for what is too large to be decoded. */
export async function thumbnailOf(
  env: Env,
  media: StoredMedia,
  wish: ThumbnailWish,
  tooLarge: 'too_large' | 'remote_too_large',
): Promise<ServedPicture> {
  const size = sizeFor(wish)
  // Of what may move there are two; which of them this is turns out when the picture is looked at.
  const label = size && `${size.width}x${size.height}-${size.method}${wish.animated === true ? '-animated' : ''}`
  const key = `thumbnail/${media.storageKey}/${label}`
  const served = ({ contentType, bytes }: Thumbnail): ServedPicture => ({
    storageKey: key,
    fileName: null,
    sha256: `${media.sha256}-${label}`,
    contentType,
    size: bytes.byteLength,
    bytes,
  })
  const kept = size && (await env.MEDIA.get(key))
  if (kept) {
    const contentType = kept.httpMetadata?.contentType ?? 'application/octet-stream'
    return served({ contentType, bytes: new Uint8Array(await kept.arrayBuffer()) })
  }
  const head = await read(env, media, headBytes)
  const picture = pictureInfo(head) ?? refuse('cannot_thumbnail')
  if (!size) return original(media, picture, wish, tooLarge)
  const made = await make(env, media, head, picture, { ...size, animated: wish.animated })
  if (made === 'original') return original(media, picture, wish)
  if (!made) {
    const isTooLarge = media.size > maxDecoded || !isDecodable(picture)
    return original(media, picture, wish, isTooLarge ? tooLarge : 'cannot_thumbnail')
  }
  await env.MEDIA.put(key, made.bytes, { httpMetadata: { contentType: made.contentType } })
  return served(made)
}

async function make(
  env: Env,
  media: StoredMedia,
  head: Uint8Array,
  picture: PictureInfo,
  wish: ThumbnailWish,
): Promise<Thumbnail | 'original' | undefined> {
  const moves = picture.mayMove && wish.animated === true
  if (env.IMAGES && media.size <= maxForService) {
    const orientation = picture.format === 'image/jpeg' ? orientationOf(head) : 1
    const open = async () => (await env.MEDIA.get(media.storageKey))?.body
    const made = await thumbnailByService(env.IMAGES, picture, orientation, wish, moves, open)
    if (made) return made
  }
  // Nothing that moves is made here: it moves as it was uploaded, while that is small.
  if (moves && media.size <= maxOriginal) return 'original'
  if (media.size > maxDecoded || !isDecodable(picture)) return undefined
  const bytes = head.byteLength === media.size ? head : await read(env, media, media.size)
  return makeThumbnail(bytes, picture, wish, wish.animated !== true)
}

/** The picture itself, as what its bytes are; unless it moves and must not, or is too large where there is a limit. */
function original(
  media: StoredMedia,
  { format, mayMove }: PictureInfo,
  wish: ThumbnailWish,
  otherwise?: Otherwise,
): ServedPicture {
  if (mayMove && wish.animated === false) return refuse('cannot_thumbnail', 'No still thumbnail can be made of that')
  if (otherwise && media.size > maxOriginal) return refuse(otherwise)
  return { ...media, contentType: format, sha256: `${media.sha256}-as-thumbnail` }
}

async function read(env: Env, { storageKey, size }: StoredMedia, most: number): Promise<Uint8Array> {
  const length = Math.min(size, most)
  const object = length === 0 ? undefined : await env.MEDIA.get(storageKey, { range: { offset: 0, length } })
  if (object === null) return refuse('not_found', 'The bytes are gone')
  return object ? new Uint8Array(await object.arrayBuffer()) : new Uint8Array()
}
