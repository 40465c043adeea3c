/**
 * Joining over a server that leaves out members, and then lies about them, or says nothing for ever: it costs no more than it
 * must, nothing forged gets in, and the room can be used. MSC3902; security cases 8, 9, 24.
 */
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import { serverNameOf } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { afterEach, beforeAll, expect, it, vi } from 'vitest'

import type { RoomTimeline } from '../../dsl/room-timeline.ts'
import { registerUser, type User } from '../client.ts'
import { roomObject, rows } from '../room/rooms.ts'
import { at, fullState, refused, say } from '../rooms/rooms.ts'
import { neighbour, residentOf, serversAnswer, stranger, strangeRoom } from './hostile-server.ts'

let alice: User
beforeAll(async () => {
  alice = await registerUser('hpj_alice')
})
afterEach(() => {
  // What our sender still has to tell goes nowhere.
  serversAnswer({})
})

const serverOf = (room: RoomTimeline) => serverNameOf(room.current('m.room.create').sender)
const joining = (room: RoomTimeline) =>
  alice.post(`/join/${encodeURIComponent(room.roomId)}?server_name=${serverOf(room)}`)
const objectOf = (room: RoomTimeline) => {
  const roomId = parseRoomId(room.roomId)
  if (!roomId) throw new TypeError(room.roomId)
  return roomObject(roomId)
}
const withoutMembers = (state: JsonObject[]) => state.filter(({ type }) => type !== 'm.room.member')
/** The joined room leaves out its members, and says that these servers are in it. */
const leavingOut = (room: RoomTimeline, servers: unknown = [serverOf(room)]) => {
  const more: JsonObject = JSON.parse(JSON.stringify({ members_omitted: true, servers_in_room: servers }))
  const creator = room.current('m.room.create').sender
  const authChain = (chain: JsonObject[]) =>
    chain.filter(({ type, state_key: key }) => type !== 'm.room.member' || key === creator)
  return residentOf(room, { state: withoutMembers, authChain, more })
}

const idsOf = (room: RoomTimeline) => [...room.state.values()]
const eventsOf = (room: RoomTimeline) => idsOf(room).map((id) => room.lookupAny(id)?.pdu.json ?? {})
/** What it answers when it is asked for the state. */
const telling = (ids: readonly string[], events: readonly unknown[]) => ({
  '/state_ids/': () => Response.json({ pdu_ids: ids, auth_chain_ids: [] }),
  '/state/': () => Response.json({ pdus: events, auth_chain: [] }),
})
const isWhole = async (room: RoomTimeline) =>
  (await rows(objectOf(room), 'SELECT to_pos FROM partial_span WHERE to_pos IS NOT NULL')).length === 1

it.each([
  ['no servers', null],
  ['an empty list of servers', []],
  ['servers that are none', [1, null, { a: 1 }, 'not a name!', '']],
])('a join that leaves out members and tells of %s is refused', async (_, servers) => {
  const { room } = strangeRoom('11')
  serversAnswer(leavingOut(room, servers))
  expect(await joining(room)).toMatchObject(refused(502, 'M_UNKNOWN'))
  expect(await rows(objectOf(room), "SELECT name FROM sqlite_master WHERE name = 'room'")).toEqual([])
})

it('servers without end are believed up to a bound', async () => {
  const { room } = strangeRoom('11')
  serversAnswer(
    leavingOut(
      room,
      Array.from({ length: 30_000 }, (_, n) => `made-up${n}.test`),
    ),
  )
  expect(await joining(room)).toMatchObject({ status: 200 })
  const [row] = await rows<{ count: number }>(
    objectOf(room),
    'SELECT json_array_length(servers) AS count FROM partial_joins',
  )
  expect(row?.count).toBeLessThanOrEqual(2_001)
})

it('a state that never comes leaves the room usable, and goes on being asked for', async () => {
  const { room } = strangeRoom('11')
  serversAnswer({
    ...leavingOut(room),
    '/state_ids/': () => Response.json({ pdu_ids: 'none', auth_chain_ids: {} }),
  })
  expect(await joining(room)).toMatchObject({ status: 200 })
  await say(alice, room.roomId, 'nobody knows who is here')
  await vi.waitFor(async () => {
    const [row] = await rows<{ tries: number }>(objectOf(room), 'SELECT tries FROM partial_joins')
    expect(row?.tries).toBeGreaterThan(2)
  }, 30_000)
  expect(await isWhole(room)).toBe(false)
})

it('a state without a create event, or with two, is not taken', async () => {
  const { room } = strangeRoom('11')
  let isHonest = false
  const all = () =>
    isHonest ? idsOf(room) : idsOf(room).filter((id) => room.lookupAny(id)?.pdu.type !== 'm.room.create')
  const asked = serversAnswer({
    ...leavingOut(room),
    '/state_ids/': () => Response.json({ pdu_ids: all(), auth_chain_ids: [] }),
    '/state/': () => Response.json({ pdus: eventsOf(room), auth_chain: [] }),
  })
  expect(await joining(room)).toMatchObject({ status: 200 })
  const times = () => asked.filter(({ url }) => url.pathname.includes('/state_ids/')).length
  await vi.waitFor(() => expect(times()).toBeGreaterThan(1), 30_000)
  expect(await isWhole(room)).toBe(false)
  isHonest = true
  await vi.waitFor(async () => expect(await isWhole(room)).toBe(true), 60_000)
}, 90_000)

it('members that are forged, or foreign, or made of thin air are left out', async () => {
  const { room, creator } = strangeRoom('11')
  const honest = neighbour(creator, 'honest')
  room.join(honest)
  const victim = stranger('victim')
  room.join(victim)
  const forged = eventsOf(room).map((event) => {
    if (event['state_key'] !== victim) return event
    return { ...event, signatures: { [serverNameOf(victim)]: { 'ed25519:1': 'AAAA' } } }
  })
  const { room: other, creator: foreigner } = strangeRoom('11')
  const lies = [...forged, ...eventsOf(other), { type: 'm.room.member' }, 'text', 17]
  const ids = [...idsOf(room), ...idsOf(other), '$thin-air']
  serversAnswer({ ...leavingOut(room), ...telling(ids, lies) })
  expect(await joining(room)).toMatchObject({ status: 200 })
  await vi.waitFor(async () => expect(await isWhole(room)).toBe(true), 30_000)
  const members = (await fullState(alice, room.roomId)).filter(({ type }) => type === 'm.room.member')
  const keys = members.map(({ state_key }) => state_key)
  expect(keys).toEqual(expect.arrayContaining([alice.userId, creator, honest]))
  expect(keys).not.toContain(victim)
  expect(keys).not.toContain(foreigner)
  const known = "SELECT name FROM sqlite_master WHERE name IN ('whole_work', 'whole_ids', 'whole_raw', 'state_spool')"
  expect(await rows(objectOf(room), known)).toEqual([])
  expect(await alice.get(at(room.roomId, '/joined_members'))).toMatchObject({ status: 200 })
})
