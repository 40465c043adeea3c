/** The bits of a JPEG scan and the codes in them. ITU T.81, annexes C and F.2.2. Pure. Throws RangeError on what is malformed. */

/** By the next sixteen bits: the length of the code times 256, plus what it means; 0 where there is no such code. */
export type CodeTable = Uint16Array

/** From how many codes there are of each length, 1 to 16, and what they mean. Annex C. */
export function codeTable(counts: Uint8Array, symbols: Uint8Array): CodeTable {
  const table = new Uint16Array(65_536)
  let code = 0
  let next = 0
  for (let length = 1; length <= 16; length++) {
    for (let left = counts[length - 1] ?? 0; left > 0; left--) {
      if (code >= 1 << length) throw new RangeError('more codes than there can be')
      table.fill((length << 8) | (symbols[next++] ?? 0), code << (16 - length), (code + 1) << (16 - length))
      code++
    }
    code <<= 1
  }
  return table
}

export interface BitReader {
  /** The next code's meaning. */
  symbol(table: CodeTable): number
  /** The next `length` bits, 0 to 16, as a number. */
  bits(length: number): number
  /** As `bits`, and what has the upper bit unset is negative. F.2.2.1, EXTEND. */
  signed(length: number): number
  /** Passes a restart marker, which must be here. */
  restart(): void
  /** Where the scan's bytes ended, or somewhat before it. */
  position(): number
}

/** Zeros are read behind the end, since codes are looked up sixteen bits at a time; more of them mean a cut file. */
const maxOverrun = 8

export function bitReader(bytes: Uint8Array, start: number): BitReader {
  let at = start
  let held = 0
  let count = 0
  let overrun = 0

  const fill = () => {
    while (count <= 24) {
      let byte = bytes[at] ?? 0
      if (at >= bytes.byteLength || (byte === 0xff && bytes[at + 1] !== 0)) {
        if (++overrun > maxOverrun) throw new RangeError('the scan ends early')
        byte = 0
      } else at += byte === 0xff ? 2 : 1
      held = (held << 8) | byte
      count += 8
    }
  }
  const bits = (length: number): number => {
    if (length === 0) return 0
    if (count < length) fill()
    count -= length
    return (held >>> count) & ((1 << length) - 1)
  }
  return {
    symbol(table) {
      if (count < 16) fill()
      const entry = table[(held >>> (count - 16)) & 0xffff] ?? 0
      if (entry === 0) throw new RangeError('there is no such code')
      count -= entry >> 8
      return entry & 0xff
    },
    bits,
    signed(length) {
      const value = bits(length)
      return length > 0 && value < 1 << (length - 1) ? value - (1 << length) + 1 : value
    },
    restart() {
      const marker = bytes[at + 1] ?? 0
      if (bytes[at] !== 0xff || marker < 0xd0 || marker > 0xd7) throw new RangeError('a restart is missing')
      at += 2
      held = count = overrun = 0
    },
    position: () => at,
  }
}
