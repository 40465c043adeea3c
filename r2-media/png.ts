/**
 * PNG, as much of it as thumbnails need. W3C PNG (third edition), sections 5, 7 and 9.
 *
 * Decodes row by row out of the runtime's own inflate, so that memory does not grow with the picture. Only interlaced
 * pictures, whose rows come in seven passes, are put together as a whole.
 */
import { crc32, deflateSync } from 'node:zlib'

import type { Pixels, RowSink } from './downscale.ts'
import { join } from './media-store.ts'

interface Header {
  readonly width: number
  readonly height: number
  readonly depth: number
  readonly channels: number
  readonly isPalette: boolean
  readonly isInterlaced: boolean
}

interface PngFile {
  readonly header: Header
  readonly palette: Uint8Array
  /** The tRNS chunk, where there is one. */
  readonly transparency: Uint8Array | undefined
  readonly data: readonly Uint8Array[]
}

const channelsOf: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }

/** Every `right`th pixel of every `down`th row, from these on. */
interface Pass {
  readonly left: number
  readonly top: number
  readonly right: number
  readonly down: number
}
const wholePass: readonly Pass[] = [{ left: 0, top: 0, right: 1, down: 1 }]
/** Section 8.2, Adam7. */
const interlacedPasses: readonly Pass[] = [
  { left: 0, top: 0, right: 8, down: 8 },
  { left: 4, top: 0, right: 8, down: 8 },
  { left: 0, top: 4, right: 4, down: 8 },
  { left: 2, top: 0, right: 4, down: 4 },
  { left: 0, top: 2, right: 2, down: 4 },
  { left: 1, top: 0, right: 2, down: 2 },
  { left: 0, top: 1, right: 1, down: 2 },
]
/** An interlaced picture is in memory as a whole. */
const maxInterlaced = 5_000_000

/** Feeds every row to the sink. False for what is not a PNG that can be decoded; the sink may have seen some rows then. */
export async function decodePng(bytes: Uint8Array, sink: RowSink): Promise<boolean> {
  const file = readChunks(bytes)
  if (!file) return false
  const { width, height, isInterlaced } = file.header
  if (!isInterlaced) return decodePasses(file, wholePass, (rgba) => sink.row(rgba))
  if (width * height > maxInterlaced) return false
  const whole = new Uint32Array(width * height)
  const isWhole = await decodePasses(file, interlacedPasses, (rgba, { left, right }, y) => {
    const pixels = new Uint32Array(rgba.buffer)
    for (let x = left, from = 0; x < width; x += right, from++) whole[y * width + x] = pixels[from] ?? 0
  })
  if (isWhole) for (let y = 0; y < height; y++) sink.row(new Uint8Array(whole.buffer, y * width * 4, width * 4))
  return isWhole
}

/** Inflates and unfilters; `take` gets each row of each pass and which row of the picture that is. False where it ends early. */
async function decodePasses(
  file: PngFile,
  passes: readonly Pass[],
  take: (rgba: Uint8Array, pass: Pass, y: number) => void,
): Promise<boolean> {
  const { width, height, depth, channels } = file.header
  const bytesPerPixel = Math.max(1, (depth * channels) >> 3)
  const left = passes.filter((pass) => pass.left < width && pass.top < height)
  let pass = left.shift()
  let y = pass?.top ?? 0
  const buffers = () => {
    const pixels = pass ? Math.ceil((width - pass.left) / pass.right) : 0
    const size = Math.ceil((pixels * depth * channels) / 8)
    return {
      pixels,
      size,
      previous: new Uint8Array(size),
      current: new Uint8Array(size),
      rgba: new Uint8Array(pixels * 4),
    }
  }
  let row = buffers()
  let filled = -1
  let filter = 0
  try {
    for await (const chunk of inflate(file.data)) {
      for (let at = 0; at < chunk.byteLength && pass;) {
        if (filled < 0) {
          filter = chunk[at++] ?? 0
          filled = 0
        }
        const part = chunk.subarray(at, at + row.size - filled)
        row.current.set(part, filled)
        filled += part.byteLength
        at += part.byteLength
        if (filled < row.size) continue
        if (!unfilter(filter, row.current, row.previous, bytesPerPixel)) return false
        toRgba(file, row.current, row.rgba)
        take(row.rgba, pass, y)
        filled = -1
        row = { ...row, previous: row.current, current: row.previous }
        y += pass.down
        if (y < height) continue
        pass = left.shift()
        y = pass?.top ?? 0
        row = buffers()
      }
      // What the data has beyond the picture is never inflated.
      if (!pass) return true
    }
  } catch {
    return false
  }
  return !pass
}

