/** Invites that are refused, and invites that are never shown. MSC4155 (unstable). */
import type { JsonObject } from '#protocol/json/json.ts'
import { beforeAll, expect, test } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { at, createRoom, invite, join, ok, refused, stateOf } from './rooms.ts'

let names = 0
const person = () => registerUser(`picky-${(names += 1)}`)
const setLists = (user: User, lists: JsonObject, type = 'org.matrix.msc4155.invite_permission_config') =>
  ok(user.put(`/user/${encodeURIComponent(user.userId)}/account_data/${type}`, lists))
const invites = async (user: User) =>
  Object.keys((await ok(user.get<{ rooms?: { invite?: object } }>('/sync'))).rooms?.invite ?? {})
const sliding = async (user: User) => {
  const body = { lists: { all: { ranges: [[0, 9]], timeline_limit: 1, required_state: [] } } }
  const path = '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync'
  return Object.keys((await ok(user.post<{ rooms: object }>(path, body))).rooms)
}

let inviter: User
let roomId: string
beforeAll(async () => {
  inviter = await person()
  roomId = await createRoom(inviter, { preset: 'private_chat' })
})

test('a blocked one is refused', async () => {
  const user = await person()
  await setLists(user, { blocked_users: [inviter.userId] })
  expect(await inviter.post(at(roomId, '/invite'), { user_id: user.userId })).toMatchObject(
    refused(403, 'M_INVITE_BLOCKED'),
  )
  expect(await inviter.post('/createRoom', { invite: [user.userId] })).toMatchObject(refused(403, 'M_INVITE_BLOCKED'))
  await setLists(user, { blocked_servers: ['test.*'], allowed_users: [inviter.userId] })
  await invite(inviter, roomId, user)
  expect(await invites(user)).toEqual([roomId])
})

test('an ignored one is taken and not shown, and may be taken up all the same', async () => {
  const user = await person()
  await setLists(user, { ignored_users: ['@picky-*:test.local'] })
  const before = (await ok(user.get<{ next_batch: string }>('/sync'))).next_batch
  await invite(inviter, roomId, user)
  expect(await stateOf(inviter, roomId, 'm.room.member', user.userId)).toMatchObject({ membership: 'invite' })
  expect(await invites(user)).toEqual([])
  expect((await ok(user.get<{ rooms?: object }>(`/sync?since=${before}&timeout=0`))).rooms).toBeUndefined()
  expect(await sliding(user)).toEqual([])
  await join(user, roomId)
  expect(await sliding(user)).toEqual([roomId])
})

test.each(['m.invite_permission_config', 'org.matrix.msc4380.invite_permission_config'])(
  'nobody at all, by %s',
  async (type) => {
    const user = await person()
    await setLists(user, { default_action: 'block' }, type)
    expect(await inviter.post(at(roomId, '/invite'), { user_id: user.userId })).toMatchObject(
      refused(403, 'M_INVITE_BLOCKED'),
    )
    await setLists(user, { default_action: 'allow' }, type)
    await invite(inviter, roomId, user)
  },
)
