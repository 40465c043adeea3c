/** Guests in rooms that others govern. Spec: client-server-api/#guest-access. */
import type { JsonObject } from '#protocol/json/json.ts'
import { afterEach, expect, test, vi } from 'vitest'

import { clientWith, anonymous, registerUser } from '../client.ts'
import { at, createRoom, ok, refused, setState } from '../rooms/rooms.ts'
import { joinOver, otherServer, serversAnswer, signedBy } from './other-server.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

test('have to leave when another server forbids them, and stay when it does so without the right', async () => {
  const alice = await registerUser('guests_alice')
  const other = await otherServer('guests.test:8448')
  serversAnswer({ [other.name]: () => ({ pdus: {} }) })
  const roomId = await createRoom(alice, { preset: 'public_chat', room_version: '11' })
  await ok(setState(alice, roomId, 'm.room.guest_access', { guest_access: 'can_join' }))
  const { access_token: token, user_id: guest } = await ok(
    anonymous.post<{ access_token: string; user_id: string }>('/register?kind=guest', {}),
  )
  await ok(clientWith(token).post(`/join/${encodeURIComponent(roomId)}`))
  const moderator = `@moderator:${other.name}`
  const join = await joinOver(other, moderator, roomId)
  const membership = async () =>
    (await ok(alice.get<{ membership: string }>(at(roomId, `/state/m.room.member/${guest}`)))).membership
  const state = () => ok(alice.get<{ type: string; event_id: string }[]>(at(roomId, '/state')))
  const idOf = async (type: string) => (await state()).find((event) => event.type === type)?.event_id ?? ''

  async function forbids(more: JsonObject): Promise<void> {
    const event = signedBy(other, '11', {
      type: 'm.room.guest_access',
      state_key: '',
      sender: moderator,
      room_id: roomId,
      content: { guest_access: 'forbidden' },
      depth: join.depth + 10,
      origin_server_ts: Date.now(),
      auth_events: [await idOf('m.room.create'), await idOf('m.room.power_levels'), join.event_id],
      ...more,
    })
    await ok(other.ask('PUT', `/send/guests${event.event_id.slice(1, 9)}`, { origin: other.name, pdus: [event.json] }))
  }

  await forbids({ prev_events: [join.event_id] })
  expect(await membership()).toBe('join')
  const levels = await ok(alice.get<{ users?: JsonObject }>(at(roomId, '/state/m.room.power_levels')))
  const raised = { ...levels, users: { ...levels.users, [moderator]: 100 } }
  const { event_id: last } = await ok(setState(alice, roomId, 'm.room.power_levels', raised))
  await forbids({ prev_events: [last] })
  expect(await membership()).toBe('leave')
})

test('are not let into a room of another server, since nothing is known of it', async () => {
  const other = await otherServer('guests-far.test:8448')
  const asked = serversAnswer({ [other.name]: () => ({ pdus: {} }) })
  const { access_token: token } = await ok(anonymous.post<{ access_token: string }>('/register?kind=guest', {}))
  const roomId = encodeURIComponent(`!far:${other.name}`)
  expect(await clientWith(token).post(`/join/${roomId}?via=${other.name}`)).toMatchObject(
    refused(403, 'M_GUEST_ACCESS_FORBIDDEN'),
  )
  expect(asked.filter((line) => line.includes('join'))).toEqual([])
})
