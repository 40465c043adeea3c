/**
 * Files as people send them, with the client library of Element, between two servers: an avatar, a photo in a room, an
 * encrypted attachment of several parts; and what is left of them when the server they came from is gone.
 */
import { webcrypto } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EventType, type MatrixClient, MsgType, Preset } from 'matrix-js-sdk'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'

import { fieldOf, text } from '../../scripts/bench/client.ts'
import { type BackgroundServer, freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'
import { decrypted, encrypted } from '../dsl/encrypted-file.ts'
import { newDevice, type Person, register, setUpKeys } from '../dsl/encrypting-client.ts'
import pictures from '../fixtures/media/pictures.json' with { type: 'json' }

const tls = join(import.meta.dirname, '../fixtures/tls')
const folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
const patience = { timeout: 30_000, interval: 100 }
const photo = Buffer.from(pictures['orientation-6.jpg'], 'base64')

const servers: BackgroundServer[] = []
const clients: MatrixClient[] = []
let alice: MatrixClient
let bob: MatrixClient
let roomId: string
let attachment: { readonly plain: Uint8Array; readonly file: unknown }
let avatar: string

async function home(label: string): Promise<string> {
  const [port, federation] = [await freePort(), await freePort()]
  const options = [
    `--server-name=127.0.0.1:${federation}`,
    `--port=${port}`,
    `--federation-port=${federation}`,
    `--tls-cert=${join(tls, 'server.pem')}`,
    `--tls-key=${join(tls, 'server.key')}`,
    `--ca=${join(tls, 'ca.pem')}`,
    `--data=${join(folder, label)}`,
    '--rate-limits=off',
    '--allow-private-addresses=on',
  ]
  servers.push(await startInBackground('scripts/serve.ts', options))
  return `http://127.0.0.1:${port}`
}

async function device(base: string, name: string): Promise<MatrixClient> {
  const person: Person = { base, name, paper: {} }
  await register(person)
  const client = await newDevice(person)
  clients.push(client)
  await setUpKeys(client, person)
  return client
}

function media(client: MatrixClient, uri: string, size?: number): Promise<Response> {
  const url = client.mxcUrlToHttp(uri, size, size, size ? 'crop' : undefined, false, true, true) ?? ''
  return fetch(url, { headers: { Authorization: `Bearer ${client.getAccessToken()}` } })
}

/** The content of the one message with this body, once the client can read it. */
async function read(client: MatrixClient, body: string): Promise<unknown> {
  const find = () => {
    const events = client.getRoom(roomId)?.getLiveTimeline().getEvents() ?? []
    return events.find((event) => event.getContent()['body'] === body)?.getContent()
  }
  await expect.poll(find, patience).toBeDefined()
  return find()
}

beforeAll(async () => {
  for (const level of ['trace', 'debug', 'info', 'log', 'warn', 'error'] as const)
    vi.spyOn(console, level).mockReturnValue()
  const [first, second] = [await home('first'), await home('second')]
  alice = await device(first, 'alice')
  bob = await device(second, 'bob')
  const made = await alice.createRoom({
    preset: Preset.TrustedPrivateChat,
    invite: [bob.getSafeUserId()],
    initial_state: [{ type: EventType.RoomEncryption, state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }],
  })
  roomId = made.room_id
  await vi.waitFor(() => expect(bob.getRoom(roomId)?.getMyMembership()).toBe('invite'), patience)
  await bob.joinRoom(roomId)
  await vi.waitFor(() => expect(alice.getRoom(roomId)?.getJoinedMemberCount()).toBe(2), patience)
}, 120_000)
afterAll(async () => {
  for (const client of clients) client.stopClient()
  await Promise.all(servers.map((server) => server.end('SIGTERM')))
  rmSync(folder, { recursive: true })
}, 60_000)

test('Alice has a face, also on the other server, and it stands upright', { timeout: 60_000 }, async () => {
  const { content_uri: url } = await alice.uploadContent(new Blob([photo]), { type: 'image/jpeg', name: 'me.jpg' })
  await alice.setAvatarUrl(url)
  avatar = url
  expect((await bob.getProfileInfo(alice.getSafeUserId())).avatar_url).toBe(url)
  const member = () => bob.getRoom(roomId)?.getMember(alice.getSafeUserId())?.getMxcAvatarUrl()
  await expect.poll(member, patience).toBe(url)
  const thumbnails = await Promise.all([alice, bob].map((client) => media(client, url, 32)))
  expect(thumbnails.map(({ status, headers }) => [status, headers.get('Content-Type')])).toEqual([
    [200, 'image/jpeg'],
    [200, 'image/jpeg'],
  ])
  const [here, there] = await Promise.all(thumbnails.map(async (each) => Buffer.from(await each.arrayBuffer())))
  expect(there).toEqual(here)
  expect(here?.includes('Exif')).toBe(false)
})

test('an encrypted attachment of twelve megabytes arrives whole', { timeout: 120_000 }, async () => {
  const plain = new Uint8Array(12_000_000)
  for (let at = 0; at < plain.length; at += 60_000) webcrypto.getRandomValues(plain.subarray(at, at + 60_000))
  const { cipher, file } = await encrypted(plain)
  const { content_uri: url } = await alice.uploadContent(new Blob([cipher]), { type: 'application/octet-stream' })
  const content = { msgtype: MsgType.File, body: 'plans.bin', file: { ...file, url }, info: { size: plain.length } }
  await alice.sendMessage(roomId, Object(content))
  const got = fieldOf(await read(bob, 'plans.bin'), 'file')
  attachment = { plain, file: got }
  // Two of Bob's devices ask at the same moment.
  const answers = await Promise.all([1, 2].map(() => media(bob, text(got, 'url'))))
  for (const answer of answers) {
    expect([answer.status, answer.headers.get('Content-Disposition')]).toEqual([200, 'attachment'])
    expect(Buffer.compare(await decrypted(await answer.arrayBuffer(), got), plain)).toBe(0)
  }
})

test("what Bob has looked at stays when Alice's server is gone", { timeout: 60_000 }, async () => {
  const { content_uri: unseen } = await alice.uploadContent(new Blob(['never looked at']), { type: 'text/plain' })
  await servers[0]?.end('SIGKILL')
  const answer = await media(bob, text(attachment.file, 'url'))
  expect(Buffer.compare(await decrypted(await answer.arrayBuffer(), attachment.file), attachment.plain)).toBe(0)
  expect((await media(bob, avatar, 32)).status).toBe(200)
  expect((await media(bob, unseen)).status).toBe(502)
})
