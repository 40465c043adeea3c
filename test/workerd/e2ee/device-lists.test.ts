/** Who hears that somebody's devices changed. Spec: client-server-api/#e2e-extensions-to-sync. */
import { describe, expect, test, vi } from 'vitest'

import { login, registerUser, type User } from '../client.ts'
import { ok } from '../rooms/rooms.ts'
import { createRoom, join, leave, long, sync, type SyncBody } from '../sync/syncing.ts'
import { withKeys } from './devices.ts'

type Lists = SyncBody & {
  readonly device_lists?: { readonly changed: readonly string[]; readonly left: readonly string[] }
}
const lists = async (user: User, since: string, timeout = 0) => {
  const body: Lists = await sync(user, { since, timeout })
  return { changed: [...(body.device_lists?.changed ?? [])].sort(), left: body.device_lists?.left ?? [], ...body }
}
const now = async (user: User) => (await sync(user)).next_batch

describe('device_lists', () => {
  test('name those who come into a room, and everybody to those who come; nobody at first', async () => {
    const alice = await registerUser('dj_alice')
    const bob = await registerUser('dj_bob')
    const room = await createRoom(alice, { preset: 'public_chat' })
    const first: Lists = await sync(alice)
    expect(first.device_lists).toBeUndefined()
    const bobsFirst = await now(bob)
    await join(bob, room)
    const then = await lists(alice, first.next_batch)
    expect(then).toMatchObject({ changed: [bob.userId], left: [] })
    expect(await lists(bob, bobsFirst)).toMatchObject({ changed: [alice.userId, bob.userId], left: [] })
    await ok(bob.put(`/profile/${bob.userId}/displayname`, { displayname: 'Bob' }))
    expect(await lists(alice, then.next_batch)).toMatchObject({ changed: [], left: [] })
  })

  test('name those who get keys, another device or another name for it, to whoever shares a room', async () => {
    const alice = await registerUser('dc_alice')
    const bob = await registerUser('dc_bob')
    const stranger = await registerUser('dc_stranger')
    const room = await createRoom(alice, { preset: 'public_chat' })
    await join(bob, room)
    const strangersFirst = await now(stranger)
    let since = await now(alice)
    const hears = async () => {
      const heard = await lists(alice, since, long)
      expect(heard.changed).toEqual([bob.userId])
      since = heard.next_batch
    }
    await withKeys(bob)
    await hears()
    await ok(bob.put(`/devices/${bob.deviceId}`, { display_name: 'Phone' }))
    await hears()
    const second = await login(bob)
    await withKeys(second)
    await hears()
    await ok(second.post('/logout'))
    await hears()
    const own: Lists = await sync(bob)
    await withKeys(await login(bob))
    await vi.waitFor(async () => expect((await lists(bob, own.next_batch)).changed).toEqual([bob.userId]))
    expect(await lists(stranger, strangersFirst)).toMatchObject({ changed: [], left: [] })
  })

  test('name as left whom no room is shared with any more', async () => {
    const alice = await registerUser('dx_alice')
    const bob = await registerUser('dx_bob')
    const rooms = [
      await createRoom(alice, { preset: 'public_chat' }),
      await createRoom(alice, { preset: 'public_chat' }),
    ]
    for (const room of rooms) await join(bob, room)
    let since = await now(alice)
    const bobSince = await now(bob)
    const after = async () => {
      const heard = await lists(alice, since)
      since = heard.next_batch
      return heard
    }
    await leave(bob, rooms[0] ?? '')
    expect(await after()).toMatchObject({ changed: [], left: [] })
    await leave(bob, rooms[1] ?? '')
    expect(await after()).toMatchObject({ changed: [], left: [bob.userId] })
    expect(await lists(bob, bobSince)).toMatchObject({ left: [alice.userId] })
    await withKeys(bob)
    expect(await after()).toMatchObject({ changed: [], left: [] })
    await join(bob, rooms[0] ?? '')
    await leave(bob, rooms[0] ?? '')
    await join(bob, rooms[0] ?? '')
    expect(await after()).toMatchObject({ changed: [bob.userId], left: [] })
    await leave(bob, rooms[0] ?? '')
    await join(bob, rooms[0] ?? '')
    expect(await after()).toMatchObject({ changed: [bob.userId], left: [] })
  })

  test('are kept from no client by its filter, and /keys/changes says the same', async () => {
    const alice = await registerUser('dq_alice')
    const bob = await registerUser('dq_bob')
    const room = await createRoom(alice, { preset: 'public_chat' })
    const since = await now(alice)
    await join(bob, room)
    const filtered: Lists = await sync(alice, { since, filter: { room: { rooms: [] } } })
    expect(filtered.device_lists?.changed).toEqual([bob.userId])
    const changes = await ok(alice.get(`/keys/changes?from=${since}&to=${filtered.next_batch}`))
    expect(changes).toEqual({ changed: [bob.userId], left: [] })
    expect((await alice.get('/keys/changes')).status).toBe(400)
    expect((await alice.get('/keys/changes?from=rubbish')).status).toBe(400)
  })
})
