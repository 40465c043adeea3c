/** Members of other servers are found by words of their names, for as many rows as are found. */
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { expect, test } from 'vitest'

import { findMembers } from '../../../durable-objects/room/member-names.ts'
import type { Room } from '../../../durable-objects/room/room.ts'
import { begin, receive, roomWithMallory } from '../room-read/random-room.ts'
import { fillWithMembers } from './large-room.ts'
import { makeRoom, mallory, withRoom } from './rooms.ts'
import { countRows } from './row-count.ts'

const ids = (room: Room, ...words: string[]): UserId[] => findMembers(room, words, 50).map(({ userId }) => userId)

test('all are taken up once, some at a time; then a search reads what it finds', async () => {
  await withRoom(await makeRoom(), (room) => {
    fillWithMembers(room, 4500)
    const first = countRows(room.reader, () => ids(room, 'name4321'))
    // Two thousand are read in a search, from the state and from the events, however many there are.
    expect(first.read).toBeLessThan(9000)
    expect(first.written).toBeLessThan(2100)
    ids(room, 'name4321')
    expect(ids(room, 'name4321')).toEqual(['@member4321:elsewhere2.example'])
    room.reader.forget()
    const later = countRows(room.reader, () => expect(ids(room, 'unal', 'name4321')).toHaveLength(1))
    expect(later).toEqual({ read: expect.any(Number), written: 0 })
    expect(later.read).toBeLessThan(10)
    expect(ids(room, 'example')).toHaveLength(50)
    expect(ids(room, 'ame4321')).toEqual([])
  })
})

test('who comes, goes or is called otherwise is found as they are now', async () => {
  await withRoom(await roomWithMallory(), (room) => {
    expect(ids(room, 'mallory')).toEqual([])
    begin(room)
    expect(ids(room, 'mallory')).toEqual([mallory])
    const set = (content: { membership: string; displayname?: string }) => {
      const prev = room.reader.events(room.reader.header().extremities)
      receive(room, { type: 'm.room.member', stateKey: mallory, content, prev })
    }
    set({ membership: 'join', displayname: 'Trudy' })
    expect(ids(room, 'trudy', 'mallory')).toEqual([mallory])
    set({ membership: 'join', displayname: 'Eve' })
    expect(ids(room, 'trudy')).toEqual([])
    expect(ids(room, 'eve')).toEqual([mallory])
    set({ membership: 'leave' })
    expect(ids(room, 'mallory')).toEqual([])
  })
})
