/** The threads of a room. Spec: #querying-threads-in-a-room. */
import { beforeAll, expect, test } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { at, createRoom, join, ok, refused, say } from '../rooms/rooms.ts'
import { ids, ignore, redact, relate, type Related, relationsOf } from './relating.ts'

let alice: User
let bob: User

beforeAll(async () => {
  alice = await registerUser('threading-alice')
  bob = await registerUser('threading-bob')
})

async function publicRoom(): Promise<string> {
  const roomId = await createRoom(alice, { preset: 'public_chat' })
  await join(bob, roomId)
  return roomId
}

const path = (roomId: string, query = '') => `/_matrix/client/v1${at(roomId, `/threads${query}`)}`
const threads = (user: User, roomId: string, query = '') => ok(user.get<Related>(path(roomId, query)))

async function thread(user: User, roomId: string): Promise<string> {
  const root = await say(user, roomId, 'root')
  await relate(user, roomId, root, 'm.thread')
  return root
}

test('threads are listed by their latest event, with what there is of them', async () => {
  const roomId = await publicRoom()
  const [first, second] = [await thread(alice, roomId), await thread(alice, roomId)]
  await say(alice, roomId, 'no thread')
  expect(ids(await threads(bob, roomId))).toEqual([second, first])
  const latest = await relate(bob, roomId, first, 'm.thread')
  const list = await threads(bob, roomId)
  expect(ids(list)).toEqual([first, second])
  expect(relationsOf(list.chunk[0])).toMatchObject({
    'm.thread': { latest_event: { event_id: latest }, count: 2, current_user_participated: true },
  })
  expect(list).not.toHaveProperty('next_batch')
})

test('those one took part in are told apart', async () => {
  const roomId = await publicRoom()
  const [others, mine, joined] = [await thread(alice, roomId), await thread(bob, roomId), await thread(alice, roomId)]
  await relate(bob, roomId, joined, 'm.thread')
  await relate(alice, roomId, joined, 'm.thread')
  expect(ids(await threads(bob, roomId, '?include=participated'))).toEqual([joined, mine])
  expect(ids(await threads(bob, roomId, '?include=all'))).toEqual([joined, mine, others])
})

test('the list is paged through without losing or repeating a thread', async () => {
  const roomId = await publicRoom()
  const roots: string[] = []
  for (let i = 0; i < 5; i++) roots.push(await thread(alice, roomId))
  for (const root of roots) await relate(bob, roomId, root, 'm.thread')
  const seen: string[] = []
  let query = '?limit=2'
  for (let pages = 0; pages < 10; pages++) {
    const page = await threads(alice, roomId, query)
    expect(page.chunk.length).toBeLessThanOrEqual(2)
    seen.push(...ids(page))
    if (page.next_batch === undefined) break
    query = `?limit=2&from=${encodeURIComponent(page.next_batch)}`
  }
  expect(seen).toEqual(roots.toReversed())
})

test('a thread ends when all in it is redacted', async () => {
  const roomId = await publicRoom()
  const root = await say(alice, roomId, 'root')
  const [one, two] = [await relate(bob, roomId, root, 'm.thread'), await relate(bob, roomId, root, 'm.thread')]
  await redact(alice, roomId, two)
  expect(relationsOf((await threads(alice, roomId)).chunk[0])).toMatchObject({
    'm.thread': { latest_event: { event_id: one }, count: 1 },
  })
  await redact(alice, roomId, one)
  expect(ids(await threads(alice, roomId))).toEqual([])
})

test('what happened after one left neither shows nor moves a thread', async () => {
  const roomId = await publicRoom()
  const [first, second] = [await thread(alice, roomId), await thread(alice, roomId)]
  await ok(bob.post(at(roomId, '/leave')))
  await relate(alice, roomId, first, 'm.thread')
  await thread(alice, roomId)
  expect(ids(await threads(bob, roomId))).toEqual([second, first])
})

test('roots by ignored users come without content, threads of ignored users alone not at all', async () => {
  const roomId = await publicRoom()
  const carol = await registerUser('threading-carol')
  await join(carol, roomId)
  const root = await say(bob, roomId, 'root')
  await relate(alice, roomId, root, 'm.thread')
  await thread(bob, roomId)
  await ignore(carol, bob)
  expect((await threads(carol, roomId)).chunk).toMatchObject([{ event_id: root, content: {} }])
})

test('events that relate to others are no roots, and unknown ones neither', async () => {
  const roomId = await publicRoom()
  const root = await say(alice, roomId, 'root')
  const reference = await relate(alice, roomId, root, 'm.reference')
  const relation = { 'm.relates_to': { rel_type: 'm.thread', event_id: reference } }
  expect(await alice.put(at(roomId, '/send/m.room.message/t'), relation)).toMatchObject(refused(400, 'M_UNKNOWN'))
  await relate(alice, roomId, '$unknown', 'm.thread')
  expect(ids(await threads(alice, roomId))).toEqual([])
})

test('outsiders and nonsense are refused', async () => {
  const roomId = await createRoom(alice)
  expect(await bob.get(path(roomId))).toMatchObject(refused(403, 'M_FORBIDDEN'))
  expect(await bob.get(path('!nowhere:test.local'))).toMatchObject(refused(403, 'M_FORBIDDEN'))
  for (const query of ['?limit=0', '?limit=x', '?include=mine', '?from=nonsense']) {
    expect(await alice.get(path(roomId, query))).toMatchObject(refused(400, 'M_INVALID_PARAM'))
  }
})
