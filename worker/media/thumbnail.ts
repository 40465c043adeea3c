/**
 * Thumbnails of stored media: from R2 where made before, else made and kept there.
 *
 * Spec: client-server-api/#thumbnails. By Cloudflare's Images where it is bound, else here. What cannot be made smaller is
 * answered with itself while that is small: never less than what was asked for.
 */
import { isForService, thumbnailByService } from '../../r2-media/images-binding.ts'
import { turnsAtTheEnd } from '../../r2-media/orientation.ts'
import { pictureInfo, type PictureInfo } from '../../r2-media/picture-info.ts'
import { lookAtPicture, type PictureLook } from '../../r2-media/picture-look.ts'
import {
  isDecodable,
  makeThumbnail,
  planOf,
  sizeFor,
  type Thumbnail,
  type ThumbnailSize,
} from '../../r2-media/thumbnails.ts'
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

/**
 * The thumbnail as something to serve; undefined where the bytes are gone. `tooLarge` is the reason for what is too large to
 * be decoded; `note` keeps what is seen of the picture, so that a second view is one read of R2.
 */
export async function thumbnailOf(
  env: Env,
  media: StoredMedia,
  wish: ThumbnailWish,
  tooLarge: 'too_large' | 'remote_too_large',
  note: (look: PictureLook) => Promise<void> = async () => undefined,
): Promise<ServedPicture | undefined> {
  const seen = media.look ? { look: media.look, whole: undefined } : await lookAt(env, media)
  if (!seen) return undefined
  const { look, whole } = seen
  if (!media.look) await note(look)
  if (look === 'none') return refuse('cannot_thumbnail')
  const size = sizeFor(wish)
  if (!size) return original(media, look, wish, tooLarge)
  const moves = look.mayMove && wish.animated === true
  const plan = planOf(look, size, !moves)
  if (plan === 'original') return original(media, look, wish)
  const service = isForService(look, media.size) ? env.IMAGES : undefined
  // Nothing that moves is made here: it moves as it was uploaded, while that is small.
  if (moves && !service && media.size <= maxOriginal) return original(media, look, wish)
  const isTooLarge = media.size > maxDecoded || !isDecodable(look)
  const instead = () => original(media, look, wish, isTooLarge ? tooLarge : 'cannot_thumbnail')
  if (!plan || look.isBroken || (isTooLarge && !service)) return instead()
  // Of what may move there are two.
  const label = `${size.width}x${size.height}-${size.method}${wish.animated === true ? '-animated' : ''}`
  const key = `thumbnail/${media.storageKey}/${label}`
  const served = ({ contentType, bytes }: Thumbnail): ServedPicture => ({
    storageKey: key,
    fileName: null,
    sha256: `${media.sha256}-${label}`,
    contentType,
    size: bytes.byteLength,
    bytes,
  })
  const kept = await env.MEDIA.get(key)
  if (kept) {
    const contentType = kept.httpMetadata?.contentType ?? 'application/octet-stream'
    return served({ contentType, bytes: new Uint8Array(await kept.arrayBuffer()) })
  }
  const keep = async (made: Thumbnail) => {
    await env.MEDIA.put(key, made.bytes, { httpMetadata: { contentType: made.contentType } })
    return served(made)
  }
  const open = async () => (await env.MEDIA.get(media.storageKey))?.body
  const byService = service && (await thumbnailByService(service, look, plan, moves, open))
  if (byService) return keep(byService)
  if (moves && media.size <= maxOriginal) return original(media, look, wish)
  if (isTooLarge) return instead()
  const bytes = whole ?? (await read(env, media, media.size))
  const made = bytes && (await makeThumbnail(bytes, look, plan))
  if (made) return keep(made)
  if (bytes) await note({ ...look, isBroken: true })
  return bytes && instead()
}

/** What there is to see, and all of the bytes where they were needed for that. */
async function lookAt(
  env: Env,
  media: StoredMedia,
): Promise<{ look: PictureLook; whole: Uint8Array | undefined } | undefined> {
  const head = await read(env, media, headBytes)
  const format = head && pictureInfo(head)?.format
  const isEnough = !format || media.size > maxDecoded || !turnsAtTheEnd(head, format)
  const bytes = isEnough || head.byteLength === media.size ? head : await read(env, media, media.size)
  return bytes && { look: lookAtPicture(bytes), whole: bytes.byteLength === media.size ? bytes : undefined }
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

/** The first bytes; undefined where they are gone. */
async function read(env: Env, { storageKey, size }: StoredMedia, most: number): Promise<Uint8Array | undefined> {
  const length = Math.min(size, most)
  if (length === 0) return new Uint8Array()
  const object = await env.MEDIA.get(storageKey, { range: { offset: 0, length } })
  return object ? new Uint8Array(await object.arrayBuffer()) : undefined
}
