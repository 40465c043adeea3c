/**
 * Reads the coefficients of a JPEG: baseline, extended and progressive, Huffman-coded. ITU T.81, annexes B, F and G. Pure.
 *
 * Of each block of 8×8 only the `kept`×`kept` lowest frequencies are kept, which is all that a picture at `kept` eighths of
 * its size takes. So a photo of twelve megapixels costs a few megabytes. Throws RangeError on what is malformed.
 */
import { bitReader, type BitReader, type CodeTable, codeTable } from './jpeg-bits.ts'

export interface Component {
  readonly id: number
  /** Sampling factors. */
  readonly h: number
  readonly v: number
  /** Of the whole plane, with the blocks that only fill up the last units. */
  readonly blocksWide: number
  readonly blocksHigh: number
  /** Blocks with samples of the picture: those that a scan of this component alone has. */
  readonly ownWide: number
  readonly ownHigh: number
  /** By block, row by row: `kept`² each. Not yet multiplied with the quantisation. */
  readonly coefficients: Int16Array
  /** By block, 64 bits: which coefficients are not zero, kept or not. For progressive pictures only. */
  readonly nonZero: Uint32Array
  readonly quantisationId: number
  quantisation: Uint16Array | undefined
  predicted: number
}

export interface Frame {
  readonly width: number
  readonly height: number
  readonly progressive: boolean
  readonly components: readonly Component[]
  /** Largest sampling factors. */
  readonly maxH: number
  readonly maxV: number
  /** How colours are coded, as Adobe's segment tells: 0, 1 or 2. */
  readonly adobe: number | undefined
}

/** Coefficients in the order of the file → in their block, 8 a row. */
export const zigzag = Uint8Array.from(
  (
    '0 1 8 16 9 2 3 10 17 24 32 25 18 11 4 5 12 19 26 33 40 48 41 34 27 20 13 6 7 14 21 28 ' +
    '35 42 49 56 57 50 43 36 29 22 15 23 30 37 44 51 58 59 52 45 38 31 39 46 53 60 61 54 47 55 62 63'
  ).split(' '),
  Number,
)

/** Encoders make about ten scans. Each costs time, however few bytes it has. */
const maxScans = 64
const maxTables = 256
const maxBlocks = 4_000_000

export type Kept = 1 | 2 | 4 | 8

/** Where a coefficient of the file lies among those kept, or -1. */
function slotsOf(kept: Kept): Int8Array {
  return Int8Array.from(zigzag, (index) => {
    const [row, column] = [index >> 3, index & 7]
    return row < kept && column < kept ? row * kept + column : -1
  })
}

/** All of the picture that the file has. */
export function readFrame(bytes: Uint8Array, kept: Kept): Frame {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const quantisations: Uint16Array[] = []
  const codes = new Map<number, CodeTable>()
  const slots = slotsOf(kept)
  let frame: Frame | undefined
  let adobe: number | undefined
  let restartInterval = 0
  let [scans, tables] = [0, 0]

  for (let at = 2; at + 4 <= bytes.byteLength;) {
    if (bytes[at] !== 0xff || bytes[at + 1] === 0xff || bytes[at + 1] === 0) {
      at++
      continue
    }
    const marker = bytes[at + 1] ?? 0
    at += 2
    if (marker === 0xd9) break
    if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) continue
    const end = at + view.getUint16(at)
    if (end > bytes.byteLength || end < at + 2) throw new RangeError('a segment is cut')
    const segment = bytes.subarray(at + 2, end)
    at = end
    if (marker === 0xdb) readQuantisations(segment, quantisations)
    else if (marker === 0xc4) {
      tables += readCodes(segment, codes)
      if (tables > maxTables) throw new RangeError('too many tables')
    } else if (marker === 0xdd) restartInterval = ((segment[0] ?? 0) << 8) | (segment[1] ?? 0)
    else if (marker === 0xee && String.fromCharCode(...segment.subarray(0, 5)) === 'Adobe') adobe = segment[11]
    else if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc8 && marker !== 0xcc) {
      if (marker > 0xc2 || frame) throw new RangeError('not that kind of JPEG')
      frame = readHeader(segment, marker === 0xc2, kept)
    } else if (marker === 0xda) {
      if (!frame || ++scans > maxScans) throw new RangeError('a scan too many')
      const reader = bitReader(bytes, end)
      readScan({ frame, segment, codes, quantisations, restartInterval, reader, slots, size: kept * kept })
      at = reader.position()
    }
  }
  if (!frame?.components.every(({ quantisation }) => quantisation))
    throw new RangeError('not all of the picture is there')
  return { ...frame, adobe }
}

