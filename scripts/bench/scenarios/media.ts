/**
 * Files: upload and download of 1 kB, 1 MB and 100 MB, downloads at once, the thumbnail of a photo of twelve megapixels.
 *
 * Memory is the most that the server's process tree had while that went on; before it, so much was in use already.
 */
import { Agent, request } from 'node:http'
import { encode } from 'jpeg-js'

import { type Client, newClient, text } from '../client.ts'
import { measureUse, type Row } from '../measure.ts'
import { memoryOf } from '../process-tree.ts'
import type { Bench, Target } from '../setting.ts'

const files = [
  { name: '1 kB', bytes: 1_000, times: 10 },
  { name: '1 MB', bytes: 1_000_000, times: 2 },
  { name: '100 MB', bytes: 100_000_000, times: 0.15 },
]
const atOnce = 64
const photoWidth = 4000
const photoHeight = 3000
const agent = new Agent({ keepAlive: true, maxSockets: Infinity })

export async function* media({ server, sizes: { syncs } }: Bench): AsyncGenerator<Row> {
  const client = await newClient(server.url, 'photographer')
  let megabyte = ''
  for (const { name, bytes, times } of files) {
    const count = Math.max(2, Math.round(syncs * times))
    let uri = ''
    yield await withMemory(server, bytes, () =>
      measureUse(server, {
        name: `upload, ${name}`,
        count,
        run: async (n) => void (uri = await upload(server, client, fileOf(bytes, n), bytes)),
      }),
    )
    yield await withMemory(server, bytes, () =>
      measureUse(server, { name: `download, ${name}`, count, run: () => download(server, client, uri, bytes) }),
    )
    if (bytes === 1_000_000) megabyte = uri
  }
  yield await withMemory(server, 1_000_000, () =>
    measureUse(server, {
      name: `download, 1 MB, ${atOnce} at once`,
      count: atOnce * 4,
      parallel: atOnce,
      run: () => download(server, client, megabyte, 1_000_000),
    }),
  )
  const photo = photograph()
  const uris: string[] = []
  for (let n = 0; n < syncs; n++) {
    const different = Buffer.concat([photo, Buffer.from([n])])
    uris.push(await upload(server, client, [different], different.length))
  }
  const view = (n: number) => thumbnail(server, client, uris[n % uris.length] ?? '')
  const size = `photo of 12 megapixels, ${(photo.length / 1e6).toFixed(1)} MB`
  for (const name of [`thumbnail of a ${size}, first view`, 'the same, second view'])
    yield await withMemory(server, undefined, () => measureUse(server, { name, count: syncs, run: view }))
}

/** Adds to the row how fast the bytes went and how much memory it took. */
async function withMemory(server: Target, bytes: number | undefined, work: () => Promise<Row>): Promise<Row> {
  const before = memoryOf(server.pid)
  let peak = before
  const timer = setInterval(() => (peak = Math.max(peak, memoryOf(server.pid))), 100)
  try {
    const row = await work()
    const speed = bytes === undefined ? '' : `${((row.perSecond * bytes) / 1e6).toPrecision(3)} MB/s, `
    return {
      ...row,
      note: `${speed}${Math.max(peak, memoryOf(server.pid)).toFixed(0)} MiB at most, ${before.toFixed(0)} before`,
    }
  } finally {
    clearInterval(timer)
  }
}

/** So many bytes in chunks; no two files are equal. */
function* fileOf(bytes: number, n: number): Generator<Buffer> {
  const chunk = Buffer.alloc(65_536, `${n} ${Math.random()} `)
  for (let left = bytes; left > 0; left -= chunk.length) yield chunk.subarray(0, left)
}

/** A photo with noise, as a camera's is. */
function photograph(): Buffer {
  const data = new Uint8Array(photoWidth * photoHeight * 4)
  for (let at = 0; at < data.length; at++)
    data[at] = ((at % (photoWidth * 4)) / 64 + at / 200_000 + ((at * 7919) % 37)) & 255
  return encode({ width: photoWidth, height: photoHeight, data }, 85).data
}

async function upload(server: Target, client: Client, chunks: Iterable<Buffer>, length: number): Promise<string> {
  const headers = { 'Content-Type': 'application/octet-stream', 'Content-Length': String(length) }
  const { body } = await exchange(server, client, 'POST', '/_matrix/media/v3/upload', headers, chunks)
  return text(JSON.parse(new TextDecoder().decode(body)), 'content_uri').slice('mxc://'.length)
}

async function download(server: Target, client: Client, uri: string, bytes: number): Promise<void> {
  const { size } = await exchange(server, client, 'GET', `/_matrix/client/v1/media/download/${uri}`)
  if (size !== bytes) throw new Error(`${size} bytes of ${bytes} came back`)
}

async function thumbnail(server: Target, client: Client, uri: string): Promise<void> {
  const query = 'width=800&height=600&method=scale'
  const { type } = await exchange(server, client, 'GET', `/_matrix/client/v1/media/thumbnail/${uri}?${query}`)
  if (type !== 'image/jpeg') throw new Error(`the thumbnail is ${type}`)
}

interface Exchange {
  readonly size: number
  readonly type: string | undefined
  /** The first of it. */
  readonly body: Uint8Array
}

function exchange(
  { url }: Target,
  { accessToken }: Client,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  chunks: Iterable<Buffer> = [],
): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    const sent = request(
      `${url}${path}`,
      { agent, method, headers: { ...headers, Authorization: `Bearer ${accessToken}` } },
      (response) => {
        let size = 0
        let body: Uint8Array | undefined
        response.on('data', (chunk: Buffer) => {
          size += chunk.length
          body ??= chunk
        })
        response.on('error', reject)
        response.on('end', () => {
          const start = body ?? new Uint8Array()
          if (response.statusCode !== 200)
            reject(new Error(`${method} ${path}: ${response.statusCode} ${new TextDecoder().decode(start)}`))
          else resolve({ size, type: response.headers['content-type'], body: start })
        })
      },
    )
    sent.on('error', reject)
    void send(sent, chunks).catch(reject)
  })
}

async function send(sent: ReturnType<typeof request>, chunks: Iterable<Buffer>): Promise<void> {
  for (const chunk of chunks) if (!sent.write(chunk)) await new Promise((drained) => sent.once('drain', drained))
  sent.end()
}
