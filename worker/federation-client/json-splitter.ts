/**
 * Takes a large JSON object apart while it comes in: members of its lists one by one, some of its fields whole. Nothing else
 * of it is kept, and nothing recurses: an answer without end costs no memory, and neither does one that only nests.
 *
 * RFC 8259. It finds where things begin and end and does not judge the rest; what it hands out is parsed by whoever gets it.
 */

export interface Wanted {
  /** Fields that are arrays: their members are handed out. */
  readonly lists: readonly string[]
  /** Fields that are handed out whole. */
  readonly values: readonly string[]
  /** Bytes of one thing handed out, at most. */
  readonly maxBytes: number
}

const [quote, comma, colon, backslash] = [0x22, 0x2c, 0x3a, 0x5c]
const [openArray, closeArray, openObject, closeObject] = [0x5b, 0x5d, 0x7b, 0x7d]
const space = new Set([0x20, 0x0a, 0x0d, 0x09])

export class JsonSplitter {
  readonly #wanted: Wanted
  readonly #found: (name: string, json: string) => void
  readonly #decoder = new TextDecoder()
  /** Open arrays and objects. */
  #depth = 0
  #inString = false
  #escaped = false
  #ended = false
  #broken = false
  /** Of the object itself: whether a key comes next, and the last one that came. */
  #atKey = false
  #key = ''
  /** What the bytes that come now are part of, where they are kept. */
  #keeps: 'key' | 'member' | 'value' | undefined
  #parts: Uint8Array[] = []
  #size = 0

  /** `found` gets the text of each thing wanted, as it was written. */
  constructor(wanted: Wanted, found: (name: string, json: string) => void) {
    this.#wanted = wanted
    this.#found = found
  }

  /** The object has ended, and nothing came after it. */
  get isComplete(): boolean {
    return this.#ended && !this.#broken
  }

  /** Takes the next bytes. False, from then on, when this is no JSON object or something wanted is too large. */
  write(chunk: Uint8Array): boolean {
    let start = 0
    for (let at = 0; at < chunk.length && !this.#broken; at++) {
      if (this.#inString) {
        at = this.#throughString(chunk, at)
        if (!this.#inString && this.#keeps === 'key') this.#finish(chunk.subarray(start, at + 1))
        continue
      }
      const byte = chunk[at] ?? 0
      if (this.#ended || this.#depth === 0) {
        this.#outside(byte)
        continue
      }
      switch (byte) {
        case quote:
          this.#inString = true
          if (this.#depth === 1 && this.#atKey) {
            this.#keeps = 'key'
            start = at
          }
          break
        case colon:
          if (this.#depth !== 1) break
          this.#atKey = false
          if (!this.#wanted.values.includes(this.#key)) break
          this.#keeps = 'value'
          start = at + 1
          break
        case openArray:
        case openObject:
          this.#depth++
          if (this.#depth !== 2 || byte !== openArray || !this.#wanted.lists.includes(this.#key)) break
          this.#keeps = 'member'
          start = at + 1
          break
        case comma:
          if (this.#endsHere()) this.#finish(chunk.subarray(start, at))
          if (this.#depth === 1) this.#atKey = true
          if (this.#keeps === 'member' && this.#depth === 2) start = at + 1
          break
        case closeArray:
        case closeObject:
          if (this.#endsHere()) {
            this.#finish(chunk.subarray(start, at))
            this.#keeps = undefined
          }
          this.#ended = --this.#depth === 0
          break
        default:
      }
    }
    if (this.#keeps) this.#keep(chunk.subarray(start))
    return !this.#broken
  }

  /** Where the string ends that this is in, or where the chunk does. */
  #throughString(chunk: Uint8Array, from: number): number {
    let at = from
    let escaped = this.#escaped
    for (; at < chunk.length; at++) {
      const byte = chunk[at]
      if (escaped) escaped = false
      else if (byte === backslash) escaped = true
      else if (byte === quote) {
        this.#inString = false
        break
      }
    }
    this.#escaped = escaped
    return at
  }

  /** Before the object and after it. */
  #outside(byte: number): void {
    if (space.has(byte)) return
    if (this.#ended || byte !== openObject) this.#broken = true
    else {
      this.#depth = 1
      this.#atKey = true
    }
  }

  #endsHere(): boolean {
    return (this.#keeps === 'member' && this.#depth === 2) || (this.#keeps === 'value' && this.#depth === 1)
  }

  #keep(part: Uint8Array): void {
    this.#size += part.byteLength
    if (this.#size > this.#wanted.maxBytes) this.#broken = true
    else this.#parts.push(part)
  }

  #finish(last: Uint8Array): void {
    this.#keep(last)
    let text = ''
    for (const part of this.#parts) text += this.#decoder.decode(part, { stream: true })
    text += this.#decoder.decode()
    this.#parts = []
    this.#size = 0
    if (this.#broken) return
    if (this.#keeps === 'key') {
      // A key with escapes in it is none of those wanted.
      this.#key = text.slice(1, -1)
      this.#keeps = undefined
      return
    }
    // Between the brackets of an empty list there is nothing.
    if (text.trim() !== '') this.#found(this.#key, text)
    if (this.#keeps === 'value') this.#keeps = undefined
  }
}
