/** The User-Interactive Authentication API, and who tries to get past it. Spec: client-server-api/#user-interactive-authentication-api. */
import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, test } from 'vitest'

import { authenticate, type Flow } from '../../../worker/accounts/interactive-auth.ts'
import { createRegistrationToken } from '../../../worker/accounts/registration-tokens.ts'
import { anonymous, login, passwordAuth, registerUser, type User } from '../client.ts'

interface Unfinished {
  session: string
  completed?: string[]
  errcode?: string
}

let alice: User
let mallory: User

beforeAll(async () => {
  alice = await registerUser('uia-alice')
  mallory = await registerUser('uia-mallory')
})

const passwordFlow = { flows: [{ stages: ['m.login.password'] }], params: {} }

describe('an operation that wants the password once more', () => {
  const remove = (user: User, device: User, auth?: unknown) =>
    user.delete<Unfinished>(`/devices/${device.deviceId}`, auth === undefined ? undefined : { auth })
  const exists = async (device: User) => (await alice.get(`/devices/${device.deviceId}`)).status === 200

  test('says so without a body, passes with the password and its session, and once only', async () => {
    const [device, other] = [await login(alice), await login(alice)]
    const asked = await remove(alice, device)
    expect(asked).toMatchObject({ status: 401, body: passwordFlow })
    expect(asked.body).not.toHaveProperty('errcode')
    const auth = passwordAuth(alice, asked.body.session)
    expect(await remove(alice, device, auth)).toMatchObject({ status: 200, body: {} })
    expect(await exists(device)).toBe(false)
    const again = await remove(alice, device, auth)
    expect(again).toMatchObject({ status: 401, body: { ...passwordFlow, errcode: 'M_FORBIDDEN' } })
    expect(again.body.session).not.toBe(asked.body.session)
    expect(await exists(other)).toBe(true)
  })

  test('passes without a session when the password comes along', async () => {
    const device = await login(alice)
    expect(await remove(alice, device, passwordAuth(alice))).toMatchObject({ status: 200 })
  })

  test('takes null for a session, and for all of it, as nothing', async () => {
    const device = await login(alice)
    const auth = { ...passwordAuth(alice), session: null }
    expect(await remove(alice, device, null)).toMatchObject({ status: 401, body: passwordFlow })
    expect(await remove(alice, device, auth)).toMatchObject({ status: 200 })
  })

  test('takes the user key of old', async () => {
    const device = await login(alice)
    const auth = { type: 'm.login.password', user: 'uia-alice', password: alice.password }
    expect(await remove(alice, device, auth)).toMatchObject({ status: 200 })
  })

  test('refuses a wrong password and lets one try again in the same session', async () => {
    const device = await login(alice)
    const { body } = await remove(alice, device)
    const wrong = await remove(alice, device, { ...passwordAuth(alice, body.session), password: 'wrong' })
    expect(wrong).toMatchObject({
      status: 401,
      body: { ...passwordFlow, errcode: 'M_FORBIDDEN', session: body.session },
    })
    expect(await exists(device)).toBe(true)
    expect(await remove(alice, device, passwordAuth(alice, body.session))).toMatchObject({ status: 200 })
  })

  test('tells how far one is when only the session is given', async () => {
    const device = await login(alice)
    const { body } = await remove(alice, device)
    const asked = await remove(alice, device, { session: body.session })
    expect(asked).toMatchObject({ status: 401, body: { ...passwordFlow, session: body.session } })
    expect(asked.body).not.toHaveProperty('completed')
  })

  test.each(['m.login.dummy', 'm.login.registration_token', 'm.login.sso', 'm.login.token', '', 'constructor', 1])(
    'is not passed by the stage %j',
    async (type) => {
      const device = await login(alice)
      const answer = await remove(alice, device, { type, token: 'x', password: alice.password })
      expect(answer).toMatchObject({ status: 401, body: { ...passwordFlow, errcode: 'M_FORBIDDEN' } })
      expect(await exists(device)).toBe(true)
    },
  )

  test("is not passed by somebody else's password", async () => {
    const device = await login(alice)
    const answer = await remove(alice, device, passwordAuth(mallory))
    expect(answer).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } })
    expect(await exists(device)).toBe(true)
  })

  test("a stolen token does not get by on the thief's own session and password", async () => {
    const device = await login(alice)
    const own = await login(mallory)
    const { body } = await remove(mallory, own)
    expect(await remove(alice, device, passwordAuth(mallory, body.session))).toMatchObject({ status: 403 })
    expect(await remove(alice, device, { session: body.session })).toMatchObject({ status: 403 })
    expect(await exists(device)).toBe(true)
  })

  test('a session is good for the device it was opened for, and for that operation', async () => {
    const [device, other] = [await login(alice), await login(alice)]
    const { body } = await remove(alice, device)
    const auth = passwordAuth(alice, body.session)
    const refused = { status: 403, body: { errcode: 'M_FORBIDDEN' } }
    expect(await remove(alice, other, auth)).toMatchObject(refused)
    expect(await alice.post('/delete_devices', { devices: [other.deviceId], auth })).toMatchObject(refused)
    expect(await alice.post('/account/deactivate', { auth })).toMatchObject(refused)
    expect(await exists(other)).toBe(true)
  })

  test('a session is good for the request it was opened for', async () => {
    const [device, other] = [await login(alice), await login(alice)]
    const many = (devices: readonly User[], auth?: unknown) =>
      alice.post<Unfinished>('/delete_devices', { auth, devices: devices.map(({ deviceId }) => deviceId) })
    const { body } = await many([device])
    const auth = passwordAuth(alice, body.session)
    expect(await many([device, other], auth)).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } })
    expect(await many([device], auth)).toMatchObject({ status: 200 })
    expect(await exists(other)).toBe(true)
  })

  test('a session that nobody opened is answered with one to use', async () => {
    const device = await login(alice)
    const answer = await remove(alice, device, passwordAuth(alice, 'made-up'))
    expect(answer).toMatchObject({ status: 401, body: passwordFlow })
    expect(await remove(alice, device, passwordAuth(alice, answer.body.session))).toMatchObject({ status: 200 })
  })

  test('a session runs out', async () => {
    const device = await login(alice)
    const { body } = await remove(alice, device)
    await env.DB.prepare('UPDATE interactive_auth_sessions SET created_at = 1 WHERE session = ?')
      .bind(body.session)
      .run()
    const late = await remove(alice, device, passwordAuth(alice, body.session))
    expect(late).toMatchObject({ status: 401, body: { errcode: 'M_FORBIDDEN' } })
    expect(late.body.session).not.toBe(body.session)
  })

  test.each([
    [{ auth: 'x' }, 'M_BAD_JSON'],
    [{ auth: { type: 'm.login.password', session: {} } }, 'M_BAD_JSON'],
    [{ auth: { type: 'm.login.password' } }, 'M_MISSING_PARAM'],
    [{ auth: { type: 'm.login.password', password: 1 } }, 'M_MISSING_PARAM'],
    [{ auth: { type: 'm.login.password', password: 'x' } }, 'M_MISSING_PARAM'],
    [{ auth: { type: 'm.login.password', password: 'x', identifier: 1 } }, 'M_BAD_JSON'],
    ['{', 'M_NOT_JSON'],
    ['[]', 'M_BAD_JSON'],
  ])('%j is refused as %s', async (body, errcode) => {
    const answer = await alice.delete(`/devices/${alice.deviceId}`, body)
    expect(answer).toMatchObject({ status: 400, body: { errcode } })
  })
})

