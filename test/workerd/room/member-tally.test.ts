/** The count of members is right whatever happens, and in a large room nobody counts them all for every event. */
import { env } from 'cloudflare:workers'
import { expect, test } from 'vitest'

import { leastKept } from '../../../durable-objects/room/member-tally.ts'
import { setMembership } from '../../../durable-objects/room/membership.ts'
import type { Room } from '../../../durable-objects/room/room.ts'
import { sendEvent } from '../../../durable-objects/room/send-event.ts'
import { countsOf } from '../../../durable-objects/room/summary.ts'
import { serverIdentity } from '../../../worker/server-identity.ts'
import { begin, dice, receive, roomWithMallory } from '../room-read/random-room.ts'
import { fillWithMembers } from './large-room.ts'
import { alice, bob, carol, makeRoom, mallory, withRoom } from './rooms.ts'
import { countRows } from './row-count.ts'

const told = (room: Room) => ({
  ...countsOf(room),
  servers: [...room.reader.joinedServers()].sort(),
  locals: [...room.reader.localJoined()].sort(),
})

/** The same, counted. */
function counted({ reader: { sql } }: Room) {
  const members = sql
    .exec<{ user: string; membership: string }>(
      "SELECT state_key AS user, membership FROM current_state WHERE type = 'm.room.member'",
    )
    .toArray()
  const joined = members.filter(({ membership }) => membership === 'join').map(({ user }) => user)
  return {
    joined: joined.length,
    invited: members.filter(({ membership }) => membership === 'invite').length,
    known: members.length,
    servers: [...new Set(joined.map((user) => user.slice(user.indexOf(':') + 1)))].sort(),
    locals: joined.filter((user) => user.endsWith(':test.local')).sort(),
  }
}

test.each([0, leastKept + 5])('who comes and goes is counted, beside %i others', async (others) => {
  const identity = await serverIdentity(env)
  const roll = dice(others + 1)
  await withRoom(await roomWithMallory(), (room) => {
    begin(room)
    fillWithMembers(room, others)
    for (let step = 0; step < 60; step++) {
      const target = [bob, carol][roll(2)] ?? bob
      const membership = (['join', 'leave', 'invite', 'ban'] as const)[roll(4)] ?? 'join'
      const sender = membership === 'invite' || membership === 'ban' ? alice : target
      setMembership(room, identity, { sender, target, membership }, step)
      if (roll(5) === 0) {
        const prev = room.reader.events(room.reader.header().extremities)
        const content = { membership: roll(2) === 0 ? 'join' : 'leave', displayname: `${step}` }
        receive(room, { type: 'm.room.member', stateKey: mallory, content, prev })
      }
      // What the object forgets, it finds again; a turn that is rolled back counts nothing.
      if (roll(4) === 0) room.reader.forget()
      if (roll(6) === 0) {
        room.transactor.turn(() => {
          room.transactor.setCurrent('m.room.member', '@ghost:ghost.example', { nid: 1, membership: 'join' })
          return { ok: false }
        })
      }
      if (roll(3) === 0) expect(told(room)).toEqual(counted(room))
    }
    expect(told(room)).toEqual(counted(room))
    const kept = room.reader.sql.exec('SELECT joined FROM member_tally').toArray()
    expect(kept).toHaveLength(others === 0 ? 0 : 1)
  })
})

test('an object that wakes up in a large room reads few rows to send, to count and to change a name', async () => {
  const identity = await serverIdentity(env)
  await withRoom(await makeRoom(), (room) => {
    fillWithMembers(room, 3000)
    told(room)
    const awake = (work: () => unknown) => {
      room.reader.forget()
      return countRows(room.reader, () => void work()).read
    }
    const content = { msgtype: 'm.text', body: 'hello' }
    expect(awake(() => told(room))).toBeLessThan(30)
    expect(awake(() => sendEvent(room, identity, { sender: alice, type: 'm.room.message', content }, 1))).toBeLessThan(
      150,
    )
    const profile = { displayname: 'another' }
    const rename = () => setMembership(room, identity, { sender: alice, target: alice, membership: 'join', profile }, 2)
    expect(awake(rename)).toBeLessThan(150)
    expect(told(room)).toEqual(counted(room))
  })
})
