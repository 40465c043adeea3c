/** State and members of rooms so large that they are written slice by slice. */
import { beforeAll, describe, expect, it } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { at, type ClientEvent, createRoom, ok, refused } from '../rooms/rooms.ts'
import { publicRoom, user as member } from '../room/rooms.ts'
import { env } from 'cloudflare:workers'
import { remote } from '../../../worker/remote.ts'
import { parseRoomId } from '#protocol/identifiers/room-id.ts'

let alice: User
let bob: User
beforeAll(async () => {
  alice = await registerUser('st_alice')
  bob = await registerUser('st_bob')
})

/** Places of the state beside those of every room. */
const many = 450

async function largeRoom() {
  const roomId = await createRoom(alice, { preset: 'public_chat' })
  const parsed = parseRoomId(roomId)
  if (!parsed) throw new Error(roomId)
  const room = remote(env.ROOM, parsed)
  const sender = member(alice.userId)
  for (let n = 0; n < many; n++) {
    await room.sendEvent({ sender, type: 'm.test', stateKey: `ö"${n}`, content: { n } })
  }
  return roomId
}

describe('a large room', () => {
  it('tells its whole state, each place once and in order', async () => {
    const roomId = await largeRoom()
    const state = await ok<ClientEvent[]>(alice.get(at(roomId, '/state')))
    const mine = state.filter(({ type }) => type === 'm.test').map(({ state_key }) => state_key)
    expect(mine).toEqual(Array.from({ length: many }, (_, n) => `ö"${n}`))
    expect(state.map(({ type }) => type)).toContain('m.room.create')
    expect(await bob.get(at(roomId, '/state'))).toMatchObject(refused(403, 'M_FORBIDDEN'))
  })

  it('tells its members, all or some or none', async () => {
    const room = await publicRoom('11')
    const guests = Array.from({ length: many }, (_, n) => member(`@guest${n}:test.local`))
    for (const sender of guests) await room.rpc.setMembership({ sender, target: sender, membership: 'join' })
    const [gone] = guests
    if (gone) await room.rpc.setMembership({ sender: gone, target: gone, membership: 'leave' })
    const reader = await registerUser('st_reader')
    await ok(reader.post(`/join/${encodeURIComponent(room.roomId)}`))
    const members = async (query: string) =>
      (await ok<{ chunk: ClientEvent[] }>(reader.get(at(room.roomId, `/members${query}`)))).chunk.length
    expect(await members('')).toBe(many + 2)
    expect(await members('?membership=join')).toBe(many + 1)
    expect(await members('?not_membership=join')).toBe(1)
    expect(await members('?membership=ban')).toBe(0)
    const { joined } = await ok<{ joined: object }>(reader.get(at(room.roomId, '/joined_members')))
    expect(Object.keys(joined)).toHaveLength(many + 1)
  })
})
