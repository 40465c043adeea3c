/** Pictures for tests. */
import { encode } from 'jpeg-js'

import type { Pixels } from '../../../r2-media/downscale.ts'

export type Colour = readonly [red: number, green: number, blue: number, alpha: number]

/** A picture of which `colourAt` tells each pixel. */
export function painted(width: number, height: number, colourAt: (x: number, y: number) => Colour): Pixels {
  const data = new Uint8Array(width * height * 4)
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) data.set(colourAt(x, y), (y * width + x) * 4)
  return { width, height, data }
}

/** Red on its left half, blue on its right. */
export const redAndBlue = (width: number, height: number) =>
  painted(width, height, (x) => (x < width / 2 ? [255, 0, 0, 255] : [0, 0, 255, 255]))

export function jpegOf({ width, height, data }: Pixels, orientation?: number): Uint8Array {
  const bytes = new Uint8Array(encode({ width, height, data }, 90).data)
  if (orientation === undefined) return bytes
  const exif = [
    0x45,
    0x78,
    0x69,
    0x66,
    0,
    0,
    0x4d,
    0x4d,
    0,
    0x2a,
    0,
    0,
    0,
    8,
    0,
    1,
    1,
    0x12,
    0,
    3,
    0,
    0,
    0,
    1,
    0,
    orientation,
  ]
  const segment = [0xff, 0xe1, 0, exif.length + 8, ...exif, 0, 0, 0, 0, 0, 0]
  return Uint8Array.from([0xff, 0xd8, ...segment, ...bytes.subarray(2)])
}

export function pixelAt({ width, data }: Pixels, x: number, y: number): number[] {
  return [...data.subarray((y * width + x) * 4, (y * width + x) * 4 + 4)]
}

/** A GIF of one pixel. */
export const gif = Uint8Array.from(atob('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7'), (c) =>
  c.charCodeAt(0),
)
