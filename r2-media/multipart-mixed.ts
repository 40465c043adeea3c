/**
 * multipart/mixed as servers pass media: a part of JSON, then a part that is the media or tells where it is.
 *
 * Spec: server-server-api/#get_matrixfederationv1mediadownloadmediaid; RFC 2046, section 5.1. The media is never held in
 * memory. What another server sends ends in an error unless it is well-formed to its last delimiter.
 */
import { Buffer } from 'node:buffer'

import { join } from './media-store.ts'

const maxHeaderBytes = 16_384
const maxMetadataBytes = 65_536

export interface MediaPart {
  readonly headers: Headers
  /** Errors when the answer is cut off. */
  readonly body: ReadableStream<Uint8Array>
}

/** The boundary that a Content-Type names, or undefined unless it is multipart/mixed with a proper one. */
export function boundaryOf(contentType: string | null): string | undefined {
  const match = /^multipart\/mixed\s*;(?:.*;)?\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70})(?=[\s;]|$))/i.exec(
    contentType ?? '',
  )
  const boundary = match?.[1] ?? match?.[2]
  return boundary !== undefined && /^[\w'()+,./:=? -]*[\w'()+,./:=?-]$/.test(boundary) ? boundary : undefined
}

/** The second part of a body, or undefined when there is none. The first, metadata that is always `{}`, is skipped. */
export async function readMediaPart(
  body: ReadableStream<Uint8Array>,
  boundary: string,
): Promise<MediaPart | undefined> {
  const source = new Scanner(body.getReader())
  const delimiter = Buffer.from(`\r\n--${boundary}`)
  await source.until(delimiter, maxHeaderBytes)
  await source.until(endOfHeaders, maxHeaderBytes)
  await source.until(delimiter, maxMetadataBytes)
  const head = await source.until(endOfHeaders, maxHeaderBytes)
  // After the delimiter that ends it all come two hyphens, else the end of its line.
  if (head === undefined || head.startsWith('--')) {
    await source.cancel()
    return undefined
  }
  return { headers: parseHeaders(head), body: source.stream(delimiter) }
}

/** The head and tail between which the media goes, for a boundary that the media cannot hold. */
export function frameOf(
  boundary: string,
  headers: Readonly<Record<string, string>>,
): { head: Uint8Array; tail: Uint8Array } {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const first = `--${boundary}\r\nContent-Type: application/json\r\n\r\n{}\r\n--${boundary}\r\n`
  const encoder = new TextEncoder()
  return { head: encoder.encode(`${first}${lines.join('')}\r\n`), tail: encoder.encode(`\r\n--${boundary}--\r\n`) }
}

const endOfHeaders = Buffer.from('\r\n\r\n')

/** Finds delimiters in a stream that comes in chunks of any size. */
class Scanner {
  readonly #source: ReadableStreamDefaultReader<Uint8Array>
  // As if a line ended before the first: so the first delimiter looks like any other.
  #buffer = Buffer.from('\r\n')
  #isLost = false

  constructor(source: ReadableStreamDefaultReader<Uint8Array>) {
    this.#source = source
  }

  /** The text before the next delimiter, which is passed over; undefined at the end or past `limit` bytes, and ever after. */
  async until(delimiter: Buffer, limit: number): Promise<string | undefined> {
    while (!this.#isLost) {
      const end = this.#buffer.indexOf(delimiter)
      if (end !== -1) {
        const text = this.#buffer.toString('latin1', 0, end)
        this.#buffer = this.#buffer.subarray(end + delimiter.byteLength)
        return text
      }
      this.#isLost = this.#buffer.byteLength > limit || !(await this.#more())
    }
    return undefined
  }

  /** What comes before the next delimiter, as it comes. */
  stream(delimiter: Buffer): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          for (;;) {
            const end = this.#buffer.indexOf(delimiter)
            // Less than a delimiter is held back: it may be the beginning of one.
            const ready = end === -1 ? this.#buffer.byteLength - delimiter.byteLength : end
            if (ready > 0) controller.enqueue(new Uint8Array(this.#buffer.subarray(0, ready)))
            this.#buffer = this.#buffer.subarray(Math.max(ready, 0))
            if (end !== -1) {
              controller.close()
              return this.cancel()
            }
            if (ready > 0) return
            if (!(await this.#more())) throw new Error('the multipart answer was cut off')
          }
        },
        cancel: () => this.cancel(),
      },
      { highWaterMark: 0 },
    )
  }

  async cancel(): Promise<void> {
    await this.#source.cancel().catch(() => undefined)
  }

  async #more(): Promise<boolean> {
    const { done, value } = await this.#source.read()
    if (done) return false
    const bytes =
      this.#buffer.byteLength === 0 ? value : join([this.#buffer, value], this.#buffer.byteLength + value.byteLength)
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    return true
  }
}

/** Header lines; those that are malformed are left out. */
function parseHeaders(text: string): Headers {
  const headers = new Headers()
  for (const line of text.split('\r\n')) {
    const match = /^([\w-]+):\s*([\t -~\u0080-\u00ff]*)$/.exec(line)
    if (match) headers.set(match[1] ?? '', match[2] ?? '')
  }
  return headers
}
