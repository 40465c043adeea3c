/** Members of other servers are found by words of their names, for as many rows as are found. */
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { expect, test } from 'vitest'

import { findMembers } from '../../../durable-objects/room/member-names.ts'
import type { Room } from '../../../durable-objects/room/room.ts'
import { begin, receive, roomWithMallory } from '../room-read/random-room.ts'
import { makeRoom, mallory, withRoom } from './rooms.ts'
import { countRows } from './row-count.ts'

/** Members who came with our join, so to say: rows as they would be. */
function fill({ reader }: Room, count: number): void {
  const copy = `INSERT INTO events(event_id, type, state_key, sender, depth, origin_server_ts, outcome, auth, json)
    SELECT '$member' || ?1, type, ?2, ?2, 1, 1, 3, auth,
      json_set(json, '$.state_key', ?2, '$.sender', ?2, '$.content.displayname', ?3) FROM events WHERE type = 'm.room.member' LIMIT 1`
  for (let n = 0; n < count; n++) {
    const user = `@member${n}:elsewhere.example`
    reader.sql.exec(copy, n, user, `Name${n} Ünal`)
    const place =
      "INSERT INTO current_state(type, state_key, event_nid, membership) VALUES ('m.room.member', ?, last_insert_rowid(), 'join')"
    reader.sql.exec(place, user)
  }
  reader.forget()
}

const ids = (room: Room, ...words: string[]): UserId[] => findMembers(room, words, 50).map(({ userId }) => userId)

test('all are taken up once, some at a time; then a search reads what it finds', async () => {
  await withRoom(await makeRoom(), (room) => {
    fill(room, 4500)
    const first = countRows(room.reader, () => ids(room, 'name4321'))
    // Two thousand are read in a search, from the state and from the events, however many there are.
    expect(first.read).toBeLessThan(9000)
    expect(first.written).toBeLessThan(2100)
    ids(room, 'name4321')
    expect(ids(room, 'name4321')).toEqual(['@member4321:elsewhere.example'])
    room.reader.forget()
    const later = countRows(room.reader, () => expect(ids(room, 'unal', 'name4321')).toHaveLength(1))
    expect(later).toEqual({ read: expect.any(Number), written: 0 })
    expect(later.read).toBeLessThan(10)
    expect(ids(room, 'elsewhere')).toHaveLength(50)
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
