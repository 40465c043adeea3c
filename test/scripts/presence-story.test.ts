/** Presence as people see it, on a server of ours whose owner switched it on, and on one where it is off. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'

import { type Client, createRoom, fieldOf, newClient, signIn, text } from '../../scripts/bench/client.ts'
import { type BackgroundServer, freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'

const folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
const tls = join(import.meta.dirname, '../fixtures/tls')
const servers: BackgroundServer[] = []
let base: string
let alice: Client
let bob: Client
let since: string

async function start(label: string, presence: string): Promise<string> {
  const port = await freePort()
  const options = [`--port=${port}`, `--data=${join(folder, label)}`, `--presence=${presence}`, '--rate-limits=off']
  servers.push(await startInBackground('scripts/serve.ts', options))
  return `http://127.0.0.1:${port}`
}

async function federating(label: string): Promise<string> {
  const [port, federation] = [await freePort(), await freePort()]
  const options = [
    `--server-name=127.0.0.1:${federation}`,
    `--port=${port}`,
    `--federation-port=${federation}`,
    `--tls-cert=${join(tls, 'server.pem')}`,
    `--tls-key=${join(tls, 'server.key')}`,
    `--ca=${join(tls, 'ca.pem')}`,
    `--data=${join(folder, label)}`,
    '--presence=on',
    '--rate-limits=off',
    '--allow-private-addresses=on',
  ]
  servers.push(await startInBackground('scripts/serve.ts', options))
  return `http://127.0.0.1:${port}`
}

beforeAll(async () => {
  base = await start('on', 'on')
  ;[alice, bob] = [await newClient(base, 'alice'), await newClient(base, 'bob')]
  const roomId = await createRoom(alice)
  await bob.call('POST', `/rooms/${encodeURIComponent(roomId)}/join`, {})
  since = text((await bob.call('GET', '/sync')).json, 'next_batch')
}, 60_000)
afterAll(async () => {
  await Promise.all(servers.map((server) => server.end('SIGTERM')))
  rmSync(folder, { recursive: true })
})

const statusOf = (user: Client) => `/presence/${encodeURIComponent(user.userId)}/status`

/** Syncs until there is a presence event of a user that passes. */
async function bobSees(user: Client, wanted: object, filter = ''): Promise<void> {
  for (let tries = 0; tries < 10; tries++) {
    const query = `since=${encodeURIComponent(since)}&timeout=5000&set_presence=offline${filter}`
    const { json } = await bob.call('GET', `/sync?${query}`)
    since = text(json, 'next_batch')
    const events = fieldOf(fieldOf(json, 'presence') ?? {}, 'events')
    const found = Array.isArray(events) ? events.filter((event) => fieldOf(event, 'sender') === user.userId) : []
    if (found.length > 0) return expect(fieldOf(found.at(-1), 'content')).toMatchObject(wanted)
  }
  throw new Error('not seen')
}

test('a status is seen by those who share a room, at once', async () => {
  await alice.call('PUT', statusOf(alice), { presence: 'online', status_msg: 'Testing something' })
  await bobSees(alice, { presence: 'online', status_msg: 'Testing something', currently_active: true })
  expect((await bob.call('GET', statusOf(alice))).json).toMatchObject({
    presence: 'online',
    last_active_ago: expect.any(Number),
  })
})

test('polling shows that somebody is there, and how', async () => {
  await alice.call('GET', '/sync?set_presence=unavailable')
  await bobSees(alice, { presence: 'unavailable', status_msg: 'Testing something' })
  const phone = await signIn(base, 'alice')
  await phone.call('GET', '/sync')
  await bobSees(alice, { presence: 'online' })
  await phone.call('POST', '/logout', {})
  await bobSees(alice, { presence: 'unavailable' })
})

test('those who share no room see nothing, and nobody speaks for others', async () => {
  const carol = await newClient(base, 'carol')
  await expect(carol.call('GET', statusOf(alice))).rejects.toThrow('M_FORBIDDEN')
  await expect(carol.call('PUT', statusOf(alice), { presence: 'offline' })).rejects.toThrow('M_FORBIDDEN')
  await expect(alice.call('PUT', statusOf(alice), { presence: 'busy' })).rejects.toThrow('M_')
})

test('whoever comes into a room and those who are there see each other', async () => {
  const dave = await newClient(base, 'dave')
  await dave.call('PUT', statusOf(dave), { presence: 'online', status_msg: 'new' })
  const roomId = await createRoom(alice)
  for (const user of [bob, dave]) await user.call('POST', `/rooms/${encodeURIComponent(roomId)}/join`, {})
  await bobSees(dave, { presence: 'online', status_msg: 'new' })
  expect((await dave.call('GET', statusOf(alice))).json).toMatchObject({ presence: 'unavailable' })
})

test('a filter that wants none is given none', async () => {
  const filter = encodeURIComponent(JSON.stringify({ presence: { not_types: ['m.presence'] } }))
  await alice.call('PUT', statusOf(alice), { presence: 'online', status_msg: 'unseen' })
  const { json } = await bob.call('GET', `/sync?since=${encodeURIComponent(since)}&timeout=500&filter=${filter}`)
  expect(fieldOf(json, 'presence')).toBeUndefined()
})

test('users of other servers see it as well, if their owners want it', async () => {
  const homes = await Promise.all(['one', 'two'].map(federating))
  const [here, there] = homes
  if (!here || !there) throw new Error('two servers were started')
  const [frank, grace] = [await newClient(here, 'frank'), await newClient(there, 'grace')]
  const roomId = await createRoom(frank)
  await frank.call('POST', `/rooms/${encodeURIComponent(roomId)}/invite`, { user_id: grace.userId })
  const via = encodeURIComponent(frank.userId.slice(frank.userId.indexOf(':') + 1))
  await grace.call('POST', `/join/${encodeURIComponent(roomId)}?server_name=${via}`, {})
  await grace.call('PUT', statusOf(grace), { presence: 'unavailable', status_msg: 'far away' })
  await vi.waitFor(
    async () => {
      const { json } = await frank.call('GET', statusOf(grace))
      expect(json).toMatchObject({ presence: 'unavailable', status_msg: 'far away' })
    },
    { timeout: 20_000, interval: 100 },
  )
}, 60_000)

test('where it is off, everybody is offline and nothing is told', async () => {
  const other = await start('off', 'off')
  const erin = await newClient(other, 'erin')
  expect((await erin.call('PUT', statusOf(erin), { presence: 'online' })).json).toEqual({})
  expect((await erin.call('GET', statusOf(erin))).json).toEqual({ presence: 'offline' })
  expect(fieldOf((await erin.call('GET', '/sync?set_presence=online')).json, 'presence')).toBeUndefined()
}, 30_000)