/** B.2.4.1. */
function readQuantisations(segment: Uint8Array, into: Uint16Array[]): void {
  for (let at = 0; at < segment.byteLength;) {
    const [wide, id] = [(segment[at] ?? 0) >> 4, (segment[at] ?? 0) & 3]
    at++
    const table = new Uint16Array(64)
    for (let k = 0; k < 64; k++) {
      table[zigzag[k] ?? 0] = wide ? ((segment[at] ?? 0) << 8) | (segment[at + 1] ?? 0) : (segment[at] ?? 0)
      at += wide ? 2 : 1
    }
    into[id] = table
  }
}

/** B.2.4.2. How many there were. */
function readCodes(segment: Uint8Array, into: Map<number, CodeTable>): number {
  let tables = 0
  for (let at = 0; at + 17 <= segment.byteLength; tables++) {
    const counts = segment.subarray(at + 1, at + 17)
    const total = counts.reduce((sum, count) => sum + count, 0)
    into.set(segment[at] ?? 0, codeTable(counts, segment.subarray(at + 17, at + 17 + total)))
    at += 17 + total
  }
  return tables
}

/** B.2.2. */
function readHeader(segment: Uint8Array, progressive: boolean, kept: Kept): Frame {
  const view = new DataView(segment.buffer, segment.byteOffset, segment.byteLength)
  const [height, width, count] = [view.getUint16(1), view.getUint16(3), view.getUint8(5)]
  if (
    segment[0] !== 8 ||
    height === 0 ||
    width === 0 ||
    ![1, 3, 4].includes(count) ||
    segment.byteLength < 6 + count * 3
  )
    throw new RangeError('not that kind of JPEG')
  const given = Array.from({ length: count }, (_, n) => {
    const [id = 0, factors = 0, quantisationId = 0] = segment.subarray(6 + n * 3, 9 + n * 3)
    return { id, h: factors >> 4, v: factors & 15, quantisationId }
  })
  if (given.some(({ h, v }) => h < 1 || h > 4 || v < 1 || v > 4)) throw new RangeError('no such sampling')
  const [maxH, maxV] = [Math.max(...given.map(({ h }) => h)), Math.max(...given.map(({ v }) => v))]
  const [unitsWide, unitsHigh] = [Math.ceil(width / (8 * maxH)), Math.ceil(height / (8 * maxV))]
  if (given.reduce((sum, { h, v }) => sum + h * v, 0) * unitsWide * unitsHigh > maxBlocks)
    throw new RangeError('too large')
  const components = given.map((each): Component => {
    const [blocksWide, blocksHigh] = [unitsWide * each.h, unitsHigh * each.v]
    return {
      ...each,
      blocksWide,
      blocksHigh,
      ownWide: Math.ceil(Math.ceil((width * each.h) / maxH) / 8),
      ownHigh: Math.ceil(Math.ceil((height * each.v) / maxV) / 8),
      coefficients: new Int16Array(blocksWide * blocksHigh * kept * kept),
      nonZero: new Uint32Array(progressive ? blocksWide * blocksHigh * 2 : 0),
      quantisation: undefined,
      predicted: 0,
    }
  })
  return { width, height, progressive, components, maxH, maxV, adobe: undefined }
}

interface Scan {
  readonly frame: Frame
  readonly segment: Uint8Array
  readonly codes: ReadonlyMap<number, CodeTable>
  readonly quantisations: readonly Uint16Array[]
  readonly restartInterval: number
  readonly reader: BitReader
  readonly slots: Int8Array
  /** Coefficients kept of a block. */
  readonly size: number
}

