/** Receipts, read markers and typing, as sync tells of them. */
import { beforeAll, describe, expect, test } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { aMoment, createRoom, join, long, say, sync, type SyncBody } from './syncing.ts'

let alice: User
let bob: User
let eve: User
let room: string
let path: string

beforeAll(async () => {
  alice = await registerUser('ephemeral-alice')
  bob = await registerUser('ephemeral-bob')
  eve = await registerUser('ephemeral-eve')
  room = await createRoom(alice, { preset: 'public_chat' })
  path = `/rooms/${encodeURIComponent(room)}`
  await join(bob, room)
})

const since = async (user: User) => (await sync(user)).next_batch
const ephemeral = (answer: SyncBody, type: string) =>
  (answer.rooms?.join?.[room]?.ephemeral?.events ?? []).filter((event) => event.type === type)
const receipts = (answer: SyncBody) => ephemeral(answer, 'm.receipt').map(({ content }) => content)
const typingUsers = (answer: SyncBody) => ephemeral(answer, 'm.typing').map(({ content }) => content['user_ids'])
const typing = (user: User, body: object, as = user) =>
  user.put(`${path}/typing/${encodeURIComponent(as.userId)}`, body)

describe('a receipt', () => {
  test('is told to everybody in the room, and to new clients', async () => {
    const event = await say(alice, room, 'read this')
    const before = await since(alice)
    expect(await bob.post(`${path}/receipt/m.read/${event}`)).toMatchObject({ status: 200, body: {} })
    const told = { [event]: { 'm.read': { [bob.userId]: { ts: expect.any(Number) } } } }
    expect(receipts(await sync(alice, { since: before }))).toEqual([told])
    expect(receipts(await sync(alice))).toMatchObject([told])
    expect(ephemeral(await sync(alice, { since: before }), 'm.receipt')[0]).not.toHaveProperty('room_id')
  })

  test('that is private is told to its owner only', async () => {
    const event = await say(alice, room, 'secretly')
    const [ofAlice, ofBob] = [await since(alice), await since(bob)]
    await bob.post(`${path}/receipt/m.read.private/${event}`)
    expect(await sync(alice, { since: ofAlice })).not.toHaveProperty('rooms')
    expect(receipts(await sync(bob, { since: ofBob }))).toMatchObject([{ [event]: { 'm.read.private': {} } }])
    expect(JSON.stringify(receipts(await sync(alice)))).not.toContain('m.read.private')
  })

  test('is refused for unknown types, threads without a name, and events not in the room', async () => {
    const event = await say(alice, room, 'x')
    const refused = { status: 400, body: { errcode: 'M_INVALID_PARAM' } }
    expect(await bob.post(`${path}/receipt/m.seen/${event}`)).toMatchObject(refused)
    for (const thread_id of ['', 5, null, {}]) {
      expect(await bob.post(`${path}/receipt/m.read/${event}`, { thread_id })).toMatchObject(refused)
    }
    expect(await bob.post(`${path}/receipt/m.fully_read/${event}`, { thread_id: 'main' })).toMatchObject(refused)
    const other = await say(eve, await createRoom(eve), 'elsewhere')
    expect((await bob.post(`${path}/receipt/m.read/${other}`)).status).toBeGreaterThanOrEqual(400)
    expect((await eve.post(`${path}/receipt/m.read/${event}`)).status).toBe(403)
  })
})

