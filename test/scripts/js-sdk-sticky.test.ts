/**
 * Sticky events with the client library that Element Call is made of, between two servers: who comes late gets what is sticky,
 * however much was said since; it is renewed, replaced and taken back.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient, EventType, HistoryVisibility, type MatrixClient, Preset, type Room } from 'matrix-js-sdk'
import { SlidingSync } from 'matrix-js-sdk/lib/sliding-sync.js'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'

import { newClient } from '../../scripts/bench/client.ts'
import { type BackgroundServer, freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'

const folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
const tls = join(import.meta.dirname, '../fixtures/tls')
const patience = { timeout: 60_000, interval: 100 }
const minute = 60_000

interface Home {
  readonly name: string
  readonly base: string
  readonly server: BackgroundServer
}

let one: Home
let two: Home
let alice: MatrixClient
let bob: MatrixClient
let roomId: string

// The machine may be busy with much else.
vi.setConfig({ testTimeout: 90_000 })

beforeAll(async () => {
  for (const level of ['trace', 'debug', 'info', 'log', 'warn', 'error'] as const)
    vi.spyOn(console, level).mockReturnValue()
  ;[one, two] = await Promise.all([home('one'), home('two')])
  alice = await person(one, 'alice')
  bob = await person(two, 'bob')
  roomId = (await alice.createRoom({ preset: Preset.PublicChat })).room_id
  await alice.sendStateEvent(roomId, EventType.RoomHistoryVisibility, {
    history_visibility: HistoryVisibility.Joined,
  })
}, 90_000)
afterAll(async () => {
  alice.stopClient()
  bob.stopClient()
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
  return { name, base: `http://127.0.0.1:${port}`, server: await startInBackground('scripts/serve.ts', options) }
}

async function person({ base }: Home, name: string): Promise<MatrixClient> {
  const { userId, accessToken, deviceId } = await newClient(base, name)
  return createClient({ baseUrl: base, userId, accessToken, deviceId })
}

/** Sends what is sticky under a key. (Of messages the library forgets that they are to be sticky while it queues them.) */
function stick(client: MatrixClient, key: string, slot: string): Promise<{ event_id: string }> {
  const content = { slot_id: slot, msc4354_sticky_key: key }
  return client._unstable_sendStickyEvent(roomId, 10 * minute, null, EventType.RTCMembership, content)
}
const roomOf = (client: MatrixClient): Room => client.getRoom(roomId) ?? expect.fail('the room is not there')
/** What a client has under each key. */
function seen(client: MatrixClient): Record<string, unknown> {
  const events = [...(client.getRoom(roomId)?._unstable_getStickyEvents() ?? [])]
  return Object.fromEntries(
    events.map((event) => [String(event.getContent()['msc4354_sticky_key']), event.getContent()['slot_id']]),
  )
}

test('who comes later, on another server, has what is sticky, though very much was said since', async () => {
  await stick(alice, 'PHONE', 'ringing')
  for (let index = 0; index < 30; index++) {
    await alice.sendTextMessage(roomId, `talk ${index}`)
  }
  await bob.joinRoom(roomId, { viaServers: [one.name] })
  await bob.startClient({ initialSyncLimit: 5, lazyLoadMembers: true })
  await vi.waitFor(() => expect(seen(bob)).toEqual({ PHONE: 'ringing' }), patience)
  const said = roomOf(bob)
    .getLiveTimeline()
    .getEvents()
    .map((event) => event.getContent()['body'])
  expect(said).not.toContain('talk 0')
  // Its sender is in the room as far as the library knows, or calls would not count them.
  expect(roomOf(bob).hasMembershipState(alice.getUserId() ?? '', 'join')).toBe(true)
})

test('what is said anew under a key takes the place of what was, both ways', async () => {
  await alice.startClient({ initialSyncLimit: 5 })
  await stick(bob, 'LAPTOP', 'ringing')
  await vi.waitFor(() => expect(seen(alice)).toEqual({ PHONE: 'ringing', LAPTOP: 'ringing' }), patience)
  await stick(bob, 'LAPTOP', 'talking')
  await stick(alice, 'PHONE', 'talking')
  const both = { PHONE: 'talking', LAPTOP: 'talking' }
  await vi.waitFor(() => expect([seen(alice), seen(bob)]).toEqual([both, both]), patience)
})

test('what is taken back is gone', async () => {
  const { event_id: slip } = await stick(bob, 'TABLET', 'a slip')
  await vi.waitFor(() => expect(seen(alice)).toHaveProperty('TABLET'), patience)
  await bob.redactEvent(roomId, slip)
  await vi.waitFor(() => expect(seen(alice)).toEqual({ PHONE: 'talking', LAPTOP: 'talking' }), patience)
})

test('sliding sync brings it, beside the rooms in sight', async () => {
  const other = await person(two, 'carol')
  await other.joinRoom(roomId)
  const lists = new Map([['rooms', { ranges: [[0, 10]], timeline_limit: 1, required_state: [['*', '*']] }]])
  const sliding = new SlidingSync(two.base, lists, { timeline_limit: 1, required_state: [] }, other, 5_000)
  await other.startClient({ slidingSync: sliding })
  await vi.waitFor(() => expect(seen(other)).toEqual({ PHONE: 'talking', LAPTOP: 'talking' }), patience)
  await stick(alice, 'PHONE', 'left')
  await vi.waitFor(() => expect(seen(other)).toEqual({ PHONE: 'left', LAPTOP: 'talking' }), patience)
  other.stopClient()
})
