/** Reporting events, rooms and users over HTTP. Spec: client-server-api/#reporting-content. */
import { env } from 'cloudflare:workers'
import { beforeAll, expect, test } from 'vitest'

import { anonymous, registerUser, type User } from '../client.ts'
import { at, createRoom, join, ok, refused, say } from './rooms.ts'

let alice: User
let bob: User
let roomId: string
let eventId: string

beforeAll(async () => {
  alice = await registerUser('reporter')
  bob = await registerUser('reported')
  roomId = await createRoom(bob, { preset: 'public_chat' })
  eventId = await say(bob, roomId, 'spam')
  await join(alice, roomId)
})

const ofEvent = (id = eventId, room = roomId) => at(room, `/report/${encodeURIComponent(id)}`)
const ofUser = (userId: string) => `/users/${encodeURIComponent(userId)}/report`
const stored = async (where: string) =>
  (await env.DB.prepare(`SELECT room_id, event_id, user_id, reporter, reason FROM reports WHERE ${where}`).all())
    .results

test('an event is reported with or without reason and score', async () => {
  await ok(alice.post(ofEvent(), { reason: 'spam', score: -100 }))
  await ok(alice.post(ofEvent(), {}))
  const report = { room_id: roomId, event_id: eventId, user_id: null, reporter: alice.userId }
  expect(await stored('event_id IS NOT NULL')).toEqual([
    { ...report, reason: 'spam' },
    { ...report, reason: '' },
  ])
})

test('an event is reported by who is in its room and can see it', async () => {
  const carol = await registerUser('outsider')
  expect(await carol.post(ofEvent(), {})).toMatchObject(refused(404, 'M_NOT_FOUND'))
  expect(await alice.post(ofEvent('$unknown:x'), {})).toMatchObject(refused(404, 'M_NOT_FOUND'))
  expect(await alice.post(ofEvent(eventId, '!unknown:test.local'), {})).toMatchObject(refused(404, 'M_NOT_FOUND'))
})

test('a room is reported by anyone, and whether there is one stays unsaid', async () => {
  const hidden = await createRoom(bob)
  await ok(alice.post(at(hidden, '/report'), { reason: 'bad' }))
  await ok(alice.post(at('!unknown:test.local', '/report'), { reason: '' }))
  expect(await stored('event_id IS NULL AND room_id IS NOT NULL')).toEqual([
    { room_id: hidden, event_id: null, user_id: null, reporter: alice.userId, reason: 'bad' },
  ])
})

test('users are reported, of other servers too', async () => {
  await ok(alice.post(ofUser(bob.userId), { reason: 'rude' }))
  await ok(alice.post(ofUser('@x:elsewhere.example'), { reason: 'rude' }))
  expect(await alice.post(ofUser('@nobody:test.local'), { reason: '' })).toMatchObject(refused(404, 'M_NOT_FOUND'))
  expect((await stored('user_id IS NOT NULL')).map(({ user_id: user }) => user)).toEqual([
    bob.userId,
    '@x:elsewhere.example',
  ])
})

test.each([
  ['event', () => ofEvent(), { reason: 7 }, 400, 'M_BAD_JSON'],
  ['event', () => ofEvent(), { score: 'x' }, 400, 'M_BAD_JSON'],
  ['event', () => ofEvent('x'), {}, 400, 'M_INVALID_PARAM'],
  ['room', () => at(roomId, '/report'), {}, 400, 'M_MISSING_PARAM'],
  ['room', () => at(roomId, '/report'), { reason: null }, 400, 'M_BAD_JSON'],
  ['room', () => at('room', '/report'), { reason: '' }, 400, 'M_INVALID_PARAM'],
  ['user', () => ofUser(bob.userId), {}, 400, 'M_MISSING_PARAM'],
  ['user', () => ofUser('bob'), { reason: '' }, 400, 'M_INVALID_PARAM'],
  ['user', () => ofUser(bob.userId), { reason: 'x'.repeat(70_000) }, 413, 'M_TOO_LARGE'],
])('a report of a(n) %s like this is refused (%#)', async (_, path, body, status, errcode) => {
  expect(await alice.post(path(), body)).toMatchObject(refused(status, errcode))
})

test('reports are made by users', async () => {
  for (const path of [ofEvent(), at(roomId, '/report'), ofUser(bob.userId)]) {
    expect(await anonymous.post(path, { reason: '' })).toMatchObject(refused(401, 'M_MISSING_TOKEN'))
  }
})
