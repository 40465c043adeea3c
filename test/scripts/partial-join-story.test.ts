/**
 * A join that is told without members, over TLS: people talk at once, the server is killed before it knows who is there, and
 * finds that out afterwards all the same.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'

import { type Client, fieldOf, newClient, sendMessage } from '../../scripts/bench/client.ts'
import { type FabricatedRoom, fabricateRoom } from '../../scripts/bench/foreign/fabricated-room.ts'
import { askAs, foreignAuthority } from '../../scripts/bench/foreign/foreign-server.ts'
import { type Abroad, enter, goAbroad } from '../../scripts/bench/scenarios/federation.ts'
import { type BackgroundServer, freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'

const folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
const patience = { timeout: 60_000, interval: 200 }
const name = 'partial.test'
const members = 300

let abroad: Abroad
let options: string[]
let base: string
let server: BackgroundServer
let alice: Client
let room: FabricatedRoom

beforeAll(async () => {
  abroad = await goAbroad()
  abroad.isSilent = true
  const port = await freePort()
  base = `http://127.0.0.1:${port}`
  options = [
    `--server-name=${name}`,
    `--port=${port}`,
    `--ca=${foreignAuthority}`,
    `--data=${join(folder, 'home')}`,
    '--rate-limits=off',
    '--allow-private-addresses=on',
  ]
  server = await startInBackground('scripts/serve.ts', options)
  alice = await newClient(base, 'alice')
  room = fabricateRoom([abroad.home], members)
}, 60_000)
afterAll(async () => {
  abroad.servers.end()
  await server.end('SIGTERM')
  rmSync(folder, { recursive: true })
})

const lazy = encodeURIComponent(JSON.stringify({ room: { state: { lazy_load_members: true } } }))

async function timeline(filter?: string): Promise<string[] | undefined> {
  const { json } = await alice.call('GET', `/sync?timeout=0${filter === undefined ? '' : `&filter=${filter}`}`)
  const shown = fieldOf(fieldOf(fieldOf(json, 'rooms'), 'join'), room.roomId)
  if (shown === undefined) return undefined
  const events = fieldOf(fieldOf(shown, 'timeline'), 'events')
  return (Array.isArray(events) ? events : []).map((event) => String(fieldOf(event, 'event_id')))
}

async function tell(txnId: string, body: string): Promise<string> {
  const pdu = room.send('m.room.message', { msgtype: 'm.text', body })
  const content = { origin: abroad.home.name, origin_server_ts: 1, pdus: [pdu.json] }
  await askAs(abroad.home, { base, destination: name }, 'PUT', `/_matrix/federation/v1/send/${txnId}`, content)
  return pdu.event_id
}

test('the room is there at once, and people talk', async () => {
  await enter(abroad, alice, room)
  expect(await timeline(lazy)).toBeDefined()
  expect(await timeline()).toBeUndefined()
  const theirs = await tell('t1', 'welcome')
  const mine = await sendMessage(alice, room.roomId, 'hello')
  await vi.waitFor(async () => expect(await timeline(lazy)).toEqual(expect.arrayContaining([theirs, mine])), patience)
  await vi.waitFor(() => expect(abroad.arrived.get(abroad.home.name)).toBeGreaterThan(0), patience)
}, 120_000)

test('a server that is killed meanwhile goes on when it is back, and misses nothing', async () => {
  await server.end('SIGKILL')
  server = await startInBackground('scripts/serve.ts', options)
  expect(await timeline()).toBeUndefined()
  const theirs = await tell('t2', 'are you back?')
  abroad.isSilent = false
  await vi.waitFor(async () => expect(await timeline()).toContain(theirs), { ...patience, timeout: 90_000 })
  const { json } = await alice.call('GET', `/rooms/${encodeURIComponent(room.roomId)}/joined_members`)
  expect(Object.keys(Object(fieldOf(json, 'joined'))).length).toBe(members - 4)
}, 150_000)
