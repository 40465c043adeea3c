/** One's devices over HTTP. Spec: client-server-api/#device-management. */
import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, test } from 'vitest'

import { hashToken } from '../../../worker/accounts/tokens.ts'
import { anonymous, login, passwordAuth, registerUser, send, type User } from '../client.ts'

interface Devices {
  devices: { device_id: string; display_name?: string }[]
}

let alice: User
let bob: User

beforeAll(async () => {
  alice = await registerUser('devices-alice', { device_id: 'FIRST' })
  bob = await registerUser('devices-bob', { device_id: 'BOBS' })
})

const notFound = { status: 404, body: { errcode: 'M_NOT_FOUND' } }

test('are listed with their names', async () => {
  await login(alice, { device_id: 'NAMED', initial_device_display_name: 'Phone' })
  const { body } = await alice.get<Devices>('/devices')
  expect(body.devices).toMatchObject([{ device_id: 'FIRST' }, { device_id: 'NAMED', display_name: 'Phone' }])
  expect((await alice.get('/devices/NAMED')).body).toEqual(body.devices[1])
})

test('can be renamed', async () => {
  await login(alice, { device_id: 'RENAMED' })
  expect(await alice.put('/devices/RENAMED', { display_name: 'New' })).toMatchObject({ status: 200, body: {} })
  expect((await alice.get('/devices/RENAMED')).body).toMatchObject({ display_name: 'New' })
  // "If not given, the display name is unchanged."
  expect(await alice.put('/devices/RENAMED', {})).toMatchObject({ status: 200 })
  expect((await alice.get('/devices/RENAMED')).body).toMatchObject({ display_name: 'New' })
})

test('with any ID a client makes up are found again', async () => {
  const odd = 'a/b?c=%20#é\u{1f600}\'"--'
  await login(alice, { device_id: odd })
  const path = `/devices/${encodeURIComponent(odd)}`
  expect((await alice.get(path)).body).toMatchObject({ device_id: odd })
  expect(await alice.delete(path, { auth: passwordAuth(alice) })).toMatchObject({ status: 200 })
  expect(await alice.get(path)).toMatchObject(notFound)
})

test('a very long name is cut when signing in and refused later', async () => {
  await login(alice, { device_id: 'LONG', initial_device_display_name: 'x'.repeat(1000) })
  expect((await alice.get('/devices/LONG')).body).toMatchObject({ display_name: 'x'.repeat(100) })
  const answer = await alice.put('/devices/LONG', { display_name: 'x'.repeat(101) })
  expect(answer).toMatchObject({ status: 400, body: { errcode: 'M_INVALID_PARAM' } })
})

test("someone else's are not there", async () => {
  expect(await alice.get('/devices/BOBS')).toMatchObject(notFound)
  expect(await alice.put('/devices/BOBS', { display_name: 'mine' })).toMatchObject(notFound)
  // Deleting what is not there succeeds, and touches nothing.
  expect(await alice.delete('/devices/BOBS', { auth: passwordAuth(alice) })).toMatchObject({ status: 200 })
  const many = { devices: ['BOBS'], auth: passwordAuth(alice) }
  expect(await alice.post('/delete_devices', many)).toMatchObject({ status: 200 })
  expect(await bob.get('/devices/BOBS')).toMatchObject({ status: 200, body: { device_id: 'BOBS' } })
})

test('regular clients make none', async () => {
  expect(await alice.put('/devices/UNKNOWN', { display_name: 'x' })).toMatchObject(notFound)
  expect(await alice.put('/devices/UNKNOWN', {})).toMatchObject(notFound)
})

test('deleted end with their tokens, and their syncs are told', async () => {
  const device = await login(alice, { device_id: 'ENDED', refresh_token: true })
  const { body: synced } = await device.get<{ next_batch: string }>('/sync')
  const waiting = device.get(`/sync?timeout=20000&since=${synced.next_batch}`)
  expect(await alice.delete('/devices/ENDED', { auth: passwordAuth(alice) })).toMatchObject({ status: 200 })
  expect(await waiting).toMatchObject({ status: 401, body: { errcode: 'M_UNKNOWN_TOKEN' } })
  expect(await device.get('/devices')).toMatchObject({ status: 401 })
  // The same ID may come back, as another device.
  const again = await login(alice, { device_id: 'ENDED' })
  expect(await again.get('/sync')).toMatchObject({ status: 200 })
})

