/** JPEG in plain JavaScript: memory-safe whatever it is fed. */
import { encode } from 'jpeg-js'

import type { Pixels, RowSink } from './downscale.ts'
import { type Kept, readFrame } from './jpeg-frame.ts'
import { emitRows } from './jpeg-rows.ts'
import type { Size } from './picture-info.ts'

const quality = 80

/** How the camera was held, 1 to 8. Exif 2.32, tag 0x0112. */
export type Orientation = number

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

/** A JPEG without metadata, turned upright: where a photo was taken does not travel in its thumbnail. */
export function encodeJpeg(pixels: Pixels, orientation: Orientation): Uint8Array {
  const { width, height, data } = upright(pixels, orientation)
  return new Uint8Array(encode({ width, height, data }, quality).data)
}

/** 5 to 8 swap the sides. */
function upright(pixels: Pixels, orientation: Orientation): Pixels {
  if (orientation === 1) return pixels
  const swaps = orientation >= 5
  const [width, height] = swaps ? [pixels.height, pixels.width] : [pixels.width, pixels.height]
  const data = new Uint8Array(pixels.data.byteLength)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [alongX, alongY] = swaps ? [y, x] : [x, y]
      const fromX = [2, 3, 7, 8].includes(orientation) ? pixels.width - 1 - alongX : alongX
      const fromY = [3, 4, 6, 7].includes(orientation) ? pixels.height - 1 - alongY : alongY
      const from = (fromY * pixels.width + fromX) * 4
      data.set(pixels.data.subarray(from, from + 4), (y * width + x) * 4)
    }
  }
  return { width, height, data }
}

/** How the picture is to be turned, from its metadata; 1, upright, without any or where they are malformed. */
export function orientationOf(bytes: Uint8Array): Orientation {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = 2; at + 20 < bytes.byteLength && bytes[at] === 0xff && bytes[at + 1] !== 0xda;) {
    // APP1 that begins with "Exif" and two zeros; then a TIFF header.
    if (bytes[at + 1] === 0xe1 && view.getUint32(at + 4) === 0x45786966) {
      try {
        return orientationIn(new DataView(bytes.buffer, bytes.byteOffset + at + 10, bytes.byteLength - at - 10))
      } catch {
        // It points outside.
        return 1
      }
    }
    at += 2 + view.getUint16(at + 2)
  }
  return 1
}

/** From the first directory of a TIFF; 1 where it says nothing. Throws on what points outside. */
function orientationIn(tiff: DataView): Orientation {
  const little = tiff.getUint16(0) === 0x4949
  const directory = tiff.getUint32(4, little)
  const count = tiff.getUint16(directory, little)
  for (let entry = 0; entry < count; entry++) {
    const at = directory + 2 + entry * 12
    if (tiff.getUint16(at, little) !== 0x0112) continue
    const value = tiff.getUint16(at + 8, little)
    return value >= 1 && value <= 8 ? value : 1
  }
  return 1
}
