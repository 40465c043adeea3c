/** JPEG in plain JavaScript: memory-safe whatever it is fed. */
import { encode } from 'jpeg-js'

import type { Pixels, RowSink } from './downscale.ts'
import { type Kept, readFrame } from './jpeg-frame.ts'
import { emitRows } from './jpeg-rows.ts'
import type { Size } from './picture-info.ts'

const quality = 80

/** At how many eighths of its size the picture is decoded, so that it is not smaller than `least` in either direction. */
export function eighthsFor(size: Size, least: Size): Kept {
  const fits = (kept: Kept) =>
    Math.ceil((size.width * kept) / 8) >= least.width && Math.ceil((size.height * kept) / 8) >= least.height
  return ([1, 2, 4] as const).find(fits) ?? 8
}

/** How large the picture is when it is decoded at so many eighths. */
export function sizeAt({ width, height }: Size, kept: Kept): Size {
  return { width: Math.ceil((width * kept) / 8), height: Math.ceil((height * kept) / 8) }
}

/** Feeds every row to the sink, at `kept` eighths of the picture's size. False where it cannot be decoded. */
export function decodeJpeg(bytes: Uint8Array, size: Size, kept: Kept, sink: RowSink): boolean {
  try {
    const frame = readFrame(bytes, kept)
    if (frame.width !== size.width || frame.height !== size.height) return false
    emitRows(frame, kept, (rgba) => sink.row(rgba))
    return true
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}

/** A JPEG without metadata: where a photo was taken does not travel in its thumbnail. */
export function encodeJpeg({ width, height, data }: Pixels): Uint8Array {
  return new Uint8Array(encode({ width, height, data }, quality).data)
}
