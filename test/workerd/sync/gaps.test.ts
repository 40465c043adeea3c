/** What several things at once between two syncs come to: each client ends with what is so, and was told nothing that is not. */
import { beforeEach, describe, expect, test } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { bodies, createRoom, invite, join, leave, say, setState, sync, type SyncedRoom, types } from './syncing.ts'

let alice: User
let bob: User
let room: string
let people = 0

beforeEach(async () => {
  people += 1
  ;[alice, bob] = [await registerUser(`gaps-alice-${people}`), await registerUser(`gaps-bob-${people}`)]
  room = await createRoom(alice, { preset: 'public_chat', name: 'Before' })
})

const limit = (count: number) => ({ room: { timeline: { limit: count } } })
const sectionsOf = (rooms: object | undefined) =>
  Object.entries(rooms ?? {})
    .filter(([, section]) => room in section)
    .map(([name]) => name)
const nameIn = (list: SyncedRoom['state']) =>
  (list?.events ?? []).filter(({ type }) => type === 'm.room.name').map(({ content }) => content['name'])

describe('with a timeline of one event', () => {
  test('the state is that before it, and the newest of what changed, once', async () => {
    await join(bob, room)
    const { next_batch: since } = await sync(bob)
    await setState(alice, room, 'm.room.name', { name: 'One' })
    await setState(alice, room, 'm.room.topic', { topic: 'x' })
    await setState(alice, room, 'm.room.name', { name: 'Two' })
    await say(alice, room, 'hello')
    const answer = await sync(bob, { since, filter: limit(1) })
    const told = answer.rooms?.join?.[room]
    expect(told?.timeline).toMatchObject({ limited: true })
    expect(bodies(told?.timeline)).toEqual(['hello'])
    expect(types(told?.state).toSorted()).toEqual(['m.room.name|', 'm.room.topic|'])
    expect(nameIn(told?.state)).toEqual(['Two'])
    // What is in the timeline is not in the state before it.
    const other = await setState(alice, room, 'm.room.name', { name: 'Three' })
    const next = (await sync(bob, { since: answer.next_batch, filter: limit(1) })).rooms?.join?.[room]
    expect(next?.timeline?.events.map(({ event_id: id }) => id)).toEqual([other])
    expect(next?.state?.events ?? []).toEqual([])
  })

  test('and state after it, all that changed is in that', async () => {
    await join(bob, room)
    const { next_batch: since } = await sync(bob)
    await say(alice, room, 'hello')
    await setState(alice, room, 'm.room.name', { name: 'After' })
    const asked = { since, filter: limit(1), use_state_after: true }
    const told = (await sync(bob, asked)).rooms?.join?.[room]
    expect(types(told?.timeline)).toEqual(['m.room.name|'])
    expect(nameIn(told?.state_after)).toEqual(['After'])
    expect(told).not.toHaveProperty('state')
  })
})

describe('a user who', () => {
  test('was there, left and was asked back is invited, and nothing else', async () => {
    await join(bob, room)
    const { next_batch: since } = await sync(bob)
    await leave(bob, room)
    await invite(alice, room, bob)
    const { rooms } = await sync(bob, { since })
    expect(sectionsOf(rooms)).toEqual(['invite'])
  })

  test('came and went between two syncs hears that they left', async () => {
    const { next_batch: since } = await sync(bob)
    await join(bob, room)
    await say(alice, room, 'while they were here')
    await leave(bob, room)
    await say(alice, room, 'and not any more')
    const { rooms, next_batch } = await sync(bob, { since })
    expect(sectionsOf(rooms)).toEqual(['leave'])
    expect(bodies(rooms?.leave?.[room]?.timeline)).toEqual(['while they were here'])
    expect((await sync(bob, { since: next_batch })).rooms).toBeUndefined()
  })

  test('was invited and uninvited between two syncs hears at most that it is over', async () => {
    const { next_batch: since } = await sync(bob)
    const secret = await createRoom(alice, { preset: 'private_chat', name: 'Secret' })
    await invite(alice, secret, bob)
    await alice.post(`/rooms/${encodeURIComponent(secret)}/kick`, { user_id: bob.userId })
    await say(alice, secret, 'what they must not hear')
    const answer = await sync(bob, { since })
    expect(JSON.stringify(answer.rooms ?? {})).not.toMatch(/must not hear/)
    expect(Object.keys(answer.rooms?.invite ?? {})).toEqual([])
  })

  test('was kicked and came back is in the room, with all of its state', async () => {
    await join(bob, room)
    const { next_batch: since } = await sync(bob)
    await alice.post(`/rooms/${encodeURIComponent(room)}/kick`, { user_id: bob.userId })
    await setState(alice, room, 'm.room.name', { name: 'Without Bob' })
    await join(bob, room)
    await say(alice, room, 'back')
    const { rooms } = await sync(bob, { since, filter: limit(1) })
    expect(sectionsOf(rooms)).toEqual(['join'])
    expect(nameIn(rooms?.join?.[room]?.state)).toEqual(['Without Bob'])
    expect(types(rooms?.join?.[room]?.state)).toContain('m.room.create|')
  })

  test('knocked and was let in is in the room; one who was turned away has left', async () => {
    const rules = { type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }
    room = await createRoom(alice, { initial_state: [rules] })
    const knock = () => bob.post(`/knock/${encodeURIComponent(room)}`)
    let { next_batch: since } = await sync(bob)
    expect((await knock()).status).toBe(200)
    const knocked = await sync(bob, { since })
    expect(sectionsOf(knocked.rooms)).toEqual(['knock'])
    expect(types(knocked.rooms?.knock?.[room]?.knock_state)).toContain('m.room.join_rules|')
    await alice.post(`/rooms/${encodeURIComponent(room)}/kick`, { user_id: bob.userId })
    const turnedAway = await sync(bob, { since: knocked.next_batch })
    expect(sectionsOf(turnedAway.rooms)).toEqual(['leave'])
    since = turnedAway.next_batch
    await knock()
    await invite(alice, room, bob)
    await join(bob, room)
    expect(sectionsOf((await sync(bob, { since })).rooms)).toEqual(['join'])
  })
})

