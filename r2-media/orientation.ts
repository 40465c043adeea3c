/**
 * How a picture is to be turned so that it stands upright, from its metadata. Pure.
 *
 * Exif 2.32, tag 0x0112, in JPEG (APP1), PNG (chunk eXIf) and WebP (chunk EXIF); the properties `irot` and `imir` in AVIF, where
 * Exif says nothing about that (ISO 23008-12, 6.5.10 and 6.5.12).
 */
import type { Pixels } from './downscale.ts'
import type { PictureFormat } from './picture-info.ts'

/** 1 to 8, as in Exif: which sides row 0 and column 0 are. 1 is upright; 5 to 8 swap width and height. */
export type Orientation = number

const readers: Readonly<Partial<Record<PictureFormat, (bytes: Uint8Array, view: DataView) => Orientation>>> = {
  'image/jpeg': ofJpeg,
  'image/png': ofPng,
  'image/webp': ofWebp,
  'image/avif': ofAvif,
}

/** 1 without any metadata, or where they are malformed. */
export function orientationOf(bytes: Uint8Array, format: PictureFormat): Orientation {
  try {
    return readers[format]?.(bytes, viewOf(bytes)) ?? 1
  } catch (error) {
    // It points outside.
    if (error instanceof RangeError) return 1
    throw error
  }
}

/** Whether the metadata may stand behind the pixels, so that the first bytes do not tell. */
export function turnsAtTheEnd(bytes: Uint8Array, format: PictureFormat): boolean {
  return format === 'image/webp' && textAt(bytes, 12) === 'VP8X' && ((bytes[20] ?? 0) & 8) !== 0
}

/** 5 to 8 swap the sides. */
export function upright(pixels: Pixels, orientation: Orientation): Pixels {
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

function ofJpeg(bytes: Uint8Array, view: DataView): Orientation {
  for (let at = 2; at + 20 < bytes.byteLength && bytes[at] === 0xff && bytes[at + 1] !== 0xda;) {
    // APP1 that begins with "Exif" and two zeros; then a TIFF header.
    if (bytes[at + 1] === 0xe1 && textAt(bytes, at + 4) === 'Exif') return inTiff(viewOf(bytes.subarray(at + 10)))
    at += 2 + view.getUint16(at + 2)
  }
  return 1
}

function ofPng(bytes: Uint8Array, view: DataView): Orientation {
  for (let at = 8; at + 12 <= bytes.byteLength; at += 12 + view.getUint32(at)) {
    if (textAt(bytes, at + 4) === 'eXIf') return inTiff(viewOf(bytes.subarray(at + 8)))
  }
  return 1
}

function ofWebp(bytes: Uint8Array, view: DataView): Orientation {
  if (!turnsAtTheEnd(bytes, 'image/webp')) return 1
  for (let at = 12; at + 8 <= bytes.byteLength;) {
    const size = view.getUint32(at + 4, true)
    if (textAt(bytes, at) === 'EXIF') {
      // Some programs write the "Exif" of a JPEG before it.
      const content = bytes.subarray(at + 8, at + 8 + size)
      return inTiff(viewOf(textAt(content, 0) === 'Exif' ? content.subarray(6) : content))
    }
    at += 8 + size + (size & 1)
  }
  return 1
}

/** By quarters of a turn to the left, without and with the mirror, which comes after it: left and right, or top and bottom. */
const turned = [1, 8, 3, 6]
const mirrored = [
  [4, 5, 2, 7],
  [2, 7, 4, 5],
]

function ofAvif(bytes: Uint8Array): Orientation {
  const quarters = (propertyOf(bytes, 'irot') ?? 0) & 3
  const axis = propertyOf(bytes, 'imir')
  return (axis === undefined ? turned : mirrored[axis & 1])?.[quarters] ?? 1
}

/** The one byte of a property of that name. */
function propertyOf(bytes: Uint8Array, name: string): number | undefined {
  for (let at = 16; at + 5 <= bytes.byteLength; at++) {
    // A box of nine bytes: its size, its name, the value.
    if (bytes[at - 1] === 9 && bytes[at] === name.charCodeAt(0) && textAt(bytes, at) === name) return bytes[at + 4]
  }
  return undefined
}

/** From the first directory of a TIFF; 1 where it says nothing. Throws on what points outside. */
function inTiff(tiff: DataView): Orientation {
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

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function textAt(bytes: Uint8Array, at: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + 4))
}
