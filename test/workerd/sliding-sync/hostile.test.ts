/** Requests that nobody should send: refused with a reason, or answered with no more than anybody may have. */
import { beforeAll, expect, test } from 'vitest'

import { anonymous, registerUser, type User } from '../client.ts'
import { createRoom } from '../sync/syncing.ts'
import { newest, path, slide, trySlide } from './sliding.ts'

let alice: User
let room: string
beforeAll(async () => {
  alice = await registerUser('slide-hostile')
  room = await createRoom(alice)
})

const many = (count: number, make: (n: number) => unknown) =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`k${n}`, make(n)]))
const list = { ranges: [[0, 1]], required_state: [], timeline_limit: 1 }
const long = 'x'.repeat(300)

const refused: readonly (readonly [name: string, body: object])[] = [
  ['a body that is a list', []],
  ['lists that are a list', { lists: [list] }],
  ['too many lists', { lists: many(101, () => list) }],
  ['a long list name', { lists: { [long]: list } }],
  ['a range backwards', { lists: { a: { ...list, ranges: [[5, 1]] } } }],
  ['a range of three', { lists: { a: { ...list, ranges: [[0, 1, 2]] } } }],
  ['a negative range', { lists: { a: { ...list, ranges: [[-1, 2]] } } }],
  ['half a room', { lists: { a: { ...list, ranges: [[0, 1.5]] } } }],
  ['too many ranges', { lists: { a: { ...list, ranges: Array.from({ length: 51 }, () => [0, 1]) } } }],
  ['a timeline limit that is text', { lists: { a: { ...list, timeline_limit: '5' } } }],
  ['a timeline limit beyond bounds', { lists: { a: { ...list, timeline_limit: 1001 } } }],
  ['a negative timeline limit', { lists: { a: { ...list, timeline_limit: -1 } } }],
  ['required state of one', { lists: { a: { ...list, required_state: [['m.room.name']] } } }],
  ['required state that is no text', { lists: { a: { ...list, required_state: [['m.room.name', 5]] } } }],
  [
    'too much required state',
    { lists: { a: { ...list, required_state: Array.from({ length: 301 }, () => ['a', 'b']) } } },
  ],
  ['too many subscriptions', { room_subscriptions: many(501, () => list) }],
  ['a filter of the wrong type', { lists: { a: { ...list, filters: { is_dm: 'yes' } } } }],
  ['a connection ID that is long', { conn_id: long }],
  ['a connection ID that is a number', { conn_id: 5 }],
  ['an extension of the wrong type', { extensions: { typing: true } }],
  ['a scope of the wrong type', { extensions: { typing: { enabled: true, lists: 'rooms' } } }],
]

test.each(refused)('%s is refused', async (_name, body) => {
  const { status, body: answer } = await trySlide(alice, body)
  expect({ status, answer }).toMatchObject({ status: 400, answer: { errcode: expect.stringMatching(/^M_/) } })
})

test('a parameter that is none is refused', async () => {
  for (const query of ['timeout=-1', 'timeout=soon', 'set_presence=gone']) {
    expect((await alice.post(`${path}?${query}`, {})).status).toBe(400)
  }
})

test('nobody without an access token is answered', async () => {
  expect((await anonymous.post(path, newest(5))).status).toBe(401)
})

test('names that objects have by nature do no harm', async () => {
  const lists = JSON.parse(`{"__proto__": ${JSON.stringify(list)}, "toString": ${JSON.stringify(list)}}`)
  const answer = await slide(alice, { lists, room_subscriptions: { toString: list, constructor: list } })
  expect(answer.lists).toMatchObject({ toString: { count: 1 } })
  expect(Object.keys(answer.rooms)).toEqual([room])
})

test('a request too large for a URL is answered like others, and waits like them', async () => {
  const body = {
    ...newest(5),
    room_subscriptions: many(200, () => ({ ...list, required_state: [['m.room.name', long.slice(0, 200)]] })),
  }
  const first = await slide(alice, body)
  expect(Object.keys(first.rooms)).toEqual([room])
  const idle = await slide(alice, body, { pos: first.pos, timeout: 30 })
  expect(idle).toMatchObject({ pos: first.pos, rooms: {}, lists: { rooms: { count: 1 } } })
})

test('everything at once is bounded by what the user has', async () => {
  const body = {
    lists: { all: { ranges: [[0, 9_007_199_254_740_991]], required_state: [['*', '*']], timeline_limit: 1000 } },
    room_subscriptions: { '': list, '!': list, '!unknown:test.local': list },
  }
  expect(Object.keys((await slide(alice, body)).rooms)).toEqual([room])
})