describe('a room that was left', () => {
  test('shows with include_leave what was seen there, and not what came after; by a ban as well', async () => {
    await join(bob, room)
    await say(alice, room, 'seen')
    await alice.post(`/rooms/${encodeURIComponent(room)}/ban`, { user_id: bob.userId })
    await setState(alice, room, 'm.room.name', { name: 'After' })
    await say(alice, room, 'unseen')
    for (const filter of [{ room: { include_leave: true } }, {}]) {
      const told = (await sync(bob, { filter })).rooms?.leave?.[room]
      expect(bodies(told?.timeline)).toEqual(['seen'])
      expect(JSON.stringify(told)).not.toMatch(/unseen|After/)
    }
  })

  test('is told once, whatever happens there, also with full_state', async () => {
    await join(bob, room)
    const first = await sync(bob)
    await leave(bob, room)
    const { next_batch: since, rooms } = await sync(bob, { since: first.next_batch })
    expect(sectionsOf(rooms)).toEqual(['leave'])
    await say(alice, room, 'on their own')
    await invite(alice, room, await registerUser(`gaps-carol-${people}`))
    expect((await sync(bob, { since })).rooms).toBeUndefined()
    expect(sectionsOf((await sync(bob, { since, full_state: true })).rooms)).toEqual([])
  })
})

test('members who are wanted lazily come again where redundancy is asked for', async () => {
  await join(bob, room)
  const lazy = (more: object) => ({ room: { state: { lazy_load_members: true, ...more }, timeline: { limit: 1 } } })
  await say(alice, room, 'one')
  let { next_batch: since } = await sync(bob, { filter: lazy({}) })
  const membersOf = async (more: object) => {
    await say(alice, room, 'again')
    const answer = await sync(bob, { since, filter: lazy(more) })
    since = answer.next_batch
    return types(answer.rooms?.join?.[room]?.state)
  }
  expect(await membersOf({})).toEqual([])
  expect(await membersOf({ include_redundant_members: true })).toEqual([`m.room.member|${alice.userId}`])
  expect(await membersOf({})).toEqual([])
})

test('one filter for each part: what is left out of the timeline is still in the state', async () => {
  await join(bob, room)
  const { next_batch: since } = await sync(bob)
  await setState(alice, room, 'm.room.name', { name: 'Elsewhere' })
  await say(alice, room, 'hello')
  const room_ = {
    timeline: { not_types: ['m.room.name'] },
    ephemeral: { types: [] },
    account_data: { not_types: ['*'] },
  }
  await bob.put(`/user/${encodeURIComponent(bob.userId)}/rooms/${encodeURIComponent(room)}/account_data/x`, { n: 1 })
  const told = (await sync(bob, { since, filter: { room: room_ } })).rooms?.join?.[room]
  expect(types(told?.timeline)).toEqual(['m.room.message'])
  expect(nameIn(told?.state)).toEqual(['Elsewhere'])
  expect(told?.account_data?.events ?? []).toEqual([])
  const bySender = { room: { timeline: { not_senders: [alice.userId] }, state: { types: [] } } }
  expect((await sync(bob, { since, filter: bySender })).rooms?.join?.[room]?.timeline?.events ?? []).toEqual([])
})

test('an event with a URL is one with a text there', async () => {
  await join(bob, room)
  const { next_batch: since } = await sync(bob)
  const send = async (content: object) => {
    const path = `/rooms/${encodeURIComponent(room)}/send/m.room.message/u${JSON.stringify(content).length}`
    expect((await alice.put(path, content)).status).toBe(200)
  }
  await send({ msgtype: 'm.image', body: 'with', url: 'mxc://test.local/a' })
  await send({ msgtype: 'm.image', body: 'wrong one', url: { no: 'text' } })
  await send({ msgtype: 'm.text', body: 'without' })
  const told = async (contains_url: boolean) =>
    bodies((await sync(bob, { since, filter: { room: { timeline: { contains_url } } } })).rooms?.join?.[room]?.timeline)
  expect(await told(true)).toEqual(['with'])
  expect(await told(false)).toEqual(['wrong one', 'without'])
})