/** A PNG of eight bits a channel with alpha. */
export function encodePng({ width, height, data }: Pixels): Uint8Array {
  const raw = new Uint8Array(height * (width * 4 + 1))
  for (let y = 0; y < height; y++) {
    const to = y * (width * 4 + 1)
    // Filter 1 (Sub): each byte less the one of the pixel to its left.
    raw[to] = 1
    for (let x = 0; x < width * 4; x++) {
      const from = y * width * 4 + x
      raw[to + 1 + x] = (data[from] ?? 0) - (x < 4 ? 0 : (data[from - 4] ?? 0))
    }
  }
  const header = new Uint8Array(13)
  const view = new DataView(header.buffer)
  view.setUint32(0, width)
  view.setUint32(4, height)
  header.set([8, 6], 8)
  const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)
  const pieces = [
    signature,
    chunkOf('IHDR', header),
    chunkOf('IDAT', deflateSync(raw)),
    chunkOf('IEND', new Uint8Array()),
  ]
  return join(
    pieces,
    pieces.reduce((size, piece) => size + piece.byteLength, 0),
  )
}

function chunkOf(type: string, data: Uint8Array): Uint8Array {
  const chunk = new Uint8Array(data.byteLength + 12)
  const view = new DataView(chunk.buffer)
  view.setUint32(0, data.byteLength)
  chunk.set(new TextEncoder().encode(type), 4)
  chunk.set(data, 8)
  view.setUint32(data.byteLength + 8, crc32(chunk.subarray(4, data.byteLength + 8)))
  return chunk
}

function readChunks(bytes: Uint8Array): PngFile | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const data: Uint8Array[] = []
  let header: Header | undefined
  let palette: Uint8Array = new Uint8Array()
  let transparency: Uint8Array | undefined
  for (let at = 8; at + 12 <= bytes.byteLength;) {
    const length = view.getUint32(at)
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8))
    const content = bytes.subarray(at + 8, at + 8 + length)
    if (content.byteLength < length) return undefined
    if (type === 'IHDR') header = readHeader(content)
    else if (type === 'PLTE') palette = content
    else if (type === 'tRNS') transparency = content
    else if (type === 'IDAT') data.push(content)
    else if (type === 'IEND') break
    at += length + 12
  }
  return header && { header, palette, transparency, data }
}

function readHeader(content: Uint8Array): Header | undefined {
  if (content.byteLength !== 13) return undefined
  const view = new DataView(content.buffer, content.byteOffset, 13)
  const [depth, colour, interlaced] = [view.getUint8(8), view.getUint8(9), view.getUint8(12)]
  const channels = channelsOf[colour]
  const isKnownDepth = depth === 8 || (depth === 16 && colour !== 3) || ([1, 2, 4].includes(depth) && channels === 1)
  if (channels === undefined || !isKnownDepth || interlaced > 1) return undefined
  const [isPalette, isInterlaced] = [colour === 3, interlaced === 1]
  return { width: view.getUint32(0), height: view.getUint32(4), depth, channels, isPalette, isInterlaced }
}

function inflate(data: readonly Uint8Array[]): ReadableStream<Uint8Array> {
  let next = 0
  const source = new ReadableStream<Uint8Array>({
    pull(controller) {
      const piece = data[next++]
      if (piece) controller.enqueue(piece)
      else controller.close()
    },
  })
  return source.pipeThrough(new DecompressionStream('deflate'))
}

/** Section 9.2. In place. False for a filter that is none. */
function unfilter(filter: number, row: Uint8Array, above: Uint8Array, step: number): boolean {
  if (filter === 0) return true
  if (filter > 4) return false
  for (let x = 0; x < row.byteLength; x++) {
    const left = x < step ? 0 : (row[x - step] ?? 0)
    const up = above[x] ?? 0
    let predicted = up
    if (filter === 1) predicted = left
    else if (filter === 3) predicted = (left + up) >> 1
    else if (filter === 4) predicted = paeth(left, up, x < step ? 0 : (above[x - step] ?? 0))
    row[x] = (row[x] ?? 0) + predicted
  }
  return true
}

function paeth(left: number, up: number, corner: number): number {
  const estimate = left + up - corner
  const [a, b, c] = [Math.abs(estimate - left), Math.abs(estimate - up), Math.abs(estimate - corner)]
  if (a <= b && a <= c) return left
  return b <= c ? up : corner
}

/** One row as RGBA of eight bits. Of sixteen bits the upper eight are taken. */
function toRgba({ header, palette, transparency }: PngFile, row: Uint8Array, rgba: Uint8Array): void {
  const { depth, channels, isPalette } = header
  const sample = (index: number): number => {
    if (depth >= 8) return row[(index * depth) >> 3] ?? 0
    return ((row[(index * depth) >> 3] ?? 0) >> (8 - depth - ((index * depth) & 7))) & ((1 << depth) - 1)
  }
  const scale = isPalette || depth >= 8 ? 1 : 255 / ((1 << depth) - 1)
  for (let x = 0; x * 4 < rgba.byteLength; x++) {
    const [from, to] = [x * channels, x * 4]
    const first = sample(from)
    if (isPalette) {
      for (let c = 0; c < 3; c++) rgba[to + c] = palette[first * 3 + c] ?? 0
      rgba[to + 3] = transparency?.[first] ?? 255
      continue
    }
    const isGrey = channels < 3
    rgba[to] = first * scale
    rgba[to + 1] = isGrey ? first * scale : sample(from + 1)
    rgba[to + 2] = isGrey ? first * scale : sample(from + 2)
    rgba[to + 3] = channels === 2 || channels === 4 ? sample(from + channels - 1) : 255
  }
}
