/**
 * Two servers of ours that federate over TLS, as people on them see it: invite, join, talk, redact, leave, come back; one
 * server dies in the middle and misses nothing.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'

import { type Client, createRoom, fieldOf, newClient, sendMessage } from '../../scripts/bench/client.ts'
import { type BackgroundServer, freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'

const folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
const tls = join(import.meta.dirname, '../fixtures/tls')
const patience = { timeout: 30_000, interval: 100 }

interface Home {
  readonly name: string
  readonly base: string
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
  await Promise.all([one.server.end('SIGTERM'), two.server.end('SIGTERM')])
  rmSync(folder, { recursive: true })
})

async function home(label: string): Promise<Home> {
  const [port, federation] = [await freePort(), await freePort()]
  const name = `127.0.0.1:${federation}`
  const options = [
    `--server-name=${name}`,
    `--port=${port}`,
    `--federation-port=${federation}`,
    `--tls-cert=${join(tls, 'server.pem')}`,
    `--tls-key=${join(tls, 'server.key')}`,
    `--ca=${join(tls, 'ca.pem')}`,
    `--data=${join(folder, label)}`,
    '--rate-limits=off',
    '--allow-private-addresses=on',
  ]
  const start = () => startInBackground('scripts/serve.ts', options)
  return { name, base: `http://127.0.0.1:${port}`, server: await start(), start }
}

const inRoom = (path: string) => `/rooms/${encodeURIComponent(roomId)}${path}`

/** Bodies of the latest messages that a client can page to, oldest first. */
async function bodies(client: Client): Promise<string[]> {
  const { json } = await client.call('GET', inRoom('/messages?dir=b&limit=100'))
  const chunk = fieldOf(json, 'chunk')
  return (Array.isArray(chunk) ? chunk : [])
    .filter((event) => fieldOf(event, 'type') === 'm.room.message')
    .map((event) => String(fieldOf(fieldOf(event, 'content'), 'body')))
    .toReversed()
}

async function membership(client: Client, of: Client): Promise<unknown> {
  const { json } = await client.call('GET', inRoom(`/state/m.room.member/${encodeURIComponent(of.userId)}`))
  return fieldOf(json, 'membership')
}

test('Bob is invited by another server and joins over it', async () => {
  roomId = await createRoom(alice, { preset: 'private_chat', name: 'Over the wire' })
  await alice.call('POST', inRoom('/invite'), { user_id: bob.userId })
  const { json } = await bob.call('GET', '/sync?timeout=0')
  expect(Object.keys(Object(fieldOf(fieldOf(json, 'rooms'), 'invite')))).toEqual([roomId])
  await bob.call('POST', `/join/${encodeURIComponent(roomId)}`, {})
  await vi.waitFor(async () => expect(await membership(alice, bob)).toBe('join'), patience)
})

test('they talk, both ways, and what one takes back is gone for the other', async () => {
  await sendMessage(alice, roomId, 'hello Bob')
  await vi.waitFor(async () => expect(await bodies(bob)).toEqual(['hello Bob']), patience)
  const slip = await sendMessage(bob, roomId, 'a slip')
  await vi.waitFor(async () => expect(await bodies(alice)).toEqual(['hello Bob', 'a slip']), patience)
  await bob.call('PUT', inRoom(`/redact/${encodeURIComponent(slip)}/r1`), { reason: 'slip' })
  await vi.waitFor(async () => expect(await bodies(alice)).toEqual(['hello Bob', 'undefined']), patience)
})

test('a server that was killed misses nothing of what was said meanwhile', async () => {
  const before = await bodies(alice)
  await two.server.end('SIGKILL')
  const said = Array.from({ length: 20 }, (_, index) => `while you were away ${index}`)
  for (const body of said) await sendMessage(alice, roomId, body)
  two.server = await two.start()
  await vi.waitFor(async () => expect(await bodies(bob)).toEqual([...before, ...said]), patience)
}, 60_000)

test('Bob leaves, is asked back, and finds his way', async () => {
  await bob.call('POST', inRoom('/leave'), {})
  await vi.waitFor(async () => expect(await membership(alice, bob)).toBe('leave'), patience)
  await alice.call('POST', inRoom('/invite'), { user_id: bob.userId })
  await bob.call('POST', `/join/${encodeURIComponent(roomId)}`, {})
  await vi.waitFor(async () => expect(await membership(alice, bob)).toBe('join'), patience)
  await sendMessage(bob, roomId, 'back again')
  await vi.waitFor(async () => expect((await bodies(alice)).at(-1)).toBe('back again'), patience)
})

test('both have the same state', async () => {
  const stateOf = async (client: Client) => {
    const { json } = await client.call('GET', inRoom('/state'))
    return (Array.isArray(json) ? json : []).map((event) => String(fieldOf(event, 'event_id'))).toSorted()
  }
  const state = await stateOf(alice)
  expect(state.length).toBeGreaterThan(6)
  await vi.waitFor(async () => expect(await stateOf(bob)).toEqual(state), patience)
})