test('many are deleted at once', async () => {
  const ids = Array.from({ length: 60 }, (_, n) => `MANY${n}`)
  const now = Date.now()
  await env.DB.batch(
    ids.map((id) =>
      env.DB.prepare('INSERT INTO devices(user_id, device_id, created_at) VALUES (?, ?, ?)').bind(
        alice.userId,
        id,
        now,
      ),
    ),
  )
  const wanted = { devices: [...ids, 'NEVER-WAS'], auth: passwordAuth(alice) }
  expect(await alice.post('/delete_devices', wanted)).toMatchObject({ status: 200, body: {} })
  const { body } = await alice.get<Devices>('/devices')
  expect(body.devices.filter(({ device_id: id }) => id.startsWith('MANY'))).toEqual([])
})

test('what changes an account does not believe the memory of the isolate', async () => {
  const device = await login(alice, { device_id: 'ELSEWHERE' })
  expect(await device.get('/account/whoami')).toMatchObject({ status: 200 })
  // Another isolate ends it.
  await env.DB.prepare('DELETE FROM access_tokens WHERE hash = ?').bind(hashToken(device.accessToken)).run()
  expect(await device.get('/account/whoami')).toMatchObject({ status: 200 })
  const unknown = { status: 401, body: { errcode: 'M_UNKNOWN_TOKEN' } }
  expect(await device.post('/delete_devices', { devices: [], auth: passwordAuth(alice) })).toMatchObject(unknown)
  expect(await device.post('/account/password', { new_password: 'something' })).toMatchObject(unknown)
  expect(await device.post('/logout')).toMatchObject(unknown)
})

describe('are refused', () => {
  test.each([
    ['GET', '/devices'],
    ['GET', '/devices/FIRST'],
    ['PUT', '/devices/FIRST'],
    ['DELETE', '/devices/FIRST'],
    ['POST', '/delete_devices'],
    ['GET', '/account/whoami'],
    ['POST', '/account/password'],
    ['POST', '/account/deactivate'],
    ['GET', '/capabilities'],
    ['PUT', '/profile/@devices-alice:test.local/displayname'],
    ['DELETE', '/profile/@devices-alice:test.local/displayname'],
    ['POST', '/logout'],
  ])('%s %s to who has no token or a wrong one', async (method, path) => {
    const body = method === 'GET' ? undefined : {}
    expect(await send(method, path, body)).toMatchObject({ status: 401, body: { errcode: 'M_MISSING_TOKEN' } })
    const wrong = await send(method, path, body, { Authorization: 'Bearer hrt_YQ_x_0000000' })
    expect(wrong).toMatchObject({ status: 401, body: { errcode: 'M_UNKNOWN_TOKEN' } })
  })

  test.each([
    ['PUT', '/devices/FIRST', { display_name: 1 }, 'M_BAD_JSON'],
    ['PUT', '/devices/FIRST', '{', 'M_NOT_JSON'],
    ['PUT', '/devices/FIRST', [], 'M_BAD_JSON'],
    ['POST', '/delete_devices', {}, 'M_MISSING_PARAM'],
    ['POST', '/delete_devices', { devices: 'FIRST' }, 'M_BAD_JSON'],
    ['POST', '/delete_devices', { devices: [1] }, 'M_BAD_JSON'],
    ['POST', '/delete_devices', { devices: Array.from({ length: 1001 }, () => 'x') }, 'M_BAD_JSON'],
    ['POST', '/account/password', {}, 'M_MISSING_PARAM'],
    ['POST', '/account/password', { new_password: 1 }, 'M_BAD_JSON'],
    ['POST', '/account/password', { new_password: 'short' }, 'M_WEAK_PASSWORD'],
    ['POST', '/account/password', { new_password: 'long enough', logout_devices: 'no' }, 'M_BAD_JSON'],
    ['POST', '/account/password', 'not json', 'M_NOT_JSON'],
    ['POST', '/account/deactivate', { erase: 'all' }, 'M_BAD_JSON'],
    ['POST', '/account/deactivate', '\u0000', 'M_NOT_JSON'],
  ])('%s %s with %j: %#', async (method, path, body, errcode) => {
    const authorization = { Authorization: `Bearer ${alice.accessToken}` }
    expect(await send(method, path, body, authorization)).toMatchObject({ status: 400, body: { errcode } })
  })

  test('when asked by another method', async () => {
    const answer = await anonymous.post('/devices/FIRST')
    expect(answer).toMatchObject({ status: 405, body: { errcode: 'M_UNRECOGNIZED' } })
  })
})
