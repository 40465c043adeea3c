/**
 * Which thumbnail answers a wish, and how it is made.
 *
 * Spec: client-server-api/#thumbnails. Thumbnails come in a few sizes only, else anybody could fill the store with them:
 * a wish gets the smallest that is not smaller than it in either direction. Never scaled up.
 */
import { downscaler, type Pixels, type ScalePlan } from './downscale.ts'
import { firstFrame } from './gif.ts'
import { decodeJpeg, eighthsFor, encodeJpeg, sizeAt } from './jpeg.ts'
import { type Orientation, upright } from './orientation.ts'
import type { PictureFormat, PictureInfo, Size } from './picture-info.ts'
import type { SeenPicture } from './picture-look.ts'
import { decodePng, encodePng } from './png.ts'
import { decodeAvif, decodeWebp } from './wasm-pictures.ts'

export type Method = 'crop' | 'scale'
export interface ThumbnailSize extends Size {
  readonly method: Method
}
export interface Thumbnail {
  readonly contentType: string
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
/**
 * What fits into an isolate's memory beside its other work. PNG goes by rows, and of a JPEG only the low frequencies are
 * kept, so that their limits are for time; the others are decoded as a whole.
 */
const maxPixels: Readonly<Record<PictureFormat, number>> = {
  'image/png': 20_000_000,
  'image/jpeg': 50_000_000,
  'image/gif': 6_000_000,
  'image/webp': 5_000_000,
  'image/avif': 4_000_000,
}
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
  return width * height <= maxPixels[format]
}

/**
 * How this picture becomes that size, as it lies in the file; `original` where it is no larger than that and need not be
 * brought to stand still; undefined where it is so long that its thumbnail would be huge.
 */
export function planOf(
  picture: PictureInfo & { readonly orientation: Orientation },
  size: ThumbnailSize,
  still: boolean,
): ScalePlan | 'original' | undefined {
  // The size is meant for the picture as one sees it.
  const lyingSize = picture.orientation >= 5 ? { ...size, width: size.height, height: size.width } : size
  const { width, height } = picture
  const smaller = planFor(picture, lyingSize)
  if (!smaller && !(still && picture.mayMove)) return 'original'
  const plan = smaller ?? { scaledWidth: width, scaledHeight: height, left: 0, top: 0, width, height }
  return plan.width * plan.height > maxResultPixels ? undefined : plan
}

/** The thumbnail, upright; undefined where the picture is broken, or more than can be decoded. */
export async function makeThumbnail(
  bytes: Uint8Array,
  picture: SeenPicture,
  plan: ScalePlan,
): Promise<Thumbnail | undefined> {
  if (!isDecodable(picture)) return undefined
  const { format, orientation } = picture
  const lying = await decode(bytes, picture, plan)
  if (!lying) return undefined
  const pixels = upright(lying, orientation)
  const isPhoto = format === 'image/jpeg' || ((format === 'image/webp' || format === 'image/avif') && isOpaque(pixels))
  return isPhoto
    ? { contentType: 'image/jpeg', bytes: encodeJpeg(pixels) }
    : { contentType: 'image/png', bytes: encodePng(pixels) }
}

/** The pixels of the thumbnail; undefined where the picture cannot be decoded. */
async function decode(bytes: Uint8Array, picture: PictureInfo, plan: ScalePlan): Promise<Pixels | undefined> {
  if (picture.format === 'image/jpeg') {
    const eighths = eighthsFor(picture, { width: plan.scaledWidth, height: plan.scaledHeight })
    const { width, height } = sizeAt(picture, eighths)
    const sink = downscaler(width, height, plan)
    return decodeJpeg(bytes, picture, eighths, sink) ? sink.result() : undefined
  }
  const sink = downscaler(picture.width, picture.height, plan)
  if (picture.format === 'image/png') return (await decodePng(bytes, sink)) ? sink.result() : undefined
  const whole = await wholePicture(bytes, picture.format)
  if (whole?.width !== picture.width || whole.height !== picture.height) return undefined
  const stride = whole.width * 4
  for (let y = 0; y < whole.height; y++) sink.row(whole.data.subarray(y * stride, (y + 1) * stride))
  return sink.result()
}

function wholePicture(bytes: Uint8Array, format: 'image/gif' | 'image/webp' | 'image/avif') {
  if (format === 'image/gif') return firstFrame(bytes)
  return format === 'image/webp' ? decodeWebp(bytes) : decodeAvif(bytes)
}

function isOpaque({ data }: Pixels): boolean {
  for (let at = 3; at < data.byteLength; at += 4) if (data[at] !== 255) return false
  return true
}
