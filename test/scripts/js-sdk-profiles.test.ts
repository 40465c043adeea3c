/**
 * A status that others see as it changes, and a ban that takes along what was said, with the client library that Element is
 * made of.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AuthType, ClientEvent, createClient, type MatrixClient, Method, Preset, SyncState } from 'matrix-js-sdk'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'

import { type BackgroundServer, freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'

const folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
const password = 'correct horse battery staple'
const status = 'org.matrix.msc4426.status'
const redactEvents = 'org.matrix.msc4293.redact_events'
const patience = { timeout: 40_000, interval: 50 }
const clients: MatrixClient[] = []
let baseUrl: string
let server: BackgroundServer
let alice: MatrixClient
let bob: MatrixClient
let roomId: string

// The machine may be busy with much else.
vi.setConfig({ testTimeout: 60_000 })

beforeAll(async () => {
  for (const level of ['trace', 'debug', 'info', 'log', 'warn', 'error'] as const)
    vi.spyOn(console, level).mockReturnValue()
  const port = await freePort()
  baseUrl = `http://127.0.0.1:${port}`
  const options = [`--port=${port}`, `--data=${join(folder, 'data')}`, '--server-name=profiles.example']
  server = await startInBackground('scripts/serve.ts', [...options, '--rate-limits=off'])
  alice = await person('alice')
  bob = await person('bob')
  roomId = (await alice.createRoom({ preset: Preset.PublicChat })).room_id
  await bob.joinRoom(roomId)
}, 60_000)
afterAll(async () => {
  for (const client of clients) client.stopClient()
  await server.end('SIGTERM')
  rmSync(folder, { recursive: true })
})

async function person(username: string): Promise<MatrixClient> {
  const auth = { type: AuthType.Dummy } as const
  const made = await createClient({ baseUrl }).registerRequest({ username, password, auth })
  const { user_id: userId, access_token: accessToken, device_id: deviceId } = made
  if (accessToken === undefined || deviceId === undefined) throw new Error('not signed in')
  return createClient({ baseUrl, userId, accessToken, deviceId })
}

/** Another client of the same device, which knows nothing. It writes down what it hears of profiles. */
async function started(of: MatrixClient) {
  const [userId, accessToken] = [of.getSafeUserId(), of.getAccessToken() ?? '']
  const client = createClient({ baseUrl, userId, accessToken, deviceId: of.getDeviceId() ?? '' })
  clients.push(client)
  const heard: [string, unknown][] = []
  client.on(ClientEvent.UserProfileUpdate, (user, profile) => void heard.push([user, profile]))
  const synced = new Promise<void>((resolve) => {
    client.on(ClientEvent.Sync, (state) => state === SyncState.Prepared && resolve())
  })
  await client.startClient({ lazyLoadMembers: true, unstableMSC4429SyncUserProfileFields: [status] })
  await synced
  return { client, heard }
}

test('a status is heard of: what it is, what it becomes, and that it ends', async () => {
  const [first, second] = [
    { text: 'Swimming', emoji: '🏊' },
    { text: 'Back', emoji: '🏠' },
  ]
  const id = bob.getSafeUserId()
  await bob.setExtendedProfileProperty(status, first)
  await bob.sendTextMessage(roomId, 'hello')
  const { client, heard } = await started(alice)
  await vi.waitFor(() => expect(heard).toContainEqual([id, { [status]: first }]), patience)
  await bob.setExtendedProfileProperty(status, second)
  await vi.waitFor(() => expect(heard).toContainEqual([id, { [status]: second }]), patience)
  await bob.deleteExtendedProfileProperty(status)
  await vi.waitFor(() => expect(heard.at(-1)).toEqual([id, { [status]: null }]), patience)
  client.stopClient()
})

test('a ban takes along what was said, for a client that was there and for one that comes', async () => {
  const { client: there } = await started(alice)
  const { event_id: eventId } = await bob.sendTextMessage(roomId, 'rude words')
  const seenBy = (client: MatrixClient) => client.getRoom(roomId)?.findEventById(eventId)
  await vi.waitFor(() => expect(seenBy(there)?.getContent()['body']).toBe('rude words'), patience)
  const ban = { user_id: bob.getSafeUserId(), reason: 'rude', [redactEvents]: true }
  await alice.http.authedRequest(Method.Post, `/rooms/${encodeURIComponent(roomId)}/ban`, undefined, ban)
  await vi.waitFor(() => expect(seenBy(there)?.isRedacted()).toBe(true), patience)
  there.stopClient()
  const { client: fresh } = await started(alice)
  await vi.waitFor(() => expect(seenBy(fresh)?.isRedacted()).toBe(true), patience)
  expect(seenBy(fresh)?.getContent()).toEqual({})
  const because = seenBy(fresh)?.getUnsigned().redacted_because
  expect(because).toMatchObject({ type: 'm.room.member', content: { membership: 'ban', reason: 'rude' } })
})
