/**
 * What people do with a client, done with the client library that Element is made of, against a real server, with a restart
 * of the server in between that nobody should notice.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  ClientEvent,
  createClient,
  Direction,
  EventType,
  type MatrixClient,
  type MatrixEvent,
  MsgType,
  Preset,
  type Room,
  SyncState,
} from 'matrix-js-sdk'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'

import { text } from '../../scripts/bench/client.ts'
import { type BackgroundServer, freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'

const folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
const password = 'correct horse battery staple'
const patience = { timeout: 20_000, interval: 50 }
/** All that sync. */
const clients: MatrixClient[] = []
let port: number
let server: BackgroundServer
let alice: MatrixClient
let bob: MatrixClient
let roomId: string

beforeAll(async () => {
  // The library tells of each request.
  for (const level of ['trace', 'debug', 'info', 'log', 'warn', 'error'] as const)
    vi.spyOn(console, level).mockReturnValue()
  port = await freePort()
  server = await startServer()
}, 60_000)
afterAll(async () => {
  for (const client of clients) client.stopClient()
  await server.end('SIGTERM')
  rmSync(folder, { recursive: true })
})

function startServer(): Promise<BackgroundServer> {
  const options = [
    `--port=${port}`,
    `--data=${join(folder, 'data')}`,
    '--server-name=story.example',
    '--rate-limits=off',
  ]
  return startInBackground('scripts/serve.ts', options)
}

/** Signs in, and starts to sync. */
async function signIn(username: string): Promise<MatrixClient> {
  const baseUrl = `http://127.0.0.1:${port}`
  const identifier = { type: 'm.id.user', user: username } as const
  const login = await createClient({ baseUrl }).loginRequest({ type: 'm.login.password', identifier, password })
  const client = createClient({
    baseUrl,
    userId: login.user_id,
    accessToken: login.access_token,
    deviceId: login.device_id,
  })
  clients.push(client)
  const synced = new Promise<void>((resolve) => {
    client.on(ClientEvent.Sync, (state) => state === SyncState.Prepared && resolve())
  })
  await client.startClient({ initialSyncLimit: 4 })
  await synced
  return client
}

function roomOf(client: MatrixClient): Room {
  const room = client.getRoom(roomId)
  if (!room) throw new Error(`${client.getUserId()} does not see the room`)
  return room
}

function messagesOf(client: MatrixClient): MatrixEvent[] {
  return roomOf(client)
    .getLiveTimeline()
    .getEvents()
    .filter((event) => event.getType() === 'm.room.message')
}

function bodiesOf(client: MatrixClient): unknown[] {
  return messagesOf(client).map((event) => event.getContent()['body'])
}

test('Alice and Bob make accounts and sign in', { timeout: 60_000 }, async () => {
  for (const username of ['alice', 'bob']) {
    const stranger = createClient({ baseUrl: `http://127.0.0.1:${port}` })
    const refused = await stranger
      .registerRequest({ username, password })
      .catch((error: { data: unknown }) => error.data)
    expect(refused).toMatchObject({ flows: expect.arrayContaining([{ stages: ['m.login.dummy'] }]) })
    const session = text(refused, 'session')
    const made = await stranger.registerRequest({ username, password, auth: { type: 'm.login.dummy', session } })
    expect(made.user_id).toBe(`@${username}:story.example`)
  }
  alice = await signIn('alice')
  bob = await signIn('bob')
})

test('Alice makes a room and invites Bob, who sees the invite and joins', { timeout: 60_000 }, async () => {
  const made = await alice.createRoom({
    name: 'The garden',
    preset: Preset.PrivateChat,
    invite: ['@bob:story.example'],
    is_direct: false,
  })
  roomId = made.room_id
  await expect.poll(() => bob.getRoom(roomId)?.getMyMembership(), patience).toBe('invite')
  expect(roomOf(bob).name).toBe('The garden')
  await bob.joinRoom(roomId)
  await expect.poll(() => bob.getRoom(roomId)?.getMyMembership(), patience).toBe('join')
  await expect.poll(() => alice.getRoom(roomId)?.getJoinedMembers().length, patience).toBe(2)
})

test('they talk', { timeout: 60_000 }, async () => {
  await alice.sendTextMessage(roomId, 'The roses are out')
  await expect.poll(() => bodiesOf(bob), patience).toEqual(['The roses are out'])
  await bob.sendTextMessage(roomId, 'At last')
  await expect.poll(() => bodiesOf(alice), patience).toEqual(['The roses are out', 'At last'])
})

test('the server restarts, and they go on as if nothing had been', { timeout: 60_000 }, async () => {
  expect(await server.end('SIGTERM')).toBe(0)
  server = await startServer()
  await expect
    .poll(
      () =>
        alice.sendTextMessage(roomId, 'Was that the wind?').then(
          () => true,
          () => false,
        ),
      patience,
    )
    .toBe(true)
  await expect.poll(() => bodiesOf(bob), { ...patience, timeout: 40_000 }).toContain('Was that the wind?')
  await bob.sendTextMessage(roomId, 'Only the wind')
  await expect.poll(() => bodiesOf(alice).at(-1), { ...patience, timeout: 40_000 }).toBe('Only the wind')
})

test('Bob takes a word back, and it is gone for both', { timeout: 60_000 }, async () => {
  const last = messagesOf(bob).at(-1)
  const eventId = last?.getId()
  if (last === undefined || eventId === undefined) throw new Error('Bob has said nothing')
  await bob.redactEvent(roomId, eventId, undefined, { reason: 'Too short' })
  for (const client of [alice, bob]) {
    await expect.poll(() => roomOf(client).findEventById(eventId)?.isRedacted(), patience).toBe(true)
    expect(roomOf(client).findEventById(eventId)?.getContent()).toEqual({})
  }
})

test('Alice signs in elsewhere and reads back to the beginning', { timeout: 60_000 }, async () => {
  for (let n = 0; n < 12; n++)
    await bob.sendEvent(roomId, EventType.RoomMessage, { msgtype: MsgType.Text, body: `Leaf ${n}` })
  const tablet = await signIn('alice')
  const room = roomOf(tablet)
  const timeline = room.getLiveTimeline()
  expect(timeline.getEvents().length).toBeLessThanOrEqual(4)
  while (timeline.getPaginationToken(Direction.Backward) !== null) {
    await tablet.paginateEventTimeline(timeline, { backwards: true, limit: 7 })
  }
  const types = timeline.getEvents().map((event) => event.getType())
  expect(types[0]).toBe('m.room.create')
  expect(room.name).toBe('The garden')
  const bodies = timeline.getEvents().map((event) => event.getContent()['body'])
  expect(bodies.filter(Boolean)).toEqual([
    'The roses are out',
    'At last',
    'Was that the wind?',
    ...Array.from({ length: 12 }, (_, n) => `Leaf ${n}`),
  ])
})
