/**
 * The first frame of a GIF. GIF89a specification, sections 17 to 23 and appendix F. Pure.
 *
 * What lies outside the frame, and the colour that stands for nothing, is transparent.
 */
import type { Pixels } from './downscale.ts'

/** Whether there is more than one frame, as far as these bytes tell; where they end before the file does: yes. */
export function hasFrames(bytes: Uint8Array): boolean {
  let frames = 0
  for (let at = behindHeader(bytes); ;) {
    const kind = bytes[at]
    if (kind === 0x3b) return false
    if (kind === 0x2c && ++frames > 1) return true
    if (kind === 0x2c) at = behindBlocks(bytes, at + 10 + coloursIn(bytes[at + 9] ?? 0) + 1)
    else if (kind === 0x21) at = behindBlocks(bytes, at + 2)
    else return true
  }
}

/** The frame on the whole canvas, or undefined where it is malformed or cut. The caller has checked the canvas' size. */
export function firstFrame(bytes: Uint8Array): Pixels | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.byteLength < 13) return undefined
  const [width, height] = [view.getUint16(6, true), view.getUint16(8, true)]
  const shared = bytes.subarray(13, behindHeader(bytes))
  let transparent = -1
  for (let at = behindHeader(bytes); at < bytes.byteLength;) {
    if (bytes[at] === 0x21) {
      // The graphic control extension.
      if (bytes[at + 1] === 0xf9 && (bytes[at + 3] ?? 0) & 1) transparent = bytes[at + 6] ?? -1
      at = behindBlocks(bytes, at + 2)
      continue
    }
    if (bytes[at] !== 0x2c || at + 11 > bytes.byteLength) return undefined
    const flags = bytes[at + 9] ?? 0
    const own = bytes.subarray(at + 10, at + 10 + coloursIn(flags))
    const palette = own.byteLength > 0 ? own : shared
    const frame = {
      left: view.getUint16(at + 1, true),
      top: view.getUint16(at + 3, true),
      width: view.getUint16(at + 5, true),
      height: view.getUint16(at + 7, true),
    }
    if (frame.left + frame.width > width || frame.top + frame.height > height) return undefined
    const indexes = decodeLzw(bytes, at + 10 + own.byteLength, frame.width * frame.height)
    if (!indexes) return undefined
    const data = new Uint8Array(width * height * 4)
    for (let y = 0; y < frame.height; y++) {
      const row = (flags & 0x40) !== 0 ? interlacedRow(y, frame.height) : y
      for (let x = 0; x < frame.width; x++) {
        const index = indexes[row * frame.width + x] ?? 0
        if (index === transparent) continue
        const to = ((frame.top + y) * width + frame.left + x) * 4
        for (let c = 0; c < 3; c++) data[to + c] = palette[index * 3 + c] ?? 0
        data[to + 3] = 255
      }
    }
    return { width, height, data }
  }
  return undefined
}

/** Bytes of the colour table that these flags announce. */
function coloursIn(flags: number): number {
  return flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0
}

function behindHeader(bytes: Uint8Array): number {
  return 13 + coloursIn(bytes[10] ?? 0)
}

function behindBlocks(bytes: Uint8Array, start: number): number {
  let at = start
  while ((bytes[at] ?? 0) > 0) at += 1 + (bytes[at] ?? 0)
  return at + 1
}

/** The place in the file of row `y` of the picture. Appendix E: every 8th, the 8ths between, the 4ths, the rest. */
function interlacedRow(y: number, height: number): number {
  if (y % 8 === 0) return y / 8
  const eighths = Math.ceil(height / 8)
  if (y % 8 === 4) return eighths + (y - 4) / 8
  const quarters = Math.ceil(height / 4)
  return y % 4 === 2 ? quarters + (y - 2) / 4 : Math.ceil(height / 2) + (y - 1) / 2
}

/** So many colour indexes, or undefined where the codes are wrong or end before. */
function decodeLzw(bytes: Uint8Array, start: number, length: number): Uint8Array | undefined {
  const least = bytes[start] ?? 0
  if (least < 2 || least > 8) return undefined
  const [clear, end] = [1 << least, (1 << least) + 1]
  // Of each code: the code for all but its last index, that index, and how many there are.
  const [before, last, size] = [new Uint16Array(4096), new Uint8Array(4096), new Uint16Array(4096)]
  for (let code = 0; code < clear; code++) [last[code], size[code]] = [code, 1]
  const out = new Uint8Array(length)
  let [filled, next, width, previous] = [0, end + 1, least + 1, -1]
  let [held, count, left, at] = [0, 0, 0, start + 1]
  while (filled < length) {
    while (count < width) {
      if (left === 0) {
        left = bytes[at++] ?? 0
        if (left === 0) return undefined
      }
      if (at >= bytes.byteLength) return undefined
      held |= (bytes[at++] ?? 0) << count
      count += 8
      left--
    }
    const code = held & ((1 << width) - 1)
    held >>>= width
    count -= width
    if (code === clear) {
      ;[next, width, previous] = [end + 1, least + 1, -1]
      continue
    }
    if (code === end || code > next || (code === next && previous < 0)) return undefined
    // A code that is only now being made begins and ends with the same index.
    const known = code === next ? previous : code
    const run = (size[known] ?? 0) + (code === next ? 1 : 0)
    let from = known
    for (let to = filled + (size[known] ?? 0) - 1; to >= filled; to--) {
      if (to < length) out[to] = last[from] ?? 0
      from = before[from] ?? 0
    }
    const first = out[filled] ?? 0
    if (code === next && filled + run <= length) out[filled + run - 1] = first
    if (previous >= 0 && next < 4096) {
      ;[before[next], last[next], size[next]] = [previous, first, (size[previous] ?? 0) + 1]
      next++
      if (next === 1 << width && width < 12) width++
    }
    filled += run
    previous = code
  }
  return out
}
