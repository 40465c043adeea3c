/**
 * The drill with encryption: a server is copied while people write, goes on, loses its disk and comes back from the older
 * copy. Their clients, which never stopped, write on and read each other; so does who signs in anew, here and on the other
 * server.
 */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type MatrixClient, Preset } from 'matrix-js-sdk'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'

import { newSecret } from '../../scripts/backup/one-time-secret.ts'
import { fieldOf } from '../../scripts/bench/client.ts'
import { type BackgroundServer, freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'
import { bodiesOf, decryptAgain, newDevice, type Person, register, unreadable } from '../dsl/encrypting-client.ts'

const tls = join(import.meta.dirname, '../fixtures/tls')
const patience = { timeout: 60_000, interval: 100 }
const run = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
const secret = newSecret('backup', Date.now())
const clients: MatrixClient[] = []
let one: Home
let two: Home
let people: { alice: Person; bob: Person; carol: Person }
let alice: MatrixClient
let bob: MatrixClient
let carol: MatrixClient
let roomId: string

interface Home {
  readonly base: string
  readonly data: string
  readonly serverName: string
  server: BackgroundServer
  start(): Promise<BackgroundServer>
}

async function home(label: string): Promise<Home> {
  const [port, federation] = [await freePort(), await freePort()]
  const data = join(folder, label)
  const serverName = `127.0.0.1:${federation}`
  const start = () =>
    startInBackground('scripts/serve.ts', [
      `--server-name=${serverName}`,
      `--port=${port}`,
      `--federation-port=${federation}`,
      `--tls-cert=${join(tls, 'server.pem')}`,
      `--tls-key=${join(tls, 'server.key')}`,
      `--ca=${join(tls, 'ca.pem')}`,
      `--data=${data}`,
      `--backup-secret=${secret}`,
      '--rate-limits=off',
      '--log-level=warn',
      '--allow-private-addresses=on',
    ])
  return { base: `http://127.0.0.1:${port}`, data, serverName, server: await start(), start }
}

beforeAll(async () => {
  for (const level of ['trace', 'debug', 'info', 'log', 'warn', 'error'] as const)
    vi.spyOn(console, level).mockReturnValue()
  ;[one, two] = await Promise.all([home('one'), home('two')])
  people = {
    alice: { base: one.base, name: 'alice', paper: {} },
    carol: { base: one.base, name: 'carol', paper: {} },
    bob: { base: two.base, name: 'bob', paper: {} },
  }
  for (const person of Object.values(people)) await register(person)
}, 60_000)
afterAll(async () => {
  for (const client of clients) client.stopClient()
  await Promise.all([one.server.end('SIGKILL'), two.server.end('SIGKILL')])
  rmSync(folder, { recursive: true })
}, 60_000)

async function device(person: Person): Promise<MatrixClient> {
  const client = await newDevice(person)
  clients.push(client)
  return client
}

async function reads(client: MatrixClient, ...bodies: string[]): Promise<void> {
  await expect
    .poll(async () => {
      await decryptAgain(client, roomId)
      return bodiesOf(client, roomId)
    }, patience)
    .toEqual(expect.arrayContaining(bodies))
}

/** Says something that all of them must read. */
async function say(client: MatrixClient, body: string, readers = clients): Promise<void> {
  await expect.poll(() => client.sendTextMessage(roomId, body).then(() => 'sent', String), patience).toBe('sent')
  for (const reader of readers) await reads(reader, body)
}

/** How many one-time keys the server holds for a device. */
async function keysOf(client: MatrixClient): Promise<number> {
  const answer = await fetch(`${client.baseUrl}/_matrix/client/v3/keys/upload`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${client.getAccessToken()}`, 'Content-Type': 'application/json' },
    body: '{}',
  })
  return Number(fieldOf(fieldOf(await answer.json(), 'one_time_key_counts'), 'signed_curve25519') ?? 0)
}

test('people of two servers write to each other, encrypted', { timeout: 120_000 }, async () => {
  alice = await device(people.alice)
  carol = await device(people.carol)
  bob = await device(people.bob)
  const made = await alice.createRoom({
    preset: Preset.TrustedPrivateChat,
    invite: [bob.getSafeUserId(), carol.getSafeUserId()],
    initial_state: [
      { type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } },
      { type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'shared' } },
    ],
  })
  roomId = made.room_id
  for (const client of [bob, carol]) {
    await expect.poll(() => client.getRoom(roomId)?.getMyMembership(), patience).toBe('invite')
    await client.joinRoom(roomId)
  }
  for (const client of clients) {
    await expect.poll(() => client.getRoom(roomId)?.getJoinedMemberCount(), patience).toBe(3)
  }
  await say(alice, 'before the backup')
  await say(bob, 'before the backup, from afar')
})

test('the server is copied while it runs, and life goes on', { timeout: 60_000 }, async () => {
  const args = ['scripts/backup.ts', '--url', one.base, '--out', join(folder, 'copy')]
  await run(process.execPath, args, { env: { ...process.env, BACKUP_SECRET: secret } })
  await say(alice, 'after the backup')
  await say(carol, 'after the backup, too')
  await say(bob, 'after the backup, from afar')
})

test('its disk is lost; it comes back from the copy', { timeout: 90_000 }, async () => {
  await one.server.end('SIGKILL')
  rmSync(one.data, { recursive: true })
  await bob.sendTextMessage(roomId, 'while the other server is away')
  const args = ['scripts/restore.ts', '--from', join(folder, 'copy'), '--data', one.data]
  const { stdout } = await run(process.execPath, args)
  expect(stdout).toContain(`is ${one.serverName} as of`)
  one.server = await one.start()
})

test('clients make new one-time keys, since none of before may be used again', { timeout: 60_000 }, async () => {
  for (const client of [alice, carol]) await expect.poll(() => keysOf(client), patience).toBeGreaterThan(10)
})

test('everybody reads everybody, on both servers', { timeout: 120_000 }, async () => {
  await say(alice, 'I am back')
  await say(carol, 'so am I')
  await say(bob, 'welcome back')
  await reads(alice, 'while the other server is away')
})

test('and so do devices that are new since', { timeout: 120_000 }, async () => {
  const [alice2, bob2] = [await device(people.alice), await device(people.bob)]
  for (const client of [alice2, bob2]) {
    await expect.poll(() => client.getRoom(roomId)?.getJoinedMemberCount(), patience).toBe(3)
  }
  await say(bob2, 'from my new device')
  await say(alice2, 'from mine')
  await say(carol, 'I read all of you')
  // What was said before they were there is all that they cannot read.
  expect(bodiesOf(carol, roomId)).not.toContain(unreadable)
  expect(bodiesOf(bob, roomId)).not.toContain(unreadable)
})
