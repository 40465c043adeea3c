/**
 * A file of 100 MB goes through an isolate that may have 128 MiB: what V8 holds for the Worker is asked of its inspector while
 * the file is uploaded and downloaded again. The local R2 and its disk are another isolate and another process.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { fieldOf, newClient, text } from '../../scripts/bench/client.ts'
import { bundleWorker } from '../../scripts/build/bundle.ts'
import { freePort } from '../../scripts/serve/start-in-background.ts'
import { compatibility, objects } from '../../scripts/serve/runtime.ts'

const megabyte = 1_000_000
const mebibyte = 1_048_576
const size = 100 * megabyte
const folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
let runtime: Miniflare
let base: string
let isolate: Isolate

beforeAll(async () => {
  const [port, inspectorPort] = [await freePort(), await freePort()]
  const { modules } = await bundleWorker()
  runtime = new Miniflare(
    convertV4MiniflareOptions({
      name: 'hearth',
      modules: [...modules],
      compatibilityDate: compatibility.date,
      compatibilityFlags: compatibility.flags,
      bindings: {
        SERVER_NAME: 'memory.test',
        PUBLIC_URL: `http://127.0.0.1:${port}`,
        REGISTRATION: 'open',
        RATE_LIMITS: 'off',
        LOG_LEVEL: 'warn',
        MAX_UPLOAD_MB: '200',
      },
      d1Databases: { DB: 'hearth' },
      r2Buckets: { MEDIA: 'hearth-media' },
      durableObjects: Object.fromEntries(
        Object.entries(objects).map(([binding, className]) => [binding, { className, useSQLite: true }]),
      ),
      resourcePersistencePath: folder,
      unsafeDirectSockets: [{ host: '127.0.0.1', port }],
      inspectorPort,
      host: '127.0.0.1',
      port: 0,
      cf: false,
      telemetry: { enabled: false },
    }),
  )
  await runtime.ready
  base = `http://127.0.0.1:${port}`
  isolate = await inspect(inspectorPort)
}, 60_000)
afterAll(async () => {
  isolate.close()
  await runtime.dispose()
  rmSync(folder, { recursive: true, force: true })
}, 60_000)

test('100 MB up and down again', { timeout: 180_000 }, async () => {
  const alice = await newClient(base, 'alice')
  const before = await isolate.memory()
  const headers = { Authorization: `Bearer ${alice.accessToken}` }
  const up = await isolate.most(async () => {
    const init = { method: 'POST', headers, body: numbers(size), duplex: 'half' } as const
    const answer = await fetch(`${base}/_matrix/media/v3/upload`, init)
    const body: unknown = await answer.json()
    expect(answer.status, JSON.stringify(body)).toBe(200)
    return text(body, 'content_uri').slice('mxc://'.length)
  })
  const down = await isolate.most(async () => {
    const answer = await fetch(`${base}/_matrix/client/v1/media/download/${up.result}`, { headers })
    expect(answer.status).toBe(200)
    let at = 0
    for await (const chunk of answer.body ?? []) {
      // Looking at the ends of each chunk is enough to know that they are in their place.
      expect([chunk[0], chunk.at(-1)]).toEqual([at % 251, (at + chunk.length - 1) % 251])
      at += chunk.length
    }
    return at
  })
  expect(down.result).toBe(size)
  console.info(
    `memory of the isolate, MiB: ${[before, up.most, down.most].map((bytes) => Math.round(bytes / mebibyte)).join(', ')}`,
  )
  expect(up.samples).toBeGreaterThan(5)
  expect(Math.max(up.most, down.most)).toBeLessThan(128 * mebibyte)
})

/** Bytes that differ, without a length that is known before. */
function numbers(count: number): ReadableStream<Uint8Array> {
  const chunk = 65_536
  // Any chunk is a part of this.
  const pattern = Uint8Array.from({ length: chunk + 251 }, (_, index) => index % 251)
  let sent = 0
  return new ReadableStream({
    pull(controller) {
      const length = Math.min(chunk, count - sent)
      if (length === 0) return controller.close()
      controller.enqueue(pattern.slice(sent % 251, (sent % 251) + length))
      sent += length
    },
  })
}

interface Isolate {
  /** Bytes of the heap and of the buffers outside of it. */
  memory(): Promise<number>
  /** Does something, and tells how much the isolate had at most meanwhile. */
  most<T>(work: () => Promise<T>): Promise<{ result: T; most: number; samples: number }>
  close(): void
}

async function inspect(port: number): Promise<Isolate> {
  const listed: unknown = await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()
  const [first]: unknown[] = Array.isArray(listed) ? listed : []
  const socket = new WebSocket(text(first, 'webSocketDebuggerUrl'))
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve)
    socket.addEventListener('error', reject)
  })
  const waiting = new Map<number, (answer: unknown) => void>()
  socket.addEventListener('message', ({ data }) => {
    const answer: unknown = JSON.parse(String(data))
    const id = fieldOf(answer, 'id')
    if (typeof id === 'number') waiting.get(id)?.(fieldOf(answer, 'result'))
  })
  let asked = 0
  const memory = async () => {
    const id = ++asked
    const answer = new Promise<unknown>((resolve) => waiting.set(id, resolve))
    socket.send(JSON.stringify({ id, method: 'Runtime.getHeapUsage' }))
    const usage = await answer
    waiting.delete(id)
    const numberOf = (name: string) => Number(fieldOf(usage, name) ?? 0)
    return numberOf('usedSize') + numberOf('backingStorageSize') + numberOf('embedderHeapUsedSize')
  }
  const most = async <T>(work: () => Promise<T>) => {
    const done = new AbortController()
    let [highest, samples] = [0, 0]
    const watching = (async () => {
      while (!done.signal.aborted) {
        const now = await memory()
        highest = Math.max(highest, now)
        samples++
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    })()
    const result = await work().finally(() => done.abort())
    await watching
    return { result, most: highest, samples }
  }
  return { memory, most, close: () => socket.close() }
}
