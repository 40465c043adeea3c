/**
 * What kind of picture bytes are and how large, read from their first bytes. Pure.
 *
 * Only these formats are ever thumbnailed, whatever Content-Type claims: a decoder must not be handed what was not meant
 * for it, nor a picture whose pixels would not fit into memory.
 */

import { hasFrames } from './gif.ts'

export type PictureFormat = 'image/png' | 'image/jpeg' | 'image/gif' | 'image/webp' | 'image/avif'

export interface Size {
  readonly width: number
  readonly height: number
}

export interface PictureInfo extends Size {
  readonly format: PictureFormat
  /** Whether it may move; false only where that is sure. */
  readonly mayMove: boolean
}

/** Undefined for anything that is not one of these formats or whose size is not told. */
export function pictureInfo(bytes: Uint8Array): PictureInfo | undefined {
  const start = encodeHex(bytes.subarray(0, 16))
  const info = readers.find(({ magic }) => magic.test(start))?.read(bytes)
  return info && info.width > 0 && info.height > 0 ? info : undefined
}

type Reader = { readonly magic: RegExp; readonly read: (bytes: Uint8Array) => PictureInfo | undefined }

/** By the first 16 bytes in hexadecimal. */
const readers: readonly Reader[] = [
  { magic: /^89504e470d0a1a0a.{8}49484452/, read: png },
  { magic: /^ffd8ff/, read: jpeg },
  { magic: /^474946383[79]61/, read: gif },
  { magic: /^52494646.{8}57454250/, read: webp },
  { magic: /^.{8}66747970/, read: avif },
]

function png(bytes: Uint8Array): PictureInfo | undefined {
  if (bytes.byteLength < 33) return undefined
  const view = viewOf(bytes)
  const mayMove = latin1(bytes, 33, 4096).includes('acTL')
  return { format: 'image/png', width: view.getUint32(16), height: view.getUint32(20), mayMove }
}

/** Walks the segments to the frame header (SOF0–SOF15 but for DHT, JPG and DAC). */
function jpeg(bytes: Uint8Array): PictureInfo | undefined {
  const view = viewOf(bytes)
  for (let at = 2; at + 9 <= bytes.byteLength;) {
    if (bytes[at] !== 0xff) return undefined
    const marker = bytes[at + 1] ?? 0
    if (marker === 0xff) {
      at += 1
      continue
    }
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return { format: 'image/jpeg', height: view.getUint16(at + 5), width: view.getUint16(at + 7), mayMove: false }
    }
    at += 2 + view.getUint16(at + 2)
  }
  return undefined
}

function gif(bytes: Uint8Array): PictureInfo | undefined {
  if (bytes.byteLength < 10) return undefined
  const view = viewOf(bytes)
  return {
    format: 'image/gif',
    width: view.getUint16(6, true),
    height: view.getUint16(8, true),
    mayMove: hasFrames(bytes),
  }
}

function webp(bytes: Uint8Array): PictureInfo | undefined {
  if (bytes.byteLength < 30) return undefined
  const view = viewOf(bytes)
  const still = { format: 'image/webp', mayMove: false } as const
  const chunk = latin1(bytes, 12, 16)
  if (chunk === 'VP8 ') {
    return { ...still, width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff }
  }
  if (chunk === 'VP8L') {
    const bits = view.getUint32(21, true)
    return { ...still, width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 }
  }
  if (chunk !== 'VP8X') return undefined
  const sizeAt = (at: number) => view.getUint16(at, true) + view.getUint8(at + 2) * 65_536 + 1
  return { ...still, width: sizeAt(24), height: sizeAt(27), mayMove: (view.getUint8(20) & 2) !== 0 }
}

/**
 * ISO 14496-12 and 23008-12: a file type box that names AVIF, then the size of each picture inside in a property of its
 * own. The largest counts: others are its tiles, its transparency, its own thumbnail.
 */
function avif(bytes: Uint8Array): PictureInfo | undefined {
  const view = viewOf(bytes)
  const brands = latin1(bytes, 8, Math.min(view.getUint32(0), 128))
  if (!/avi[fs]/.test(brands)) return undefined
  let size: Size = { width: 0, height: 0 }
  for (let at = 16; at + 16 <= bytes.byteLength; at++) {
    // "ispe", then version and flags, which are zero.
    if (bytes[at] !== 0x69 || view.getUint32(at) !== 0x69737065 || view.getUint32(at + 4) !== 0) continue
    const [width, height] = [view.getUint32(at + 8), view.getUint32(at + 12)]
    if (width * height > size.width * size.height) size = { width, height }
  }
  return { format: 'image/avif', ...size, mayMove: brands.includes('avis') }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function latin1(bytes: Uint8Array, from: number, to: number): string {
  return String.fromCharCode(...bytes.subarray(from, to))
}

function encodeHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
