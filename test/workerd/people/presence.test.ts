/** Presence by its two requests: where the server has it off, as usual, and where it has it on. Spec: client-server-api/#presence. */
import { beforeAll, expect, test } from 'vitest'

import { ask } from '../accounts/servers.ts'
import { registerUser, type User } from '../client.ts'
import { ok, refused } from '../rooms/rooms.ts'

let alice: User
let bob: User
beforeAll(async () => {
  ;[alice, bob] = [await registerUser('presence-alice'), await registerUser('presence-bob')]
})
const pathOf = (user: User) => `/presence/${encodeURIComponent(user.userId)}/status`
const here = { presence: 'online', status_msg: 'here' }

test('off: everybody is offline, and nothing is kept of what they say', async () => {
  expect(await ok(alice.put(pathOf(alice), here))).toEqual({})
  expect(await ok(alice.get(pathOf(alice)))).toEqual({ presence: 'offline' })
  expect(await alice.put(pathOf(bob), here)).toMatchObject(refused(403, 'M_FORBIDDEN'))
  expect(await alice.put(pathOf(alice), { presence: 'hiding' })).toMatchObject(refused(400, 'M_BAD_JSON'))
})

test('on: one is what one said, to oneself; who shares no room is not told', async () => {
  const asking = (user: User, method: string, path: string, body?: object) =>
    ask({ PRESENCE: 'on' }, method, `/_matrix/client/v3${path}`, body, { Authorization: `Bearer ${user.accessToken}` })
  expect(await asking(alice, 'PUT', pathOf(alice), here)).toMatchObject({ status: 200, body: {} })
  expect(await asking(alice, 'GET', pathOf(alice))).toMatchObject({ status: 200, body: here })
  expect(await asking(bob, 'GET', pathOf(alice))).toMatchObject(refused(403, 'M_FORBIDDEN'))
})
