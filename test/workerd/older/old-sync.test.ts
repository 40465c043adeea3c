/** The stream as it was before `/sync`. Spec: client-server-api/#get_matrixclientv3initialsync, #get_matrixclientv3events. */
import { beforeAll, describe, expect, test } from 'vitest'

import { anonymous, clientWith, registerUser, type User } from '../client.ts'
import { at, type ClientEvent, createRoom, invite, join, ok, refused, say, setState } from '../rooms/rooms.ts'

interface OldRoom {
  readonly room_id: string
  readonly membership: string
  readonly inviter?: string
  readonly invite?: ClientEvent
  readonly messages?: { readonly start?: string; readonly end: string; readonly chunk: ClientEvent[] }
  readonly state?: ClientEvent[]
}
interface OldSync {
  readonly end: string
  readonly rooms: OldRoom[]
}
interface Stream {
  readonly start: string
  readonly end: string
  readonly chunk: ClientEvent[]
}

let alice: User
let bob: User
beforeAll(async () => {
  alice = await registerUser('older-alice')
  bob = await registerUser('older-bob')
})

test('everything at once, then the news', async () => {
  const roomId = await createRoom(alice, { name: 'Old room', preset: 'public_chat' })
  for (const text of ['one', 'two', 'three']) await say(alice, roomId, text)
  const left = await createRoom(alice, { preset: 'public_chat' })
  await join(bob, left)
  await ok(bob.post(at(left, '/leave')))
  await join(bob, roomId)
  const invited = await createRoom(alice)
  await invite(alice, invited, bob)

  const first = await ok(bob.get<OldSync>('/initialSync?limit=2'))
  expect(Object.fromEntries(first.rooms.map(({ room_id, membership }) => [room_id, membership]))).toEqual({
    [roomId]: 'join',
    [invited]: 'invite',
  })
  const room = first.rooms.find(({ room_id }) => room_id === roomId) ?? expect.fail()
  expect(room.messages?.chunk.map(({ type }) => type)).toEqual(['m.room.message', 'm.room.member'])
  expect(room.messages?.chunk.every(({ room_id }) => room_id === roomId)).toBe(true)
  expect(room.state?.find(({ type }) => type === 'm.room.name')?.content).toEqual({ name: 'Old room' })
  expect(first.rooms.find(({ room_id }) => room_id === invited)).toMatchObject({
    inviter: alice.userId,
    invite: { type: 'm.room.member', state_key: bob.userId },
  })
  const earlier = await ok(
    bob.get<{ chunk: ClientEvent[] }>(at(roomId, `/messages?dir=b&limit=1&from=${room.messages?.start ?? ''}`)),
  )
  expect(earlier.chunk[0]?.content['body']).toBe('two')
  const archived = await ok(bob.get<OldSync>('/initialSync?archived=true'))
  expect(archived.rooms.find(({ room_id }) => room_id === left)?.membership).toBe('leave')

  const waiting = bob.get<Stream>(`/events?from=${first.end}&timeout=20000`)
  const said = await say(alice, roomId, 'news')
  const { body } = await waiting
  expect(body.start).toBe(first.end)
  expect(body.chunk.find(({ event_id }) => event_id === said)).toMatchObject({
    room_id: roomId,
    content: { body: 'news' },
  })
  expect((await ok(bob.get<Stream>(`/events?from=${body.end}&timeout=0`))).chunk).toEqual([])
  expect((await ok(bob.get<Stream>('/events?timeout=0'))).chunk).toEqual([])
})

test('one room, also for those who only look', async () => {
  const roomId = await createRoom(alice, { preset: 'public_chat' })
  await setState(alice, roomId, 'm.room.history_visibility', { history_visibility: 'world_readable' })
  const other = await createRoom(bob)
  const path = `/events?room_id=${encodeURIComponent(roomId)}&timeout=5000`
  const begin = await ok(bob.get<Stream>(path.replace('5000', '0')))
  expect(begin.chunk).toEqual([])
  const waiting = bob.get<Stream>(`${path}&from=${begin.end}`)
  await say(bob, other, 'elsewhere')
  const said = await say(alice, roomId, 'look')
  const { body } = await waiting
  expect(body.chunk.map(({ event_id }) => event_id)).toEqual([said])
  const again = await ok(bob.get<Stream>(`${path.replace('5000', '0')}&from=${body.end}`))
  expect(again.chunk).toEqual([])
  const secret = await createRoom(alice)
  for (const id of [secret, '!unknown:test.local']) {
    expect(await bob.get(`/events?room_id=${encodeURIComponent(id)}`)).toMatchObject(refused(403, 'M_FORBIDDEN'))
  }
  await join(bob, roomId)
  const joined = await ok(bob.get<Stream>(path.replace('5000', '0')))
  const more = await say(alice, roomId, 'hello bob')
  const next = await ok(bob.get<Stream>(`${path}&from=${joined.end}`))
  expect(next.chunk.map(({ event_id }) => event_id)).toEqual([more])
})

test('an event by its ID alone', async () => {
  const [mine, secret] = [await createRoom(alice), await createRoom(bob)]
  const [seen, hidden] = [await say(alice, mine, 'seen'), await say(bob, secret, 'hidden')]
  const path = (id: string) => `/events/${encodeURIComponent(id)}`
  expect((await alice.get(path(seen))).body).toMatchObject({ event_id: seen, room_id: mine, content: { body: 'seen' } })
  for (const id of [hidden, '$unknown']) {
    expect(await alice.get(path(id))).toMatchObject(refused(404, 'M_NOT_FOUND'))
  }
})

test('sending without a transaction', async () => {
  const roomId = await createRoom(alice)
  const path = at(roomId, '/send/m.room.message')
  const send = () => ok(alice.post<{ event_id: string }>(path, { msgtype: 'm.text', body: 'again' }))
  const [one, other] = [await send(), await send()]
  expect(one.event_id).not.toBe(other.event_id)
  expect(await bob.post(path, {})).toMatchObject(refused(403, 'M_FORBIDDEN'))
  expect(await anonymous.post(path, {})).toMatchObject(refused(401, 'M_MISSING_TOKEN'))
  expect(await alice.post(path, '[]')).toMatchObject(refused(400, 'M_BAD_JSON'))
})

describe('bad requests', () => {
  test.each(['/initialSync', '/events', '/events/%24x', '/events?room_id=!x'])('%s needs a token', async (path) => {
    expect(await anonymous.get(path)).toMatchObject(refused(401, 'M_MISSING_TOKEN'))
    expect(await clientWith('x').get(path)).toMatchObject(refused(401, 'M_UNKNOWN_TOKEN'))
  })

  test.each([
    '/initialSync?limit=x',
    '/initialSync?archived=maybe',
    '/events?timeout=x',
    '/events?room_id=x',
    '/events/x',
  ])('%s', async (path) => {
    expect(await alice.get(path)).toMatchObject(refused(400, 'M_INVALID_PARAM'))
  })

  test('guests watch a room they name', async () => {
    const { body } = await anonymous.post<{ access_token: string }>('/register?kind=guest')
    const guest = clientWith(body.access_token)
    expect(await guest.get('/events')).toMatchObject(refused(403, 'M_GUEST_ACCESS_FORBIDDEN'))
    expect(await guest.get('/initialSync')).toMatchObject(refused(403, 'M_GUEST_ACCESS_FORBIDDEN'))
  })
})
