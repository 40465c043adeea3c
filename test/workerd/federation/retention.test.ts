/** Messages that are over, between servers: what other servers get of ours, and what we ask them for. MSC1763. */
import { afterEach, beforeAll, expect, test, vi } from 'vitest'

import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { env } from 'cloudflare:workers'

import { roomOf } from '../../../worker/rooms.ts'
import { registerUser, type User } from '../client.ts'
import { roomObject, rows, user } from '../room/rooms.ts'
import { at, createRoom, ok, say, setState } from '../rooms/rooms.ts'
import { FarRoom } from './far-room.ts'
import { joinOver, nameOf, otherServer, type OtherServer, serversAnswer } from './other-server.ts'

const day = 86_400_000

let alice: User
let far: OtherServer
beforeAll(async () => {
  alice = await registerUser('over-alice')
  far = await otherServer('over.test:8448')
})
afterEach(() => {
  vi.restoreAllMocks()
})

function idOf(text: string) {
  const roomId = parseRoomId(text)
  if (!roomId) throw new TypeError(text)
  return roomId
}
const part = encodeURIComponent

interface Page {
  readonly chunk: readonly { readonly event_id: string; readonly type: string }[]
  readonly end?: string
}

test('another server gets what a redaction would leave of them, so that the DAG holds together', async () => {
  const roomId = await createRoom(alice, { preset: 'public_chat' })
  await ok(setState(alice, roomId, 'm.room.retention', { max_lifetime: day }))
  await joinOver(far, `@visitor:${far.name}`, roomId)
  const room = roomOf(env, idOf(roomId))
  const content = { msgtype: 'm.text', body: 'overdue' }
  const [sender, originServerTs] = [user(alice.userId), Date.now() - 2 * day]
  const old = await room.sendEvent({ sender, type: 'm.room.message', content, originServerTs })
  if (!old.ok) throw new Error(old.message)
  const fresh = await say(alice, roomId, 'fresh')

  const answers = [
    await far.ask('GET', `/backfill/${part(roomId)}?v=${part(fresh)}&limit=3`),
    await far.ask('GET', `/event/${part(old.event_id)}`),
    await far.ask('POST', `/get_missing_events/${part(roomId)}`, {
      earliest_events: [],
      latest_events: [fresh],
      limit: 1,
    }),
  ]
  for (const { status, text } of answers) {
    expect(status, text).toBe(200)
    expect(text).toContain(`"type":"m.room.message"`)
    expect(text).not.toContain('overdue')
  }
  expect(answers[0]?.text).toContain('fresh')
  // Nor does one that could not be reached in time.
  const sent = await room.pdusFor({ destination: nameOf(far.name), after: 0, limit: 50 })
  const messages = sent.pdus.filter(({ type }) => type === 'm.room.message').map((pdu) => pdu['content'])
  expect(messages).toEqual([{}, { msgtype: 'm.text', body: 'fresh' }])
})

test('what comes too late is told to nobody, and kept by nobody', async () => {
  const room = new FarRoom(far)
  room.add({ type: 'm.room.retention', stateKey: '', content: { max_lifetime: day } })
  serversAnswer({ [far.name]: (each) => room.answer(each) })
  await ok(alice.post(`/join/${part(room.roomId)}?via=${part(far.name)}`))
  const [late, timely] = [room.say('overdue', Date.now() - 2 * day), room.say('in time', Date.now())]
  const sent = await far.ask('PUT', `/send/${crypto.randomUUID()}`, {
    origin: far.name,
    origin_server_ts: Date.now(),
    pdus: [late.json, timely.json],
  })
  expect(sent).toMatchObject({ status: 200, body: { pdus: { [late.event_id]: {}, [timely.event_id]: {} } } })
  const { text } = await alice.get('/sync')
  expect(text).toContain('in time')
  expect(text).not.toContain('overdue')
  const stored = await rows<{ json: string }>(roomObject(room.roomId), 'SELECT json FROM events')
  expect(stored.map(({ json }) => json).join()).not.toContain('overdue')
})

test('history from before is not asked for', async () => {
  const room = new FarRoom(far)
  // A hundred a page: two pages of them.
  const longAgo = Date.now() - 3 * day
  for (let n = 0; n < 150; n++) room.say(`overdue ${n}`, longAgo + n)
  room.add({ type: 'm.room.retention', stateKey: '', content: { max_lifetime: day } })
  const recent = [room.say('fresh one', Date.now() - 1000), room.say('fresh two', Date.now() - 500)]
  const asked = serversAnswer({ [far.name]: (each) => room.answer(each) })
  await ok(alice.post(`/join/${part(room.roomId)}?via=${part(far.name)}`))
  const pages: Page[] = []
  for (let from = ''; pages.length < 10;) {
    const page = await ok(alice.get<Page>(at(room.roomId, `/messages?dir=b&limit=50${from}`)))
    pages.push(page)
    if (page.end === undefined) break
    from = `&from=${page.end}`
  }
  const messages = pages.flatMap(({ chunk }) => chunk).filter(({ type }) => type === 'm.room.message')
  expect(messages.map(({ event_id }) => event_id)).toEqual(recent.map(({ event_id }) => event_id).reverse())
  const backfills = () => asked.filter((each) => each.includes('/backfill/')).length
  expect(backfills()).toBe(1)
  await ok(alice.get<Page>(at(room.roomId, '/messages?dir=b&limit=50')))
  expect(backfills()).toBe(1)
  const stored = await rows<{ json: string }>(roomObject(room.roomId), 'SELECT json FROM events')
  expect(stored.map(({ json }) => json).join()).not.toContain('overdue')
  await alice.get(`/_matrix/client/v1${at(room.roomId, `/timestamp_to_event?ts=${longAgo}&dir=f`)}`)
  expect(asked.filter((each) => each.includes('/timestamp_to_event/'))).toEqual([])

  // Once messages are kept, what was never here comes: some of it was, and stays away.
  const kept: JsonObject = {}
  const policy = room.add({ type: 'm.room.retention', stateKey: '', content: kept })
  await far.ask('PUT', `/send/${crypto.randomUUID()}`, {
    origin: far.name,
    origin_server_ts: Date.now(),
    pdus: [policy.json],
  })
  await ok(alice.get<Page>(at(room.roomId, '/messages?dir=b&limit=1000')))
  expect(backfills()).toBeGreaterThan(1)
})
