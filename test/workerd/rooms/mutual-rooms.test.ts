/** Rooms that two users share. Spec: client-server-api/#get_matrixclientv1mutual_rooms. */
import { beforeAll, expect, test } from 'vitest'

import { anonymous, clientWith, registerUser, type User } from '../client.ts'
import { at, createRoom, invite, join, ok, refused } from './rooms.ts'

const path = (user: string, more = '') => `/_matrix/client/v1/mutual_rooms?user_id=${encodeURIComponent(user)}${more}`

let alice: User
let bob: User
beforeAll(async () => {
  alice = await registerUser('mutual-alice')
  bob = await registerUser('mutual-bob')
})

test('both are joined', async () => {
  expect(await alice.get(path(bob.userId))).toMatchObject({ status: 200, body: { joined: [], count: 0 } })
  const shared = [await createRoom(alice), await createRoom(alice)]
  for (const roomId of shared) {
    await invite(alice, roomId, bob)
    await join(bob, roomId)
  }
  const invited = await createRoom(alice)
  await invite(alice, invited, bob)
  const left = await createRoom(bob, { preset: 'public_chat' })
  await join(alice, left)
  await ok(alice.post(at(left, '/leave')))
  for (const [asker, other] of [
    [alice, bob],
    [bob, alice],
  ] as const) {
    expect((await asker.get(path(other.userId))).body).toEqual({ joined: shared.toSorted(), count: 2 })
  }
  const older = `/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms?user_id=${encodeURIComponent(bob.userId)}`
  expect((await alice.get(older)).body).toEqual({ joined: shared.toSorted(), count: 2 })
  expect((await alice.get(path('@nobody:test.local'))).body).toEqual({ joined: [], count: 0 })
  expect((await alice.get(path('@nobody:elsewhere.example'))).body).toEqual({ joined: [], count: 0 })
})

test('bad requests', async () => {
  expect(await anonymous.get(path(bob.userId))).toMatchObject(refused(401, 'M_MISSING_TOKEN'))
  expect(await clientWith('x').get(path(bob.userId))).toMatchObject(refused(401, 'M_UNKNOWN_TOKEN'))
  expect(await alice.get('/_matrix/client/v1/mutual_rooms')).toMatchObject(refused(400, 'M_MISSING_PARAM'))
  for (const user of [alice.userId, 'bob', '@', '#a:b', '@ü:test.local']) {
    expect(await alice.get(path(user)), user).toMatchObject(refused(400, 'M_INVALID_PARAM'))
  }
  for (const from of ['x', 's1_2', 'm999', 'm-1']) {
    expect(await alice.get(path(bob.userId, `&from=${from}`)), from).toMatchObject(refused(400, 'M_INVALID_PARAM'))
  }
})
