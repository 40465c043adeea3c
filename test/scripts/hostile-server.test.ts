/**
 * A hostile server on the real runtime, over TLS: answers without end and compressed a thousandfold. Ours gives up within
 * its bounds, does not grow, and goes on serving. Security case 26.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createGzip } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { type Client, createRoom, newClient } from '../../scripts/bench/client.ts'
import { fabricateRoom } from '../../scripts/bench/foreign/fabricated-room.ts'
import { foreignAuthority, ForeignServers, type ForeignServer } from '../../scripts/bench/foreign/foreign-server.ts'
import { memoryOf } from '../../scripts/bench/process-tree.ts'
import { type BackgroundServer, freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'

const folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
let server: BackgroundServer
let alice: Client
let evil: ForeignServer
/** What the hostile server does when it is asked for something. */
let answer: (kind: string, response: ServerResponse) => boolean = () => false

const foreign = new ForeignServers(({ url }, response) => {
  const kind = url.pathname.split('/')[4] ?? ''
  if (answer(kind, response)) return 'answered'
  return kind === 'make_join' ? { room_version: '11', event: room.template(alice.userId) } : undefined
})
let room: ReturnType<typeof fabricateRoom>

beforeAll(async () => {
  const port = await freePort()
  server = await startInBackground('scripts/serve.ts', [
    '--server-name=hostile.local',
    `--port=${port}`,
    `--ca=${foreignAuthority}`,
    `--data=${join(folder, 'data')}`,
    '--registration=open',
    '--rate-limits=off',
    '--allow-private-addresses=on',
  ])
  alice = await newClient(`http://127.0.0.1:${port}`, 'alice')
  evil = await foreign.start()
  room = fabricateRoom([evil], 10)
}, 60_000)
afterAll(async () => {
  foreign.end()
  await server.end('SIGTERM')
  rmSync(folder, { recursive: true })
})

const joining = () => alice.call('POST', `/join/${encodeURIComponent(room.roomId)}?server_name=${evil.name}`, {})

/** Writes the same again and again until nobody reads any more; how much. */
function pour(response: NodeJS.WritableStream, head: string, again: string): { bytes: number } {
  const poured = { bytes: 0 }
  const chunk = Buffer.from(again.repeat(Math.ceil(1_000_000 / again.length)))
  response.on('error', () => undefined)
  const next = () => {
    if (poured.bytes > 3_000_000_000) return
    poured.bytes += chunk.length
    if (response.write(chunk)) setImmediate(next)
    else response.once('drain', next)
  }
  response.write(head)
  next()
  return poured
}

test.each<[string, string, string, string, boolean]>([
  ['an event without end', 'send_join', '{"state":[{"a":"', 'x', false],
  ['nesting without end', 'send_join', '{"state":[', '[', false],
  ['an event without end, compressed', 'send_join', '{"state":[{"a":"', 'x', true],
  ['a template without end', 'make_join', '{"event":{"a":"', 'x', false],
  ['a template without end, compressed', 'make_join', '{"event":{"a":"', 'x', true],
])(
  '%s is given up, and nothing of it stays',
  async (_, kind, head, again, isCompressed) => {
    const before = memoryOf(server.pid)
    let poured = { bytes: 0 }
    answer = (asked, response) => {
      if (asked !== kind) return false
      response.writeHead(200, {
        'Content-Type': 'application/json',
        ...(isCompressed && { 'Content-Encoding': 'gzip' }),
      })
      const packed = createGzip()
      if (isCompressed) packed.pipe(response)
      response.on('close', () => packed.destroy())
      poured = pour(isCompressed ? packed : response, head, again)
      return true
    }
    await expect(joining()).rejects.toThrow(/50\d/)
    // What the kernel and the compressor hold between us counts as poured.
    expect(poured.bytes).toBeLessThan(isCompressed ? 1_000_000_000 : 60_000_000)
    expect(memoryOf(server.pid) - before).toBeLessThan(150)
    expect(await createRoom(alice)).toMatch(/^!/)
  },
  60_000,
)