describe('the fully read marker', () => {
  test('is set with receipts, and comes as account data to its owner', async () => {
    const event = await say(alice, room, 'so far')
    const [ofAlice, ofBob] = [await since(alice), await since(bob)]
    const body = { 'm.fully_read': event, 'm.read': event }
    expect(await bob.post(`${path}/read_markers`, body)).toMatchObject({ status: 200, body: {} })
    const answer = await sync(bob, { since: ofBob })
    expect(answer.rooms?.join?.[room]?.account_data?.events).toEqual([
      { type: 'm.fully_read', content: { event_id: event } },
    ])
    expect(receipts(await sync(alice, { since: ofAlice }))).toMatchObject([{ [event]: { 'm.read': {} } }])
  })

  test('moves forward, and back only where that is what its owner wants', async () => {
    const [first, second, third] = [
      await say(alice, room, '1'),
      await say(alice, room, '2'),
      await say(alice, room, '3'),
    ]
    const data = `/user/${encodeURIComponent(bob.userId)}${path}/account_data/m.fully_read`
    const standing = async () => (await bob.get(data)).body['event_id']
    const back = { 'com.beeper.allow_backward': true }
    const set = (event: string, more = {}) => bob.post(`${path}/read_markers`, { 'm.fully_read': event, ...more })
    await set(second)
    expect((await set(first)).status).toBe(200)
    expect(await standing()).toBe(second)
    const ofBob = await since(bob)
    await set(second)
    expect(await sync(bob, { since: ofBob })).not.toHaveProperty('rooms')
    expect((await set(first, { ...back, 'm.read': third })).status).toBe(200)
    expect(await standing()).toBe(first)
    await set(third)
    // As a receipt the same; receipts themselves never move back.
    expect((await bob.post(`${path}/receipt/m.fully_read/${second}`)).status).toBe(200)
    expect(await standing()).toBe(third)
    expect((await bob.post(`${path}/receipt/m.fully_read/${second}`, back)).status).toBe(200)
    expect(await standing()).toBe(second)
    const refused = { status: 400, body: { errcode: 'M_INVALID_PARAM' } }
    expect(await bob.post(`${path}/receipt/m.read/${first}`, back)).toMatchObject(refused)
    const odd = { 'com.beeper.allow_backward': 'yes' }
    expect(await bob.post(`${path}/receipt/m.fully_read/${first}`, odd)).toMatchObject(refused)
    expect((await set(first, odd)).status).toBe(400)
    expect(await standing()).toBe(second)
  })

  test('can be set as a receipt, only to an event that its owner can see', async () => {
    const event = await say(alice, room, 'and here')
    expect((await bob.post(`${path}/receipt/m.fully_read/${event}`)).status).toBe(200)
    const data = `/user/${encodeURIComponent(bob.userId)}${path}/account_data/m.fully_read`
    expect((await bob.get(data)).body).toEqual({ event_id: event })
    const hidden = await say(eve, await createRoom(eve), 'elsewhere')
    expect((await bob.post(`${path}/read_markers`, { 'm.fully_read': hidden })).status).toBe(404)
    expect((await bob.post(`${path}/read_markers`, { 'm.fully_read': 'nonsense' })).status).toBe(400)
    expect((await bob.get(data)).body).toEqual({ event_id: event })
  })
})

describe('typing', () => {
  test('is told while it lasts, and that it ended', async () => {
    const waiting = sync(bob, { since: await since(bob), timeout: long })
    await aMoment()
    expect(await typing(alice, { typing: true, timeout: 30_000 })).toMatchObject({ status: 200, body: {} })
    const started = await waiting
    expect(typingUsers(started)).toEqual([[alice.userId]])
    expect(typingUsers(await sync(bob))).toEqual([[alice.userId]])
    expect(await sync(bob, { since: started.next_batch })).not.toHaveProperty('rooms')
    await typing(alice, { typing: false })
    expect(typingUsers(await sync(bob, { since: started.next_batch }))).toEqual([[]])
  })

  test('ends by itself', async () => {
    const before = await since(bob)
    await typing(alice, { typing: true, timeout: 1 })
    const started = await sync(bob, { since: before })
    expect(typingUsers(started)).toEqual([[alice.userId]])
    expect(typingUsers(await sync(bob, { since: started.next_batch, timeout: long }))).toEqual([[]])
  })

  test('is refused to those outside, for others, and in other forms', async () => {
    expect((await typing(eve, { typing: true })).status).toBe(403)
    expect((await typing(bob, { typing: true }, alice)).status).toBe(403)
    for (const body of [{}, { typing: 'yes' }, { typing: true, timeout: -1 }, { typing: true, timeout: 'long' }]) {
      expect((await typing(bob, body)).status).toBe(400)
    }
  })
})
