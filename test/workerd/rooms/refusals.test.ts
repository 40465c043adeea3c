/**
 * Every operation on a room, asked by those who may not: without a token, with a wrong one, by a stranger, by one who left,
 * by one who was banned, and for rooms that are not there.
 */
import { beforeAll, describe, expect, test } from 'vitest'

import { anonymous, clientWith, registerUser, type User } from '../client.ts'
import { at, createRoom, join, ok, refused, say } from './rooms.ts'

let host: User
const people: Record<string, User> = {}
let roomId: string
let eventId: string

beforeAll(async () => {
  host = await registerUser('refusing-host')
  for (const name of ['stranger', 'left', 'banned']) people[name] = await registerUser(`the-${name}`)
  const { left, banned } = people
  if (!left || !banned) throw new Error('nobody is there')
  roomId = await createRoom(host, { preset: 'public_chat' })
  eventId = await say(host, roomId, 'before')
  await join(left, roomId)
  await join(banned, roomId)
  await ok(left.post(at(roomId, '/leave')))
  await ok(host.post(at(roomId, '/ban'), { user_id: banned.userId }))
  await ok(host.put(at(roomId, '/state/m.room.join_rules'), { join_rule: 'invite' }))
})

const forbidden = [403, 'M_FORBIDDEN'] as const
const notFound = [404, 'M_NOT_FOUND'] as const
const fine = [200] as const
type Outcome = readonly [status: number, errcode?: string]

/** What a stranger, one who left and one who was banned get, and what everybody gets where there is no room. */
const operations: readonly [
  method: 'get' | 'put' | 'post',
  path: string,
  body: unknown,
  stranger: Outcome,
  left: Outcome,
  banned: Outcome,
  noRoom: Outcome,
][] = [
  ['put', '/send/m.room.message/t', {}, forbidden, forbidden, forbidden, forbidden],
  ['put', '/state/org.example.x', {}, forbidden, forbidden, forbidden, forbidden],
  ['put', '/state/m.room.canonical_alias', { alias: '' }, forbidden, forbidden, forbidden, forbidden],
  ['put', '/state/m.room.power_levels', { users: {} }, forbidden, forbidden, forbidden, forbidden],
  ['put', '/redact/EVENT/t', {}, forbidden, forbidden, forbidden, forbidden],
  ['get', '/state', undefined, forbidden, fine, fine, forbidden],
  ['get', '/state/m.room.create/', undefined, forbidden, fine, fine, forbidden],
  ['get', '/members', undefined, forbidden, fine, fine, forbidden],
  ['get', '/joined_members', undefined, forbidden, forbidden, forbidden, forbidden],
  ['get', '/messages?dir=b', undefined, forbidden, fine, fine, forbidden],
  ['get', '/initialSync', undefined, forbidden, fine, fine, forbidden],
  ['get', '/event/EVENT', undefined, notFound, fine, fine, notFound],
  ['get', '/context/EVENT', undefined, notFound, fine, fine, notFound],
  ['get', '/aliases', undefined, forbidden, forbidden, forbidden, forbidden],
  ['post', '/invite', { user_id: '@x:test.local' }, forbidden, forbidden, forbidden, forbidden],
  ['post', '/kick', { user_id: '@x:test.local' }, forbidden, forbidden, forbidden, forbidden],
  ['post', '/ban', { user_id: '@x:test.local' }, forbidden, forbidden, forbidden, forbidden],
  ['post', '/unban', { user_id: '@x:test.local' }, forbidden, forbidden, forbidden, forbidden],
  ['post', '/join', {}, forbidden, forbidden, forbidden, notFound],
  ['post', '/upgrade', { new_version: '12' }, forbidden, forbidden, forbidden, forbidden],
  ['post', '/report/EVENT', {}, notFound, notFound, notFound, notFound],
  // Last: what comes before must not find the room forgotten.
  ['post', '/leave', {}, forbidden, fine, forbidden, notFound],
  ['post', '/forget', {}, forbidden, fine, fine, notFound],
]

const expected = ([status, errcode]: Outcome) => (errcode === undefined ? { status } : refused(status, errcode))
const ask = (
  user: Pick<User, 'get' | 'put' | 'post'>,
  method: 'get' | 'put' | 'post',
  path: string,
  body: unknown,
  room = roomId,
) => user[method](at(room, path.replace('EVENT', encodeURIComponent(eventId))), body)

describe.each(operations)('%s /rooms/{roomId}%s', (method, path, body, stranger, left, banned, noRoom) => {
  test('needs a token', async () => {
    expect(await ask(anonymous, method, path, body)).toMatchObject(refused(401, 'M_MISSING_TOKEN'))
    for (const token of ['nonsense', `${host.accessToken}x`]) {
      expect(await ask(clientWith(token), method, path, body)).toMatchObject(refused(401, 'M_UNKNOWN_TOKEN'))
    }
  })

  test('is for those who are, or were, in the room', async () => {
    const outcomes = { stranger, left, banned }
    for (const [name, outcome] of Object.entries(outcomes)) {
      const user = people[name] ?? expect.fail(name)
      expect(await ask(user, method, path, body), name).toMatchObject(expected(outcome))
    }
  })

  test('finds no room where there is none', async () => {
    // Whoever joins a room of another server goes there: no place for a test.
    const elsewhere = path === '/join' ? [] : ['!unknown:elsewhere.example']
    for (const room of ['!unknown:test.local', `!${'A'.repeat(43)}`, ...elsewhere]) {
      expect(await ask(host, method, path, body, room)).toMatchObject(expected(noRoom))
    }
    for (const room of ['room', '#alias:test.local', '!', `!${'x'.repeat(300)}:test.local`]) {
      expect(await ask(host, method, path, body, room)).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    }
  })

  if (method !== 'get') {
    test.each(['{', '[]', 'null', '"text"', '7'])('takes no %s', async (wrong) => {
      const { status, body: answer } = await ask(host, method, path, wrong)
      // `forget` takes no body and reads none.
      if (path === '/forget') expect(status).toBe(400)
      else expect([status, answer['errcode']]).toEqual([400, wrong === '{' ? 'M_NOT_JSON' : 'M_BAD_JSON'])
    })
  }
})

test.each([
  ['/invite', {}, 'M_MISSING_PARAM'],
  ['/invite', { user_id: 7 }, 'M_BAD_JSON'],
  ['/invite', { user_id: 'bob' }, 'M_INVALID_PARAM'],
  ['/invite', { user_id: '@bob:test.local', reason: 7 }, 'M_BAD_JSON'],
  ['/kick', {}, 'M_MISSING_PARAM'],
  ['/kick', { user_id: '@bob' }, 'M_INVALID_PARAM'],
  ['/kick', { user_id: null }, 'M_BAD_JSON'],
  ['/ban', { user_id: ['@bob:test.local'] }, 'M_BAD_JSON'],
  ['/unban', { user_id: '#x:test.local' }, 'M_INVALID_PARAM'],
  ['/leave', { reason: {} }, 'M_BAD_JSON'],
])('POST %s with %j is refused', async (path, body, errcode) => {
  expect(await host.post(at(roomId, path), body)).toMatchObject(refused(400, errcode))
})
