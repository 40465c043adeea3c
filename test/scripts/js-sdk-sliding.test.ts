/**
 * Sliding sync as matrix-js-sdk does it (its SlidingSync class), against a real server that is restarted in between: a list
 * that grows, a room that is opened, invites, receipts and typing.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  ClientEvent,
  createClient,
  type MatrixClient,
  MsgType,
  Preset,
  type Room,
  RoomMemberEvent,
  SyncState,
} from 'matrix-js-sdk'
import { SlidingSync } from 'matrix-js-sdk/lib/sliding-sync.js'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'

import { type BackgroundServer, freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'

const folder = mkdtempSync(join(tmpdir(), 'hearth-sliding-'))
const password = 'correct horse battery staple'
const patience = { timeout: 30_000, interval: 50 }
const roomCount = 15

let port: number
let server: BackgroundServer
/** Speaks and does not sync. */
let alice: MatrixClient
let bob: MatrixClient
let sliding: SlidingSync
const rooms: string[] = []

beforeAll(async () => {
  for (const level of ['trace', 'debug', 'info', 'log', 'warn', 'error'] as const)
    vi.spyOn(console, level).mockReturnValue()
  port = await freePort()
  server = await startServer()
  ;[alice, bob] = [await register('alice'), await register('bob')]
  for (let n = 0; n < roomCount; n++) {
    const { room_id: roomId } = await alice.createRoom({ name: `Room ${n}`, preset: Preset.PublicChat })
    await bob.joinRoom(roomId)
    await alice.sendTextMessage(roomId, `first in ${n}`)
    rooms.push(roomId)
  }
  for (let n = 0; n < 30; n++) await alice.sendTextMessage(room(3), `line ${n}`)
}, 120_000)
afterAll(async () => {
  bob.stopClient()
  await server.end('SIGTERM')
  rmSync(folder, { recursive: true })
})

function startServer(): Promise<BackgroundServer> {
  const options = ['--server-name=slide.example', '--registration=open', '--rate-limits=off']
  return startInBackground('scripts/serve.ts', [`--port=${port}`, `--data=${join(folder, 'data')}`, ...options])
}

async function register(username: string): Promise<MatrixClient> {
  const baseUrl = `http://127.0.0.1:${port}`
  const made = await createClient({ baseUrl }).registerRequest({ username, password, auth: { type: 'm.login.dummy' } })
  return createClient({
    baseUrl,
    userId: made.user_id,
    accessToken: made.access_token ?? '',
    deviceId: made.device_id ?? '',
  })
}

const room = (n: number) => rooms[n] ?? ''
function roomOf(roomId: string): Room {
  const found = bob.getRoom(roomId)
  if (!found) throw new Error('Bob does not see the room')
  return found
}
const bodiesIn = (roomId: string) =>
  (bob.getRoom(roomId)?.getLiveTimeline().getEvents() ?? [])
    .filter((event) => event.getType() === 'm.room.message')
    .map((event): unknown => event.getContent()['body'])

test('Bob sees the ten newest rooms first, with their names and last messages', { timeout: 60_000 }, async () => {
  const list = {
    ranges: [[0, 9]],
    timeline_limit: 1,
    required_state: [
      ['m.room.name', ''],
      ['m.room.member', '$ME'],
    ],
  }
  const opened = { timeline_limit: 20, required_state: [['*', '*']] }
  sliding = new SlidingSync(`http://127.0.0.1:${port}`, new Map([['all', list]]), opened, bob, 5_000)
  const prepared = new Promise<void>((resolve) => {
    bob.on(ClientEvent.Sync, (state) => state === SyncState.Prepared && resolve())
  })
  await bob.startClient({ slidingSync: sliding })
  await prepared
  expect(sliding.getListData('all')).toEqual({ joinedCount: roomCount })
  const seen = bob.getRooms().map(({ name }) => name)
  expect(seen.toSorted()).toEqual([3, 6, 7, 8, 9, 10, 11, 12, 13, 14].map((n) => `Room ${n}`).toSorted())
  expect(bodiesIn(room(14))).toEqual(['first in 14'])
})

test('the list grows when Bob scrolls', { timeout: 60_000 }, async () => {
  sliding.setListRanges('all', [[0, 14]])
  await expect.poll(() => bob.getRooms().length, patience).toBe(roomCount)
})

test('what is said comes at once, also in a room far down', { timeout: 60_000 }, async () => {
  await alice.sendTextMessage(room(0), 'from the bottom')
  await expect.poll(() => bodiesIn(room(0)), patience).toEqual(['first in 0', 'from the bottom'])
})

test('a room that Bob opens has its past, its people, and who types', { timeout: 60_000 }, async () => {
  expect(bodiesIn(room(3))).toEqual(['line 29'])
  sliding.modifyRoomSubscriptions(new Set([room(3)]))
  const lines = Array.from({ length: 20 }, (_, n) => `line ${n + 10}`)
  await expect.poll(() => bodiesIn(room(3)), patience).toEqual(lines)
  await expect.poll(() => roomOf(room(3)).getMember('@alice:slide.example')?.membership, patience).toBe('join')
  const typing = new Promise<string>((resolve) => {
    bob.on(RoomMemberEvent.Typing, (_, member) => member.typing && resolve(member.userId))
  })
  await alice.sendTyping(room(3), true, 20_000)
  expect(await typing).toBe('@alice:slide.example')
})

test('the server restarts, and nothing is lost or comes twice', { timeout: 90_000 }, async () => {
  await alice.sendTextMessage(room(3), 'before')
  await server.end('SIGKILL')
  server = await startServer()
  const send = (text: string) =>
    alice.sendMessage(room(3), { msgtype: MsgType.Text, body: text }, text).then(
      () => true,
      () => false,
    )
  await expect.poll(() => send('after'), patience).toBe(true)
  await expect.poll(() => bodiesIn(room(3)).slice(-2), patience).toEqual(['before', 'after'])
  const ids = roomOf(room(3))
    .getLiveTimeline()
    .getEvents()
    .map((event) => event.getId())
  expect(new Set(ids).size).toBe(ids.length)
})

test(
  'an invite comes with the name of the room; joining it brings what is said there',
  { timeout: 60_000 },
  async () => {
    const { room_id: roomId } = await alice.createRoom({ name: 'Surprise', preset: Preset.PrivateChat })
    await alice.invite(roomId, '@bob:slide.example')
    await expect.poll(() => bob.getRoom(roomId)?.getMyMembership(), patience).toBe('invite')
    expect(roomOf(roomId).name).toBe('Surprise')
    await bob.joinRoom(roomId)
    await alice.sendTextMessage(roomId, 'welcome')
    await expect.poll(() => bodiesIn(roomId), patience).toContain('welcome')
    expect(roomOf(roomId).getMyMembership()).toBe('join')
  },
)

test('how far Bob has read shows elsewhere, and what is unread is right', { timeout: 60_000 }, async () => {
  await expect.poll(() => roomOf(room(3)).getUnreadNotificationCount(), patience).toBe(33)
  const last = roomOf(room(3)).getLiveTimeline().getEvents().at(-1)
  await bob.sendReadReceipt(last ?? null)
  await expect.poll(() => roomOf(room(3)).getUnreadNotificationCount(), patience).toBe(0)
})
