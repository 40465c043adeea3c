/**
 * Thumbnails by Cloudflare's Images, where it is bound: no pixel of them is ever in this isolate.
 *
 * It turns photos upright by itself and drops their metadata. What it refuses, our own decoders may still try.
 */
import type { ScalePlan } from './downscale.ts'
import type { SeenPicture } from './picture-look.ts'
import type { Thumbnail } from './thumbnails.ts'

/** The part of the binding that is used. */
export type PictureService = Pick<ImagesBinding, 'input'>

/** Cloudflare's own limits. */
const maxPixels = 100_000_000
const maxSize = 70_000_000
/** A thumbnail that is larger than this is none. */
const maxBytes = 8_000_000

/** Whether Images can be asked for it. Of what is not a JPEG it is not known whether it is turned upright there. */
export function isForService({ width, height, format, orientation }: SeenPicture, size: number): boolean {
  return width * height <= maxPixels && size <= maxSize && (format === 'image/jpeg' || orientation === 1)
}

/** As `makeThumbnail`, or one that moves. `open` gives the bytes; it is called only when there is something to do. */
export async function thumbnailByService(
  service: PictureService,
  picture: SeenPicture,
  plan: ScalePlan,
  moves: boolean,
  open: () => Promise<ReadableStream<Uint8Array> | undefined>,
): Promise<Thumbnail | undefined> {
  const body = await open()
  if (!body) return undefined
  const [width, height] = picture.orientation >= 5 ? [plan.height, plan.width] : [plan.width, plan.height]
  const format = moves ? 'image/webp' : picture.format === 'image/jpeg' ? 'image/jpeg' : 'image/png'
  try {
    const transformed = service.input(body).transform({ width, height, fit: 'cover', gravity: 'center' })
    const response = (await transformed.output({ format, anim: moves })).response()
    const bytes = new Uint8Array(await response.arrayBuffer())
    if (!response.ok || bytes.byteLength === 0 || bytes.byteLength > maxBytes) return undefined
    return { contentType: format, bytes }
  } catch (error) {
    console.warn('Images made no thumbnail', String(error))
    return undefined
  }
}
