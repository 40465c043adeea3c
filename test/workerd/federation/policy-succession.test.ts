/** Policy lists whose room is upgraded, here and elsewhere: the server goes along. */
import { env } from 'cloudflare:workers'
import { afterEach, beforeAll, expect, test, vi } from 'vitest'

import { followReplacements } from '../../../worker/policy-succession.ts'
import type { User } from '../client.ts'
import { registerAdmin } from '../people/admins.ts'
import { at, createRoom, ok, setState } from '../rooms/rooms.ts'
import { FarRoom } from './far-room.ts'
import { otherServer, serversAnswer } from './other-server.ts'

const lists = '/_hearth/admin/policy_lists'
let admin: User
beforeAll(async () => {
  admin = await registerAdmin('succession-admin')
})
afterEach(() => {
  vi.restoreAllMocks()
})

interface List {
  readonly room_id: string
  readonly followed: boolean
  readonly added_by: string
  readonly replacement_room?: string
}
const followed = async () => (await ok(admin.get<{ policy_lists: List[] }>(lists))).policy_lists
const idsOf = async () => (await followed()).map(({ room_id }) => room_id)
const check = (user: string) => ok(admin.get(`${lists}/check?entity=${encodeURIComponent(user)}`))
const ban = (room: string, entity: string) =>
  ok(setState(admin, room, 'm.policy.rule.user', { entity, recommendation: 'm.ban' }, `rule ${entity}`))

test('a list that is upgraded is followed to its new room, which takes its place once it has rules', async () => {
  const old = await createRoom(admin)
  await ok(admin.post(lists, { room: old }))
  await ban(old, '@one:bad.test')
  const { replacement_room: fresh } = await ok(
    admin.post<{ replacement_room: string }>(at(old, '/upgrade'), { new_version: '11' }),
  )
  await vi.waitFor(async () => expect(await idsOf()).toEqual([old, fresh]), { timeout: 20_000 })
  const [before, after] = await followed()
  expect(before).toMatchObject({ replacement_room: fresh })
  expect(after).toMatchObject({ followed: true, added_by: admin.userId })
  // The new room has no rules yet: those of the old one hold.
  await followReplacements(env)
  expect(await idsOf()).toEqual([old, fresh])
  expect(await check('@one:bad.test')).toMatchObject({ banned: true, room_id: old })
  await ban(fresh, '@two:bad.test')
  expect(await check('@two:bad.test')).toMatchObject({ banned: true, room_id: fresh })
  await followReplacements(env)
  expect(await idsOf()).toEqual([fresh])
  expect(await check('@one:bad.test')).toEqual({ banned: false })
  await ok(admin.delete(`${lists}/${encodeURIComponent(fresh)}`))
})

test('of another server is joined, through all the rooms that took each other’s place', async () => {
  const other = await otherServer('lists.test:8448')
  const rooms = [new FarRoom(other, '11'), new FarRoom(other, '11'), new FarRoom(other, '11')] as const
  const [first, second, third] = rooms
  first.add({ type: 'm.room.tombstone', stateKey: '', content: { replacement_room: second.roomId } })
  second.add({ type: 'm.room.tombstone', stateKey: '', content: { replacement_room: third.roomId } })
  third.add({
    type: 'm.policy.rule.user',
    stateKey: 'rule',
    content: { entity: '@three:bad.test', recommendation: 'm.ban' },
  })
  // A path names the room, except where it names an event, which only one of them has.
  serversAnswer({
    [other.name]: (asked) => {
      const named = rooms.find(({ roomId }) => decodeURIComponent(asked.path).includes(roomId))
      return named
        ? named.answer(asked)
        : rooms.map((room) => room.answer(asked)).find((answer) => answer !== undefined)
    },
  })
  await ok(admin.post(lists, { room: first.roomId, via: [other.name] }))
  await vi.waitFor(async () => expect(await check('@three:bad.test')).toMatchObject({ banned: true }), {
    timeout: 20_000,
  })
  expect(await idsOf()).toEqual(expect.arrayContaining(rooms.map(({ roomId }) => roomId)))
  // Then the last is enough, for ever.
  for (let round = 0; round < 3; round++) await followReplacements(env)
  const left = await idsOf()
  expect(rooms.map(({ roomId }) => left.includes(roomId))).toEqual([false, false, true])
})

test('a tombstone that names nothing, the room itself or one that leads back to it leads nowhere', async () => {
  const before = await idsOf()
  const list = await createRoom(admin)
  await ok(admin.post(lists, { room: list }))
  for (const replacement_room of ['nothing', 5, list]) {
    await ok(setState(admin, list, 'm.room.tombstone', { body: 'gone', replacement_room }))
    await followReplacements(env)
  }
  expect(await idsOf()).toEqual([...before, list])
  const another = await createRoom(admin)
  await ok(setState(admin, another, 'm.room.tombstone', { body: 'gone', replacement_room: list }))
  await ban(another, '@four:bad.test')
  await ok(setState(admin, list, 'm.room.tombstone', { body: 'gone', replacement_room: another }))
  await followReplacements(env)
  expect(await idsOf()).toEqual([...before, list])
})
