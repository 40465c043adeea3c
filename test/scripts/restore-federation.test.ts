/** A server that comes back from an older copy, and another one that knows more of their room than it does. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'

import { copyDataFolder, restoreDataFolder } from '../../scripts/backup/copy-folder.ts'
import { type Client, createRoom, fieldOf, listIn, newClient, sendMessage } from '../../scripts/bench/client.ts'
import { type BackgroundServer, freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'

const folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
const tls = join(import.meta.dirname, '../fixtures/tls')
const patience = { timeout: 40_000, interval: 200 }

interface Home {
  readonly base: string
  readonly data: string
  server: BackgroundServer
  start(): Promise<BackgroundServer>
}

let one: Home
let two: Home
let alice: Client
let bob: Client
let roomId: string

beforeAll(async () => {
  one = await home('one')
  two = await home('two')
  alice = await newClient(one.base, 'alice')
  bob = await newClient(two.base, 'bob')
}, 60_000)
afterAll(async () => {
  await Promise.all([one.server.end('SIGKILL'), two.server.end('SIGKILL')])
  rmSync(folder, { recursive: true })
})

async function home(label: string): Promise<Home> {
  const [port, federation] = [await freePort(), await freePort()]
  const data = join(folder, label)
  const start = () =>
    startInBackground('scripts/serve.ts', [
      `--server-name=127.0.0.1:${federation}`,
      `--port=${port}`,
      `--federation-port=${federation}`,
      `--tls-cert=${join(tls, 'server.pem')}`,
      `--tls-key=${join(tls, 'server.key')}`,
      `--ca=${join(tls, 'ca.pem')}`,
      `--data=${data}`,
      '--rate-limits=off',
      '--log-level=warn',
      '--allow-private-addresses=on',
    ])
  return { base: `http://127.0.0.1:${port}`, data, server: await start(), start }
}

/** What was said in the room, as a client finds it, oldest first. */
async function said(client: Client): Promise<unknown[]> {
  const { json } = await client.call('GET', `/rooms/${encodeURIComponent(roomId)}/messages?dir=b&limit=100`)
  const bodies = listIn(json, 'chunk').map((event) => fieldOf(fieldOf(event, 'content'), 'body'))
  return bodies.filter((body) => body !== undefined).toReversed()
}

test('two servers share a room, and one of them is copied', { timeout: 60_000 }, async () => {
  roomId = await createRoom(alice)
  const via = alice.userId.slice(alice.userId.indexOf(':') + 1)
  await bob.call('POST', `/join/${encodeURIComponent(roomId)}?server_name=${via}`, {})
  await sendMessage(alice, roomId, 'before the backup')
  await vi.waitFor(async () => expect(await said(bob)).toContain('before the backup'), patience)
  await copyDataFolder(one.data, join(folder, 'copy'))
})

test('both go on talking, until the disk of one is lost', { timeout: 60_000 }, async () => {
  for (const n of [1, 2, 3]) await sendMessage(alice, roomId, `alice, to be lost here ${n}`)
  await vi.waitFor(async () => expect(await said(bob)).toContain('alice, to be lost here 3'), patience)
  for (const n of [1, 2, 3]) await sendMessage(bob, roomId, `bob, to be lost here ${n}`)
  await vi.waitFor(async () => expect(await said(alice)).toContain('bob, to be lost here 3'), patience)
  await one.server.end('SIGKILL')
  rmSync(one.data, { recursive: true })
  await sendMessage(bob, roomId, 'bob, while the other is away')
})

test('the restored server gets what it lacks from the other, its own messages too', { timeout: 90_000 }, async () => {
  await restoreDataFolder(join(folder, 'copy'), one.data)
  one.server = await one.start()
  expect(await said(alice)).toEqual(['before the backup'])
  await sendMessage(alice, roomId, 'alice is back')
  await vi.waitFor(async () => expect(await said(bob)).toContain('alice is back'), patience)
  await sendMessage(bob, roomId, 'welcome back')
  const all = new Set([
    'before the backup',
    ...[1, 2, 3].map((n) => `alice, to be lost here ${n}`),
    ...[1, 2, 3].map((n) => `bob, to be lost here ${n}`),
    'bob, while the other is away',
    'alice is back',
    'welcome back',
  ])
  await vi.waitFor(async () => expect(new Set(await said(alice))).toEqual(all), patience)
  await vi.waitFor(async () => expect(new Set(await said(bob))).toEqual(all), patience)
})
