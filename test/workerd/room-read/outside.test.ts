/** Rooms that this server knows from outside: invites from other servers, and rooms it has left. */
import type { JsonObject } from '#protocol/json/json.ts'
import { buildEvent } from '#protocol/events/build-event.ts'
import { parseServerName } from '#protocol/identifiers/server-name.ts'
import { signingKeyOf } from '#protocol/signing/keys.ts'
import { expect, it } from 'vitest'
import { noteOutsideMembership } from '../../../durable-objects/room/federation/outside.ts'
import { nodeCrypto } from '../../../worker/node-crypto.ts'
import {
  alice,
  bob,
  freshRoomId,
  mallory,
  publicRoom,
  roomObject,
  rules,
  type TestRoom,
  withRoom,
} from '../room/rooms.ts'
import { change, contentsOf, eventsOf, field, granted, slice, text } from './reading.ts'

const stripped: JsonObject[] = [
  { type: 'm.room.create', state_key: '', sender: mallory, content: {}, event_id: '$smuggled', unsigned: { a: 1 } },
  { type: 'm.room.name', state_key: '', sender: mallory, content: { name: 'Elsewhere' } },
  { type: 'm.room.name', sender: mallory, content: { name: 'no state' } },
  { type: 'm.room.topic', state_key: '', sender: mallory, content: 'no object' },
  { type: 'm.room.member', state_key: bob, sender: mallory, content: { membership: 'join' } },
]

/** Mallory's server tells of Bob's membership in its room. */
async function tell(room: TestRoom, membership: 'invite' | 'leave', version: '11' | '12' = '11'): Promise<void> {
  const server = parseServerName('localhost:1')
  if (!server) throw new Error('no server name')
  const built = buildEvent(
    {
      rules: rules(version),
      roomId: room.roomId,
      type: 'm.room.member',
      stateKey: bob,
      sender: membership === 'invite' ? mallory : bob,
      content: { membership },
      prevEvents: [],
      authEvents: [],
      originServerTs: 1,
    },
    server,
    signingKeyOf('ed25519:remote', new Uint8Array(32).fill(7)),
    nodeCrypto,
  )
  if (!built.ok) throw new Error(built.message)
  const { event_id, json } = built.pdu
  const outside = { roomId: room.roomId, version, event_id, json, membership, stripped }
  await withRoom(room, (opened) => granted(noteOutsideMembership(opened, outside, () => undefined)))
  await room.evict()
}

it('shows an invite with the stripped state that came with it, pruned to what stripped state may hold', async () => {
  const room = roomObject(freshRoomId())
  await tell(room, 'invite')
  const first = await slice(room, bob)
  expect(first.section).toBe('invite')
  expect(eventsOf(first.room, 'invite_state')).toEqual([
    { type: 'm.room.create', state_key: '', sender: mallory, content: {} },
    { type: 'm.room.name', state_key: '', sender: mallory, content: { name: 'Elsewhere' } },
    { type: 'm.room.member', state_key: bob, sender: mallory, content: { membership: 'invite' } },
  ])
  expect((await slice(room, bob, { from: first })).section).toBe('none')
  expect((await slice(room, bob, { ignoredUsers: [mallory] })).section).toBe('none')
  expect((await slice(room, alice)).section).toBe('none')
})

it('shows nothing else of such a room', async () => {
  const room = roomObject(freshRoomId())
  await tell(room, 'invite')
  const refused = { ok: false, reason: 'not_in_room' }
  expect(await room.rpc.messages({ reader: bob, dir: 'b', limit: 1 })).toMatchObject(refused)
  expect(await room.rpc.stateEvents({ reader: bob })).toMatchObject(refused)
  expect(await room.rpc.members({ reader: bob })).toMatchObject(refused)
})

it('shows the end of such an invite, once', async () => {
  const room = roomObject(freshRoomId())
  await tell(room, 'invite')
  const invited = await slice(room, bob)
  await tell(room, 'leave')
  for (const useStateAfter of [false, true]) {
    const left = await slice(room, bob, { from: invited, useStateAfter })
    expect(left.section).toBe('leave')
    expect(contentsOf(eventsOf(left.room, 'timeline'), 'm.room.member')).toEqual([{ membership: 'leave' }])
    expect(eventsOf(left.room, 'state')).toEqual([])
    expect(eventsOf(left.room, 'state_after')).toHaveLength(useStateAfter ? 1 : 0)
    expect(field(eventsOf(left.room, 'timeline')[0], 'unsigned', 'membership')).toBe('leave')
    expect(text(field(left.room, 'timeline', 'prev_batch'))).toMatch(/^p\d+$/)
    expect((await slice(room, bob, { from: left })).section).toBe('none')
  }
  granted(await room.rpc.forget({ user: bob }))
  expect((await slice(room, bob)).section).toBe('none')
})

it('shows an invite to a room that everybody here has left', async () => {
  const room = await publicRoom()
  await change(room, 'join', bob)
  await change(room, 'leave', bob)
  const left = await slice(room, bob)
  granted(await room.rpc.setMembership({ sender: alice, target: alice, membership: 'leave' }))
  await tell(room, 'invite', '12')
  const invited = await slice(room, bob, { from: left })
  expect(invited.section).toBe('invite')
  expect(contentsOf(eventsOf(invited.room, 'invite_state'), 'm.room.name')).toEqual([{ name: 'Elsewhere' }])
  // What he could read before he can still read.
  expect(granted(await room.rpc.stateEvents({ reader: bob })).events.length).toBeGreaterThan(0)
})