test('a session keeps no password, also not as a fast hash', async () => {
  const secret = 'a secret that must not be found'
  const { body } = await alice.post<Unfinished>('/account/password', { new_password: secret })
  const other = await alice.post<Unfinished>('/account/password', { new_password: 'another one' })
  await alice.post('/account/password', {
    new_password: secret,
    auth: { ...passwordAuth(alice, body.session), password: secret },
  })
  const { results } = await env.DB.prepare('SELECT * FROM interactive_auth_sessions').all<Record<string, string>>()
  expect(JSON.stringify(results)).not.toContain(secret)
  const purposeOf = (session: string) => results.find((row) => row['session'] === session)?.['purpose']
  // The password makes no difference to what is kept, so what is kept tells nothing of it.
  expect(purposeOf(body.session)).toBe(purposeOf(other.body.session))
  expect(purposeOf(body.session)).toEqual(expect.any(String))
})

test('a registration session does not pass for another name', async () => {
  const wanted = { username: 'uia-one', password: 'password' }
  const { body } = await anonymous.post<Unfinished>('/register', wanted)
  const auth = { type: 'm.login.dummy', session: body.session }
  expect(await anonymous.post('/register', { ...wanted, username: 'uia-two', auth })).toMatchObject({ status: 403 })
  expect(await anonymous.post('/register', { ...wanted, auth })).toMatchObject({ status: 200 })
})

