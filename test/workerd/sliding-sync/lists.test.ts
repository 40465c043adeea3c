/** Lists: filters, windows, order. */
import { beforeAll, describe, expect, test } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { createRoom, invite, join, say, setState } from '../sync/syncing.ts'
import { idsIn, newest, slide, slider } from './sliding.ts'

let alice: User
let bob: User
let rooms: Record<'plain' | 'secret' | 'direct' | 'space' | 'child' | 'invite', string>

beforeAll(async () => {
  alice = await registerUser('lists-alice')
  bob = await registerUser('lists-bob')
  const encryption = { type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }
  rooms = {
    plain: await createRoom(alice, { name: 'Plain Room' }),
    secret: await createRoom(alice, { name: 'Secret', initial_state: [encryption] }),
    direct: await createRoom(alice, { is_direct: true }),
    space: await createRoom(alice, { name: 'Space', creation_content: { type: 'm.space' } }),
    child: await createRoom(alice, { name: 'child' }),
    invite: await createRoom(bob, { name: 'invitation' }),
  }
  await setState(alice, rooms.space, 'm.space.child', { via: ['test.local'] }, rooms.child)
  await invite(bob, rooms.invite, alice)
  const data = `/user/${encodeURIComponent(alice.userId)}`
  await alice.put(`${data}/account_data/m.direct`, { [bob.userId]: [rooms.direct], broken: 'x', '@x:y': [1, null] })
  await alice.put(`${data}/rooms/${encodeURIComponent(rooms.plain)}/tags/m.favourite`, { order: 0.5 })
  await alice.put(`${data}/rooms/${encodeURIComponent(rooms.child)}/tags/m.lowpriority`, {})
})

describe('filters', () => {
  const cases: readonly (readonly [object, readonly (keyof typeof rooms)[]])[] = [
    [{}, ['plain', 'secret', 'direct', 'space', 'child', 'invite']],
    [{ is_dm: true }, ['direct']],
    [{ is_dm: false }, ['plain', 'secret', 'space', 'child', 'invite']],
    [{ is_encrypted: true }, ['secret']],
    [{ is_encrypted: false }, ['plain', 'direct', 'space', 'child', 'invite']],
    [{ is_invite: true }, ['invite']],
    [{ is_invite: false }, ['plain', 'secret', 'direct', 'space', 'child']],
    [{ room_types: ['m.space'] }, ['space']],
    [{ room_types: [null] }, ['plain', 'secret', 'direct', 'child', 'invite']],
    [{ room_types: ['m.space', null], not_room_types: [null] }, ['space']],
    [{ not_room_types: ['m.space'] }, ['plain', 'secret', 'direct', 'child', 'invite']],
    [{ room_name_like: 'LAIN r' }, ['plain']],
    [{ room_name_like: 'invitat' }, ['invite']],
    [{ tags: ['m.favourite', 'm.none'] }, ['plain']],
    [{ not_tags: ['m.favourite'] }, ['secret', 'direct', 'space', 'child', 'invite']],
    [{ tags: ['m.favourite', 'm.lowpriority'], not_tags: ['m.favourite'] }, ['child']],
    [{ spaces: ['$SPACE'] }, ['child']],
    [{ spaces: ['!unknown:test.local'] }, []],
    [
      { is_dm: null, spaces: null, is_invite: false, is_encrypted: false, room_types: [null] },
      ['plain', 'direct', 'child'],
    ],
  ]
  test.each(cases)('%j', async (filters, expected) => {
    const text = JSON.stringify(filters).replace('$SPACE', rooms.space)
    const answer = await slide(alice, newest(50, { filters: JSON.parse(text), timeline_limit: 0 }))
    expect(idsIn(answer).toSorted()).toEqual(expected.map((name) => rooms[name]).toSorted())
    expect(answer.lists?.['rooms']?.count).toBe(expected.length)
  })

  test('a direct room says that it is one', async () => {
    const answer = await slide(alice, newest(50, { filters: { is_dm: true } }))
    expect(answer.rooms[rooms.direct]).toMatchObject({ is_dm: true })
    const others = await slide(alice, newest(50, { filters: { is_dm: false } }))
    expect(Object.values(others.rooms).some((room) => 'is_dm' in room)).toBe(false)
  })

  test('follow what changes: a room that becomes encrypted, a tag that is set', async () => {
    const user = await registerUser('lists-changing')
    const its = await createRoom(user)
    const list = (filters: object) => ({ ranges: [[0, 5]], required_state: [], timeline_limit: 1, filters })
    const client = slider(user, { lists: { secret: list({ is_encrypted: true }), tagged: list({ tags: ['u.x'] }) } })
    expect((await client.next()).rooms).toEqual({})
    await setState(user, its, 'm.room.encryption', { algorithm: 'm.megolm.v1.aes-sha2' })
    const encrypted = await client.next()
    expect(idsIn(encrypted, 'secret')).toEqual([its])
    expect(encrypted.rooms[its]).toMatchObject({ initial: true })
    await user.put(`/user/${encodeURIComponent(user.userId)}/rooms/${encodeURIComponent(its)}/tags/u.x`, {})
    await say(user, its, 'to see it')
    expect((await client.next()).lists).toMatchObject({ secret: { count: 1 }, tagged: { count: 1 } })
  })
})

describe('windows', () => {
  test('several ranges show several parts of the list; one beyond its end shows nothing', async () => {
    const user = await registerUser('lists-windows')
    const made: string[] = []
    for (let n = 0; n < 6; n++) made.push(await createRoom(user, { preset: 'public_chat' }))
    const newestFirst = made.toReversed()
    const ranges = [
      [0, 0],
      [2, 3],
      [10, 20],
    ]
    const answer = await slide(user, { lists: { rooms: { ranges, required_state: [], timeline_limit: 0 } } })
    expect(answer.lists?.['rooms']?.ops.map(({ room_ids: ids }) => ids)).toEqual([
      [newestFirst[0]],
      [newestFirst[2], newestFirst[3]],
      [],
    ])
    expect(Object.keys(answer.rooms)).toHaveLength(3)
    const all = await slide(user, {
      lists: { rooms: { slow_get_all_rooms: true, required_state: [], timeline_limit: 0 } },
    })
    expect(Object.keys(all.rooms)).toHaveLength(6)
  })

  test('what does not bump does not move a room', async () => {
    const user = await registerUser('lists-order')
    const [below, above] = [await createRoom(user, { preset: 'public_chat' }), await createRoom(user)]
    const client = slider(user, newest(5))
    expect(idsIn(await client.next())).toEqual([above, below])
    await setState(user, below, 'm.room.topic', { topic: 'no activity' })
    await join(bob, below)
    expect(idsIn(await client.next())).toEqual([above, below])
    await say(user, below, 'activity')
    expect(idsIn(await client.next())).toEqual([below, above])
  })
})
