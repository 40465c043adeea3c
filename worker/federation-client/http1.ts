/**
 * Minimal HTTP/1.1 over a TLS socket, for the one case that `fetch` cannot do: a server found by an SRV record, whose
 * certificate and Host are of another name than the address we connect to.
 *
 * RFC 9112. One request a connection; no compression is asked for; header and body sizes are capped.
 */
import { connect } from 'cloudflare:sockets'

import type { Place } from './server-discovery.ts'

export interface Http1Request {
  readonly method: string
  /** Path with query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | undefined
}

const maxHeaderBytes = 65_536

/** Sends the request and resolves with the response once its headers are there. Throws when the connection fails. */
export async function http1(place: Place, request: Http1Request, signal: AbortSignal): Promise<Response> {
  const plain = connect(
    { hostname: place.host, port: place.port },
    { secureTransport: 'starttls', allowHalfOpen: false },
  )
  await plain.opened
  const socket = plain.startTls({ expectedServerHostname: place.tlsName })
  const abort = () => void socket.close().catch(() => undefined)
  signal.addEventListener('abort', abort, { once: true })
  const writer = socket.writable.getWriter()
  await writer.write(encodeRequest(place, request))
  writer.releaseLock()
  return readResponse(new ByteReader(socket.readable.getReader()), abort)
}

/** The bytes of a request, head and body. */
export function encodeRequest(place: Place, request: Http1Request): Uint8Array {
  const headers = {
    ...request.headers,
    Host: place.hostHeader,
    Connection: 'close',
    'Accept-Encoding': 'identity',
    'Content-Length': String(request.body?.byteLength ?? 0),
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value.replaceAll(/[\r\n]/g, '')}\r\n`)
  const head = new TextEncoder().encode(`${request.method} ${request.path} HTTP/1.1\r\n${lines.join('')}\r\n`)
  const bytes = new Uint8Array(head.byteLength + (request.body?.byteLength ?? 0))
  bytes.set(head)
  if (request.body) bytes.set(request.body, head.byteLength)
  return bytes
}

/** Reads lines and counted bytes from a stream that comes in chunks of any size. */
export class ByteReader {
  readonly #source: ReadableStreamDefaultReader<Uint8Array>
  #buffer: Uint8Array = new Uint8Array()

  constructor(source: ReadableStreamDefaultReader<Uint8Array>) {
    this.#source = source
  }

  /** The next line without its CRLF. Throws at the end of the stream or past `limit` bytes. */
  async line(limit: number): Promise<string> {
    for (let from = 0; ;) {
      const end = this.#buffer.indexOf(10, from)
      if (end !== -1) {
        const line = new TextDecoder('latin1').decode(this.#buffer.subarray(0, end))
        this.#buffer = this.#buffer.subarray(end + 1)
        return line.endsWith('\r') ? line.slice(0, -1) : line
      }
      if (this.#buffer.byteLength > limit) throw new Error('a header line is too long')
      from = this.#buffer.byteLength
      if (!(await this.#more())) throw new Error('the connection ended within the headers')
    }
  }

  /** Up to `limit` bytes, at least one; undefined at the end of the stream. */
  async some(limit: number): Promise<Uint8Array | undefined> {
    if (this.#buffer.byteLength === 0 && !(await this.#more())) return undefined
    const part = this.#buffer.subarray(0, limit)
    this.#buffer = this.#buffer.subarray(part.byteLength)
    return part
  }

  async #more(): Promise<boolean> {
    const { done, value } = await this.#source.read()
    if (done) return false
    const joined = new Uint8Array(this.#buffer.byteLength + value.byteLength)
    joined.set(this.#buffer)
    joined.set(value, this.#buffer.byteLength)
    this.#buffer = joined
    return true
  }
}

/** Parses the head and hands out the body as a stream. `close` ends the connection when the body was read or given up. */
export async function readResponse(reader: ByteReader, close: () => void): Promise<Response> {
  const status = /^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(await reader.line(maxHeaderBytes))?.[1]
  if (!status || Number(status) < 200) throw new Error('the answer is not HTTP')
  const headers = new Headers()
  for (let size = 0; ;) {
    const line = await reader.line(maxHeaderBytes)
    if (line === '') break
    size += line.length
    if (size > maxHeaderBytes) throw new Error('the headers are too large')
    const colon = line.indexOf(':')
    if (colon <= 0) throw new Error('a header line is malformed')
    headers.append(line.slice(0, colon).trim(), line.slice(colon + 1).trim())
  }
  const chunks = bodyOf(reader, headers)
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await chunks.next()
      if (!done) return controller.enqueue(value)
      close()
      controller.close()
    },
    cancel: close,
  })
  const empty = status === '204' || status === '304'
  return new Response(empty ? null : body, { status: Number(status), headers })
}

async function* bodyOf(reader: ByteReader, headers: Headers): AsyncGenerator<Uint8Array, void> {
  if (/\bchunked\b/i.test(headers.get('Transfer-Encoding') ?? '')) {
    for (;;) {
      const size = Number.parseInt((await reader.line(1024)).split(';')[0] ?? '', 16)
      if (!Number.isSafeInteger(size) || size < 0) throw new Error('a chunk size is malformed')
      if (size === 0) return
      yield* counted(reader, size)
      await reader.line(2)
    }
  }
  const length = headers.get('Content-Length')
  if (length !== null) {
    if (!/^\d{1,15}$/.test(length)) throw new Error('the length is malformed')
    return yield* counted(reader, Number(length))
  }
  for (let part = await reader.some(65_536); part; part = await reader.some(65_536)) yield part
}

async function* counted(reader: ByteReader, size: number): AsyncGenerator<Uint8Array, void> {
  for (let left = size; left > 0;) {
    const part = await reader.some(left)
    if (!part) throw new Error('the connection ended within the body')
    left -= part.byteLength
    yield part
  }
}