describe('flows of several stages', () => {
  const long: Flow = ['m.login.registration_token', 'm.login.dummy']
  const other: Flow = ['m.login.dummy', 'm.login.registration_token']
  const token = { type: 'm.login.registration_token', token: 'stages' }
  const dummy = { type: 'm.login.dummy' }

  beforeAll(async () => {
    await createRegistrationToken(env, { token: 'stages', usesAllowed: null, expiresAt: null })
  })

  async function attempt(flows: readonly Flow[], auth?: Record<string, string>) {
    const result = await authenticate(env, { operation: 'TEST', flows, body: auth === undefined ? {} : { auth } })
    if (result.ok) return { ...result, status: 200 as const, session: '' }
    const answer: Unfinished = await result.response.json()
    return { ok: false as const, status: result.response.status, ...answer }
  }

  test('are completed in order, and what was completed is remembered', async () => {
    const { session } = await attempt([long])
    const early = await attempt([long], { ...dummy, session })
    expect(early).toMatchObject({ status: 401, errcode: 'M_FORBIDDEN', session })
    expect(early).not.toHaveProperty('completed')
    const half = await attempt([long], { ...token, session })
    expect(half).toMatchObject({ status: 401, completed: ['m.login.registration_token'], session })
    expect(half).not.toHaveProperty('errcode')
    expect(await attempt([long], { session })).toMatchObject({ completed: ['m.login.registration_token'] })
    // "Completed stages cannot be retried": also a wrong retry takes nothing back.
    const retried = await attempt([long], { ...token, token: 'wrong', session })
    expect(retried).toMatchObject({ status: 401, completed: ['m.login.registration_token'] })
    expect(await attempt([long], { ...dummy, session })).toMatchObject({ ok: true, registrationToken: 'stages' })
    expect(await attempt([long], { ...dummy, session })).toMatchObject({ ok: false })
  })

  test('of which one is begun without a session go on in the one that is given', async () => {
    const { session, status } = await attempt([long], token)
    expect(status).toBe(401)
    expect(await attempt([long], { ...dummy, session })).toMatchObject({ ok: true })
  })

  test('may be chosen freely, but not mixed', async () => {
    const { session } = await attempt([long, other], dummy)
    expect(await attempt([long, other], { ...dummy, session })).toMatchObject({
      ok: false,
      completed: ['m.login.dummy'],
    })
    expect(await attempt([long, other], { ...token, session })).toMatchObject({ ok: true })
  })

  test('completed by twenty requests at once let one through', async () => {
    const { session } = await attempt([long], token)
    const all = await Promise.all(Array.from({ length: 20 }, () => attempt([long], { ...dummy, session })))
    expect(all.filter(({ ok }) => ok)).toHaveLength(1)
  })
})
