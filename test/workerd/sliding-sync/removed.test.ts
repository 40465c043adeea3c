/** Rooms that somebody kicked or banned the user from. MSC4186: "will always be included in the server list". */
import { beforeEach, describe, expect, test } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { createRoom, invite, join, leave, say, setState, sync } from '../sync/syncing.ts'
import { idsIn, messages, newest, slide, slider } from './sliding.ts'

let alice: User
let user: User
let room: string
let people = 0

beforeEach(async () => {
  people += 1
  ;[alice, user] = [await registerUser(`removed-alice-${people}`), await registerUser(`removed-${people}`)]
  room = await createRoom(alice, { preset: 'public_chat', name: 'The garden' })
})

async function moderate(action: 'kick' | 'ban' | 'unban', target = user): Promise<void> {
  const path = `/rooms/${encodeURIComponent(room)}/${action}`
  expect((await alice.post(path, { user_id: target.userId, reason: 'test' })).status).toBe(200)
}
const listOf = async (more: object = {}) => idsIn(await slide(user, newest(10, more)))

describe.each(['kick', 'ban'] as const)('after a %s', (action) => {
  test('a new client is told, up to that and no further', async () => {
    await join(user, room)
    await say(alice, room, 'last words')
    await moderate(action)
    await say(alice, room, 'now that they are gone')
    await setState(alice, room, 'm.room.name', { name: 'Another name' })
    const answer = await slide(user, newest(10, { required_state: [['m.room.name', '']] }))
    expect(idsIn(answer)).toEqual([room])
    const shown = answer.rooms[room]
    expect(shown).toMatchObject({ initial: true, name: 'The garden' })
    expect(messages(shown)).toEqual(['last words'])
    expect(shown?.timeline?.at(-1)).toMatchObject({ type: 'm.room.member', state_key: user.userId })
    expect(JSON.stringify(answer)).not.toMatch(/gone|Another name/)
  })

  test('a client that was there is told once, and the room stays in its list', async () => {
    await join(user, room)
    const client = slider(user, newest(10))
    await client.next()
    await moderate(action)
    expect((await client.next()).rooms[room]?.timeline?.at(-1)).toMatchObject({ type: 'm.room.member' })
    const later = await client.next()
    expect(later.rooms).toEqual({})
    expect(later.lists?.['rooms']?.count).toBe(1)
    await say(alice, room, 'nothing to them')
    expect((await client.next(20)).rooms).toEqual({})
  })

  test('lists find it by what it was', async () => {
    await join(user, room)
    await moderate(action)
    expect(await listOf({ filters: { not_room_types: ['m.space'], is_invite: false } })).toEqual([room])
    expect(await listOf({ filters: { is_encrypted: true } })).toEqual([])
  })

  test('it is in no list any more once it was forgotten', async () => {
    await join(user, room)
    await moderate(action)
    const client = slider(user, newest(10))
    expect(idsIn(await client.next())).toEqual([room])
    expect((await user.post(`/rooms/${encodeURIComponent(room)}/forget`)).status).toBe(200)
    expect((await client.next()).lists?.['rooms']?.count).toBe(0)
    expect(await listOf()).toEqual([])
    // Nor does it wake, or come again, by the older sync.
    expect((await sync(user)).rooms?.leave).toBeUndefined()
  })
})

describe('not among them is', () => {
  test('a room that the user left', async () => {
    await join(user, room)
    await leave(user, room)
    expect(await listOf()).toEqual([])
  })

  test('a room that the user was banned from without ever having been there', async () => {
    await moderate('ban')
    expect(await listOf()).toEqual([])
  })

  test('a room whose invite was declined or taken back', async () => {
    await invite(alice, room, user)
    await leave(user, room)
    expect(await listOf()).toEqual([])
    await invite(alice, room, user)
    await moderate('kick')
    expect(await listOf()).toEqual([])
  })
})

test('who is unbanned was still removed; who comes back is in the room like anybody', async () => {
  await join(user, room)
  await moderate('ban')
  await moderate('unban')
  expect(await listOf()).toEqual([room])
  await join(user, room)
  await say(alice, room, 'welcome back')
  const answer = await slide(user, newest(10))
  expect(messages(answer.rooms[room])).toEqual(['welcome back'])
  await leave(user, room)
  expect(await listOf()).toEqual([])
})

describe('a room that was forgotten', () => {
  beforeEach(async () => {
    await join(user, room)
    await say(alice, room, 'of old')
    await leave(user, room)
    expect((await user.post(`/rooms/${encodeURIComponent(room)}/forget`)).status).toBe(200)
  })

  test('is like a new one after an invite, and after joining again', async () => {
    const client = slider(user, newest(10))
    expect((await client.next()).rooms).toEqual({})
    await invite(alice, room, user)
    expect((await client.next()).rooms[room]).toMatchObject({ initial: true, invite_state: expect.any(Array) })
    await join(user, room)
    await say(alice, room, 'anew')
    const shown = (await client.next()).rooms[room]
    expect(shown).toMatchObject({ initial: true })
    expect(messages(shown).at(-1)).toBe('anew')
  })

  test('says nothing to who subscribes to it', async () => {
    const answer = await slide(user, {
      room_subscriptions: { [room]: { required_state: [['*', '*']], timeline_limit: 9 } },
    })
    expect(answer.rooms).toEqual({})
  })
})

test('who subscribes to a room that they left sees it as they left it', async () => {
  await join(user, room)
  await say(alice, room, 'to be remembered')
  await leave(user, room)
  await setState(alice, room, 'm.room.name', { name: 'Another name' })
  const config = { required_state: [['m.room.name', '']], timeline_limit: 9 }
  const client = slider(user, { room_subscriptions: { [room]: config } })
  const answer = await client.next()
  expect(answer.rooms[room]).toMatchObject({ name: 'The garden' })
  expect(messages(answer.rooms[room])).toEqual(['to be remembered'])
  expect(JSON.stringify(answer)).not.toContain('Another name')
  await say(alice, room, 'unheard')
  expect((await client.next(20)).rooms).toEqual({})
})

test('who subscribes to rooms that are not theirs, or not there, hears nothing of them', async () => {
  const secret = await createRoom(alice, { preset: 'private_chat', name: 'Secret' })
  const config = { required_state: [['*', '*']], timeline_limit: 9 }
  const subscriptions = { [secret]: config, [room]: config, '!none:test.local': config, '!x:elsewhere.example': config }
  expect((await slide(user, { room_subscriptions: subscriptions })).rooms).toEqual({})
})
