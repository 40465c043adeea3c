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

test('one may be busy, where the flag says so (MSC3026)', async () => {
  const flag = async (PRESENCE: 'on' | 'off') => {
    const { body } = await ask<{ unstable_features: object }>({ PRESENCE }, 'GET', '/_matrix/client/versions')
    return body.unstable_features
  }
  const name = 'org.matrix.msc3026.busy_presence'
  expect(await flag('off')).toHaveProperty([name], false)
  expect(await flag('on')).toHaveProperty([name], true)
  const busy = { presence: 'org.matrix.msc3026.busy', status_msg: 'in a call' }
  const asking = (method: string, path: string, body?: object) =>
    ask({ PRESENCE: 'on' }, method, `/_matrix/client/v3${path}`, body, { Authorization: `Bearer ${bob.accessToken}` })
  expect(await asking('PUT', pathOf(bob), busy)).toMatchObject({ status: 200 })
  expect((await asking('GET', '/sync')).status).toBe(200)
  expect(await asking('GET', pathOf(bob))).toMatchObject({ status: 200, body: busy })
  expect((await asking('GET', '/sync?set_presence=org.matrix.msc3026.busy')).status).toBe(400)
  expect(await asking('PUT', pathOf(bob), here)).toMatchObject({ status: 200 })
  expect(await asking('GET', pathOf(bob))).toMatchObject({ status: 200, body: here })
})
