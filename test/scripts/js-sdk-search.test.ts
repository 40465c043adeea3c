/** Searching, finding shared rooms, sending later and signing in by token, with the client library that Element is made of. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient, Direction, EventType, type MatrixClient, MsgType, Preset, SearchOrderBy } from 'matrix-js-sdk'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'

import { newClient } from '../../scripts/bench/client.ts'
import { type BackgroundServer, freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'

const folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
let baseUrl: string
let server: BackgroundServer
let alice: MatrixClient
let bob: MatrixClient

beforeAll(async () => {
  for (const level of ['trace', 'debug', 'info', 'log', 'warn', 'error'] as const)
    vi.spyOn(console, level).mockReturnValue()
  const port = await freePort()
  baseUrl = `http://127.0.0.1:${port}`
  const options = [
    `--port=${port}`,
    `--data=${join(folder, 'data')}`,
    '--server-name=search.example',
    '--rate-limits=off',
  ]
  server = await startInBackground('scripts/serve.ts', options)
  alice = await person('alice')
  bob = await person('bob')
}, 60_000)
afterAll(async () => {
  await server.end('SIGTERM')
  rmSync(folder, { recursive: true })
})

async function person(name: string): Promise<MatrixClient> {
  const { userId, accessToken } = await newClient(baseUrl, name)
  return createClient({ baseUrl, userId, accessToken, deviceId: name })
}

const idOf = (client: MatrixClient) => client.getUserId() ?? expect.fail()

test('a search, page by page, with what is around each result', async () => {
  const { room_id: roomId } = await alice.createRoom({ preset: Preset.PrivateChat, invite: [idOf(bob)] })
  await bob.joinRoom(roomId)
  for (let n = 0; n < 25; n++) await alice.sendMessage(roomId, { msgtype: MsgType.Text, body: `Hedgehog number ${n}` })
  const first = await bob.searchRoomEvents({ term: 'hedgehogs OR' })
  expect(first.count).toBe(0)
  const found = await bob.searchRoomEvents({ term: 'hedgeh' })
  expect(found).toMatchObject({ count: 25, highlights: ['hedgeh'] })
  expect(found.results).toHaveLength(10)
  expect(found.results[0]?.context.getEvent().getContent()['body']).toBe('Hedgehog number 24')
  expect(found.results[5]?.context.getTimeline().map((event) => event.getContent()['body'])).toEqual([
    'Hedgehog number 18',
    'Hedgehog number 19',
    'Hedgehog number 20',
  ])
  await bob.backPaginateRoomEventsSearch(found)
  await bob.backPaginateRoomEventsSearch(found)
  expect(found.results.map(({ context }) => context.getEvent().getContent()['body'])).toEqual(
    Array.from({ length: 25 }, (_, n) => `Hedgehog number ${24 - n}`),
  )
  const plain = await bob.search({
    body: { search_categories: { room_events: { search_term: 'hedgehog', order_by: SearchOrderBy.Rank } } },
  })
  expect(plain.search_categories.room_events.results).toHaveLength(10)
  expect(await alice._unstable_getSharedRooms(idOf(bob))).toEqual([roomId])
})

test('an event that is sent later, put off and then sent', async () => {
  const { room_id: roomId } = await alice.createRoom({ preset: Preset.PrivateChat })
  const content = { msgtype: MsgType.Text, body: 'later' } as const
  const { delay_id: delayId } = await alice._unstable_sendDelayedEvent(
    roomId,
    { delay: 600_000 },
    null,
    EventType.RoomMessage,
    content,
  )
  expect((await alice._unstable_getDelayedEvents()).scheduled).toMatchObject([{ delay_id: delayId, content }])
  await alice._unstable_restartScheduledDelayedEvent(delayId)
  await alice._unstable_sendScheduledDelayedEvent(delayId)
  expect((await alice._unstable_getDelayedEvent(delayId)).finalised?.event_id).toMatch(/^\$/)
  const { chunk } = await alice.createMessagesRequest(roomId, null, 1, Direction.Backward)
  expect(chunk[0]?.content['body']).toBe('later')
})
