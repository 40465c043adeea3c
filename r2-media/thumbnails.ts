/**
 * Which thumbnail answers a wish, and how it is made.
 *
 * Spec: client-server-api/#thumbnails. Thumbnails come in a few sizes only, else anybody could fill the store with them:
 * a wish gets the smallest that is not smaller than it in either direction. Never scaled up.
 */
import { decodeJpeg, encodeJpeg, orientationOf } from './jpeg.ts'
import { downscaler, type ScalePlan } from './downscale.ts'
import type { PictureInfo, Size } from './picture-info.ts'
import { decodePng, encodePng } from './png.ts'

export type Method = 'crop' | 'scale'
export interface ThumbnailSize extends Size {
  readonly method: Method
}
export interface Thumbnail {
  readonly contentType: 'image/png' | 'image/jpeg'
  readonly bytes: Uint8Array
}

/** Those which "servers SHOULD produce", and larger squares for large avatars. */
const sizes: readonly ThumbnailSize[] = [
  { width: 32, height: 32, method: 'crop' },
  { width: 96, height: 96, method: 'crop' },
  { width: 256, height: 256, method: 'crop' },
  { width: 96, height: 96, method: 'scale' },
  { width: 320, height: 240, method: 'scale' },
  { width: 640, height: 480, method: 'scale' },
  { width: 800, height: 600, method: 'scale' },
]
/** What fits into an isolate's memory beside its other work: PNG goes by rows, JPEG is decoded as a whole. */
const maxPixels = { 'image/png': 20_000_000, 'image/jpeg': 6_000_000 }
const maxResultPixels = 2_000_000

/** The size that answers the wish; undefined when only the original is large enough. Crops that are not square are scaled. */
export function sizeFor(wish: ThumbnailSize): ThumbnailSize | undefined {
  const method = wish.width === wish.height ? wish.method : 'scale'
  const fits = sizes.filter(({ width, height }) => width >= wish.width && height >= wish.height)
  return fits.find((size) => size.method === method) ?? fits.find((size) => size.method === 'scale')
}

/**
 * How the picture becomes that size: `scale` keeps its shape and is not smaller in either direction, `crop` takes the
 * middle. Undefined when the picture is not larger than that.
 */
export function planFor(picture: Size, { width, height, method }: ThumbnailSize): ScalePlan | undefined {
  const ratio = Math.max(width / picture.width, height / picture.height)
  if (ratio >= 1) return undefined
  const scaledWidth = Math.max(width, Math.round(picture.width * ratio))
  const scaledHeight = Math.max(height, Math.round(picture.height * ratio))
  if (method === 'scale')
    return { scaledWidth, scaledHeight, left: 0, top: 0, width: scaledWidth, height: scaledHeight }
  const [left, top] = [(scaledWidth - width) >> 1, (scaledHeight - height) >> 1]
  return { scaledWidth, scaledHeight, left, top, width, height }
}

/** Whether the picture's pixels are few enough to be decoded here at all. Asked before any decoding. */
export function isDecodable({ format, width, height }: PictureInfo): boolean {
  return (format === 'image/png' || format === 'image/jpeg') && width * height <= maxPixels[format]
}

/**
 * The thumbnail; `original` where the picture is no larger than that; undefined where it is broken, of a kind that is not
 * decoded, or so long that its thumbnail would be huge.
 */
export async function makeThumbnail(
  bytes: Uint8Array,
  picture: PictureInfo,
  size: ThumbnailSize,
): Promise<Thumbnail | 'original' | undefined> {
  if (!isDecodable(picture)) return undefined
  const orientation = picture.format === 'image/jpeg' ? orientationOf(bytes) : 1
  // The size is meant for the picture as one sees it.
  const lyingSize = orientation >= 5 ? { ...size, width: size.height, height: size.width } : size
  const plan = planFor(picture, lyingSize)
  if (!plan) return 'original'
  if (plan.width * plan.height > maxResultPixels) return undefined
  const sink = downscaler(picture.width, picture.height, plan)
  const isPng = picture.format === 'image/png'
  const isWhole = isPng ? await decodePng(bytes, sink) : decodeJpeg(bytes, picture, sink)
  if (!isWhole) return undefined
  const pixels = sink.result()
  return isPng
    ? { contentType: 'image/png', bytes: encodePng(pixels) }
    : { contentType: 'image/jpeg', bytes: encodeJpeg(pixels, orientation) }
}