/** B.2.3, F.2 and G.2. */
function readScan({ frame, segment, codes, quantisations, restartInterval, reader, slots, size }: Scan): void {
  const count = segment[0] ?? 0
  if (count < 1 || count > 4 || segment.byteLength < 4 + count * 2) throw new RangeError('no such scan')
  const [start = 0, end = 0, bits = 0] = segment.subarray(1 + count * 2)
  const [high, low] = frame.progressive ? [bits >> 4, bits & 15] : [0, 0]
  const [first, last] = frame.progressive ? [start, end] : [0, 63]
  if (first > last || last > 63 || low > 13 || (frame.progressive && first === 0 && last !== 0))
    throw new RangeError('no such scan')
  if (first > 0 && count !== 1) throw new RangeError('no such scan')
  let endOfBand = 0

  const parts = Array.from({ length: count }, (_, n) => {
    const [id, tables = 0] = segment.subarray(1 + n * 2, 3 + n * 2)
    const component = frame.components.find((each) => each.id === id) ?? missing()
    component.quantisation ??= quantisations[component.quantisationId] ?? missing()
    const [dc, ac] = [codes.get(tables >> 4), codes.get(0x10 | (tables & 15))]
    return { component, block: blockReader(component, dc, ac) }
  })

  function blockReader(component: Component, dc: CodeTable | undefined, ac: CodeTable | undefined) {
    const { coefficients, nonZero } = component
    const difference = () => {
      const length = reader.symbol(dc ?? missing())
      if (length > 15) throw new RangeError('no such difference')
      return (component.predicted += reader.signed(length))
    }
    const keep = (block: number, k: number, value: number) => {
      const slot = slots[k] ?? -1
      if (slot >= 0) coefficients[block * size + slot] = value
    }
    const isNonZero = (block: number, k: number) => (((nonZero[block * 2 + (k >> 5)] ?? 0) >>> (k & 31)) & 1) !== 0
    const markNonZero = (block: number, k: number) => {
      const at = block * 2 + (k >> 5)
      nonZero[at] = (nonZero[at] ?? 0) | (1 << (k & 31))
    }

    /** F.2.2. */
    const sequential = (block: number) => {
      coefficients[block * size] = difference()
      const table = ac ?? missing()
      for (let k = 1; k < 64; k++) {
        const symbol = reader.symbol(table)
        const length = symbol & 15
        if (length === 0) {
          if (symbol < 0xf0) break
          k += 15
          continue
        }
        k += symbol >> 4
        if (k > 63) throw new RangeError('behind the block')
        keep(block, k, reader.signed(length))
      }
    }
    /** G.1.2.2, the first time. */
    const band = (block: number) => {
      if (endOfBand > 0) return void endOfBand--
      const table = ac ?? missing()
      for (let k = first; k <= last; k++) {
        const symbol = reader.symbol(table)
        const [run, length] = [symbol >> 4, symbol & 15]
        if (length === 0) {
          if (run < 15) {
            endOfBand = (1 << run) - 1 + reader.bits(run)
            break
          }
          k += 15
          continue
        }
        k += run
        if (k > 63) throw new RangeError('behind the block')
        keep(block, k, reader.signed(length) << low)
        markNonZero(block, k)
      }
    }
    /** One more bit of a coefficient that is not zero. */
    const refine = (block: number, k: number) => {
      if (reader.bits(1) === 0) return
      const slot = slots[k] ?? -1
      if (slot < 0) return
      const value = coefficients[block * size + slot] ?? 0
      coefficients[block * size + slot] = value + (value < 0 ? -(1 << low) : 1 << low)
    }
    /** G.1.2.3. */
    const refinedBand = (block: number) => {
      let k = first
      for (; endOfBand === 0 && k <= last; k++) {
        const symbol = reader.symbol(ac ?? missing())
        let run = symbol >> 4
        const isNew = (symbol & 15) !== 0
        if (!isNew && run < 15) {
          endOfBand = (1 << run) + reader.bits(run)
          break
        }
        const value = isNew ? (reader.bits(1) ? 1 << low : -(1 << low)) : 0
        for (; k <= last; k++) {
          if (isNonZero(block, k)) refine(block, k)
          else if (run-- === 0) break
        }
        if (!isNew || k > last) continue
        keep(block, k, value)
        markNonZero(block, k)
      }
      if (endOfBand === 0) return
      for (; k <= last; k++) if (isNonZero(block, k)) refine(block, k)
      endOfBand--
    }
    const dcFirst = (block: number) => void (coefficients[block * size] = difference() << low)
    const dcRefined = (block: number) => {
      if (reader.bits(1)) coefficients[block * size] = (coefficients[block * size] ?? 0) | (1 << low)
    }
    if (!frame.progressive) return sequential
    if (first === 0) return high === 0 ? dcFirst : dcRefined
    return high === 0 ? band : refinedBand
  }

  const [only] = parts
  const isAlone = parts.length === 1 && only !== undefined
  const unitsWide = isAlone ? only.component.ownWide : Math.ceil(frame.width / (8 * frame.maxH))
  const unitsHigh = isAlone ? only.component.ownHigh : Math.ceil(frame.height / (8 * frame.maxV))
  for (const { component } of parts) component.predicted = 0
  for (let unit = 0; unit < unitsWide * unitsHigh; unit++) {
    if (restartInterval > 0 && unit > 0 && unit % restartInterval === 0) {
      reader.restart()
      for (const { component } of parts) component.predicted = 0
      endOfBand = 0
    }
    const [row, column] = [Math.floor(unit / unitsWide), unit % unitsWide]
    for (const { component, block } of parts) {
      const [h, v] = isAlone ? [1, 1] : [component.h, component.v]
      for (let y = 0; y < v; y++)
        for (let x = 0; x < h; x++) block((row * v + y) * component.blocksWide + column * h + x)
    }
  }
}

function missing(): never {
  throw new RangeError('a table or a component is missing')
}
