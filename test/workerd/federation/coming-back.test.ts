/** Coming back to a room: what was said before leaving, and had not reached the others, still does. Spec: server-server-api/#transactions. */
import { type JsonObject, own } from '#protocol/json/json.ts'
import { env } from 'cloudflare:workers'
import { afterEach, expect, test, vi } from 'vitest'

import { roomOf } from '../../../worker/rooms.ts'
import { serverIdentity } from '../../../worker/server-identity.ts'
import { registerUser, type User } from '../client.ts'
import { roomObject, user, withRoom } from '../room/rooms.ts'
import { at, ok, say } from '../rooms/rooms.ts'
import { FarRoom } from './far-room.ts'
import { type Asked, otherServer, serversAnswer, signedBy } from './other-server.ts'

afterEach(() => void vi.restoreAllMocks())

test('of two stays in a room a server gets the newest events of each: those of one do not lead to the other', async () => {
  const far = await otherServer('back.test:8448')
  const alice = await registerUser('back-alice')
  const room = new FarRoom(far)
  // It lets us join, and hears nothing of what we send.
  serversAnswer({ [far.name]: (asked) => room.answer(asked) })
  const join = () => ok(alice.post(`/join/${encodeURIComponent(room.roomId)}?via=${far.name}`))
  await join()
  await say(alice, room.roomId, 'unheard')
  await ok(alice.post(at(room.roomId, '/leave')))
  await join()
  for (let index = 0; index < 60; index++) await say(alice, room.roomId, `word ${index}`)

  const sent: JsonObject[] = []
  let page: { pdus: JsonObject[]; upTo: number; more: boolean }
  let after = 0
  do {
    page = await roomOf(env, room.roomId).pdusFor({ destination: far.name, after, limit: 20 })
    sent.push(...page.pdus)
    after = page.upTo
  } while (page.more)
  const told = sent.map(({ type, content }) => own(Object(content), 'body') ?? type)
  expect(told).toContain('unheard')
  expect(told.slice(-50)).toEqual(Array.from({ length: 50 }, (_, index) => `word ${index + 10}`))
})

test('is possible while somebody has not read the room to the end', async () => {
  const far = await otherServer('reading.test:8448')
  const alice = await registerUser('reading-alice')
  const room = new FarRoom(far)
  serversAnswer({ [far.name]: (asked) => room.answer(asked) })
  const join = () => ok(alice.post(`/join/${encodeURIComponent(room.roomId)}?via=${far.name}`))
  await join()
  await ok(alice.post(at(room.roomId, '/leave')))
  const reading = await withRoom(roomObject(room.roomId), ({ reader }) => {
    const cursor = reader.sql.exec('SELECT nid FROM events')
    return { begun: cursor.next().done, cursor }
  })
  expect(reading.begun).not.toBe(true)
  await join()
})

test('what comes late from before a server entered is shown, and is no end that it merges anew', async () => {
  const far = await otherServer('late.test:8448')
  const alice = await registerUser('late-alice')
  const room = new FarRoom(far)
  const late = room.say('late')
  room.say('built on it')
  serversAnswer({
    [far.name]: (asked) => room.answer(asked) ?? (asked.path.includes('/send/') ? { pdus: {} } : undefined),
  })
  await ok(alice.post(`/join/${encodeURIComponent(room.roomId)}?via=${far.name}`))
  const ends = () => withRoom(roomObject(room.roomId), ({ reader }) => reader.header().extremities)
  const before = await ends()
  await ok(far.ask('PUT', '/send/late', { origin: far.name, origin_server_ts: 1, pdus: [late.json], edus: [] }))
  await vi.waitFor(async () => expect(await timeline(alice, room)).toContain(late.event_id), 30_000)
  expect(await ends()).toEqual(before)
})

test('nor is a leave of ours from an earlier stay, which was made over a server that told nobody', async () => {
  const far = await otherServer('late-leave.test:8448')
  const alice = await registerUser('late-leaver')
  const room = new FarRoom(far)
  const tells = (asked: Asked) => (asked.path.includes('get_missing_events') ? undefined : room.answer(asked))
  serversAnswer({ [far.name]: tells })
  const join = () => ok(alice.post(`/join/${encodeURIComponent(room.roomId)}?via=${far.name}`))
  await join()
  room.say('unheard')
  const sender = user(alice.userId)
  const { json } = room.build({ type: 'm.room.member', stateKey: sender, sender, content: { membership: 'leave' } })
  const left = signedBy({ ...far, identity: await serverIdentity(env) }, room.version, json)
  room.place(left)
  room.say('unheard as well')
  await ok(alice.post(at(room.roomId, '/leave')))
  await join()
  const ends = () => withRoom(roomObject(room.roomId), ({ reader }) => reader.header().extremities)
  const before = await ends()
  await ok(far.ask('PUT', '/send/late', { origin: far.name, origin_server_ts: 1, pdus: [left.json], edus: [] }))
  const placed = () =>
    withRoom(roomObject(room.roomId), ({ reader }) => reader.eventById(left.event_id)?.stateBefore !== undefined)
  await vi.waitFor(async () => expect(await placed()).toBe(true), 30_000)
  expect(await ends()).toEqual(before)
})

async function timeline(user: User, { roomId }: FarRoom): Promise<unknown[]> {
  const { rooms } = await ok(
    user.get<{ rooms: { join: Record<string, { timeline: { events: JsonObject[] } }> } }>('/sync'),
  )
  return rooms.join[roomId]?.timeline.events.map(({ event_id }) => event_id) ?? []
}
