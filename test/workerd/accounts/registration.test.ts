/** Making accounts over HTTP: open servers, servers that want a token, closed ones, guests, and who tries to cheat. */
import { env } from 'cloudflare:workers'
import { describe, expect, test } from 'vitest'

import { createRegistrationToken, listRegistrationTokens } from '../../../worker/accounts/registration-tokens.ts'
import { anonymous, clientWith, registerUser } from '../client.ts'
import { ask } from './servers.ts'

const dummy = { type: 'm.login.dummy' }
const password = 'correct horse'

interface SignedIn {
  user_id: string
  access_token: string
  device_id: string
}

describe('on an open server', () => {
  test('someone registers and is signed in', async () => {
    const alice = await registerUser('alice')
    expect(await alice.get('/account/whoami')).toMatchObject({
      status: 200,
      body: { user_id: '@alice:test.local', device_id: alice.deviceId, is_guest: false },
    })
    expect((await alice.get(`/profile/${alice.userId}`)).body).toEqual({ displayname: 'alice' })
  })

  test('a request without auth is told the flows, and repeated with the session it succeeds', async () => {
    const wanted = { username: 'flows', password, device_id: 'D', initial_device_display_name: 'Phone' }
    const asked = await anonymous.post<{ session: string }>('/register', wanted)
    expect(asked).toMatchObject({ status: 401, body: { flows: [{ stages: ['m.login.dummy'] }], params: {} } })
    expect(asked.body).not.toHaveProperty('errcode')
    const auth = { ...dummy, session: asked.body.session }
    const made = await anonymous.post<SignedIn>('/register', { ...wanted, auth })
    expect(made).toMatchObject({ status: 200, body: { user_id: '@flows:test.local', device_id: 'D' } })
    const devices = await clientWith(made.body.access_token).get('/devices')
    expect(devices.body).toMatchObject({ devices: [{ device_id: 'D', display_name: 'Phone' }] })
  })

  test('null stands for no auth and no session, as matrix-rust-sdk writes them', async () => {
    expect(await anonymous.post('/register', { password, auth: null })).toMatchObject({ status: 401 })
    expect(await anonymous.post('/register', { password, auth: { ...dummy, session: null } })).toMatchObject({
      status: 200,
    })
  })

  test('without a name one is made up', async () => {
    const one = await anonymous.post<SignedIn>('/register', { password, auth: dummy })
    const other = await anonymous.post<SignedIn>('/register', { password, auth: dummy })
    expect(one.body.user_id).toMatch(/^@[a-z]{16}:test\.local$/)
    expect(one.body.user_id).not.toBe(other.body.user_id)
  })

  test('inhibit_login makes the account and no device', async () => {
    const made = await anonymous.post('/register', { username: 'later', password, auth: dummy, inhibit_login: true })
    expect(made).toMatchObject({ status: 200, body: { user_id: '@later:test.local' } })
    expect(made.body).not.toHaveProperty('access_token')
    expect(made.body).not.toHaveProperty('device_id')
    const signIn = { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'later' }, password }
    const { body } = await anonymous.post<SignedIn>('/login', signIn)
    expect((await clientWith(body.access_token).get<{ devices: [] }>('/devices')).body.devices).toHaveLength(1)
  })

  test('capital letters become small ones', async () => {
    expect((await registerUser('UPPER-case')).userId).toBe('@upper-case:test.local')
  })

  test('of twenty who want one name at once, one gets it', async () => {
    const wanted = { username: 'contested', password, auth: dummy }
    const answers = await Promise.all(Array.from({ length: 20 }, () => anonymous.post('/register', wanted)))
    const winners = answers.filter(({ status }) => status === 200)
    expect(winners).toHaveLength(1)
    for (const loser of answers.filter((answer) => answer !== winners[0])) {
      expect(loser).toMatchObject({ status: 400, body: { errcode: 'M_USER_IN_USE' } })
    }
  })

  test('a taken name is refused before anything is asked, whatever its capitals', async () => {
    await registerUser('taken')
    for (const username of ['taken', 'TAKEN']) {
      const asked = await anonymous.post('/register', { username, password })
      expect(asked).toMatchObject({ status: 400, body: { errcode: 'M_USER_IN_USE' } })
      const available = await anonymous.get(`/register/available?username=${username}`)
      expect(available).toMatchObject({ status: 400, body: { errcode: 'M_USER_IN_USE' } })
    }
    expect(await anonymous.get('/register/available?username=free')).toMatchObject({
      status: 200,
      body: { available: true },
    })
  })

  const longest = 'a'.repeat(255 - '@:test.local'.length)
  test.each(['q', '3', '.', '=', '-', '/', 'a+b', longest])('the name %s is allowed', async (username) => {
    expect(await anonymous.get(`/register/available?username=${encodeURIComponent(username)}`)).toMatchObject({
      status: 200,
    })
  })
  const forbidden = [
    '',
    ' ',
    'a b',
    'a:b',
    '@a',
    '@a:test.local',
    'é',
    'a\n',
    "'",
    '"',
    '\\',
    '?',
    '!',
    '\u212a',
    'a\0b',
  ]
  test.each([...forbidden, `${longest}a`])('the name %j is not', async (username) => {
    const refused = { status: 400, body: { errcode: 'M_INVALID_USERNAME' } }
    expect(await anonymous.post('/register', { username, password, auth: dummy })).toMatchObject(refused)
    const query = new URLSearchParams({ username })
    expect(await anonymous.get(`/register/available?${query.toString()}`)).toMatchObject(refused)
  })
  test('names in _ are reserved', async () => {
    const refused = { status: 400, body: { errcode: 'M_EXCLUSIVE' } }
    expect(await anonymous.post('/register', { username: '_irc_bob', password, auth: dummy })).toMatchObject(refused)
  })

  test.each([
    [{ username: 1 }, 'M_BAD_JSON'],
    [{ username: null }, 'M_BAD_JSON'],
    [{ password: 1 }, 'M_BAD_JSON'],
    [{ auth: 'dummy' }, 'M_BAD_JSON'],
    [{ auth: [] }, 'M_BAD_JSON'],
    [{ auth: { ...dummy, session: 1 } }, 'M_BAD_JSON'],
    [{ inhibit_login: 'yes' }, 'M_BAD_JSON'],
    [{ device_id: '' }, 'M_BAD_JSON'],
    [{ device_id: 'd'.repeat(256) }, 'M_BAD_JSON'],
    [{ password: undefined }, 'M_MISSING_PARAM'],
    [{ password: 'five5' }, 'M_WEAK_PASSWORD'],
    [{ password: 'x'.repeat(513) }, 'M_INVALID_PARAM'],
    [{ username: 'bad\ud800' }, 'M_INVALID_USERNAME'],
    [{ initial_device_display_name: '\ud800' }, 'M_BAD_JSON'],
  ])('%j is refused as %s', async (part, errcode) => {
    const body = { username: 'nobody-yet', password, auth: dummy, ...part }
    expect(await anonymous.post('/register', body)).toMatchObject({ status: 400, body: { errcode } })
    expect(await anonymous.get('/register/available?username=nobody-yet')).toMatchObject({ status: 200 })
  })
  test.each([
    ['{', 'M_NOT_JSON'],
    ['', 'M_NOT_JSON'],
    ['[]', 'M_BAD_JSON'],
    ['null', 'M_BAD_JSON'],
  ])('the body %j is refused as %s', async (body, errcode) => {
    expect(await anonymous.post('/register', body)).toMatchObject({ status: 400, body: { errcode } })
  })
  test('an unknown kind is refused', async () => {
    const answer = await anonymous.post('/register?kind=robot', { auth: dummy, password })
    expect(answer).toMatchObject({ status: 400, body: { errcode: 'M_INVALID_PARAM' } })
  })
})

describe('a guest', () => {
  const register = (body: unknown = {}) => anonymous.post<SignedIn>('/register?kind=guest', body)

  test('registers without any authentication and may do what guests may', async () => {
    const ignored = { username: 'chosen', password, device_id: 'MINE', inhibit_login: true }
    const { status, body } = await register({ ...ignored, initial_device_display_name: 'Kiosk' })
    expect(status).toBe(200)
    expect(body.user_id).toMatch(/^@guest-[a-z]{16}:test\.local$/)
    expect(body.device_id).not.toBe('MINE')
    const guest = clientWith(body.access_token)
    expect((await guest.get('/account/whoami')).body).toMatchObject({ is_guest: true })
    expect((await guest.get('/devices')).body).toMatchObject({ devices: [{ display_name: 'Kiosk' }] })
    expect(await guest.put(`/profile/${body.user_id}/displayname`, { displayname: 'G' })).toMatchObject({ status: 200 })
    const refused = { status: 403, body: { errcode: 'M_GUEST_ACCESS_FORBIDDEN' } }
    const avatar = { avatar_url: 'mxc://test.local/a' }
    expect(await guest.put(`/profile/${body.user_id}/avatar_url`, avatar)).toMatchObject(refused)
    expect(await guest.post('/account/password', { new_password: password })).toMatchObject(refused)
    expect(await guest.post('/account/deactivate')).toMatchObject(refused)
    expect(await guest.delete('/devices/X')).toMatchObject(refused)
  })

  test('cannot be signed in to by any password', async () => {
    const { body } = await register()
    const identifier = { type: 'm.id.user', user: body.user_id }
    for (const guess of ['', 'null', 'password']) {
      const answer = await anonymous.post('/login', { type: 'm.login.password', identifier, password: guess })
      expect(answer).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } })
    }
  })

  test('becomes a user by registering with the guest token', async () => {
    const { body } = await register()
    const username = body.user_id.slice(1, body.user_id.indexOf(':'))
    const wanted = { username, password, guest_access_token: body.access_token, auth: dummy }
    const upgraded = await anonymous.post<SignedIn>('/register', wanted)
    expect(upgraded).toMatchObject({ status: 200, body: { user_id: body.user_id } })
    expect((await clientWith(upgraded.body.access_token).get('/account/whoami')).body).toMatchObject({
      is_guest: false,
    })
    // The guest's token has ended, and with it the way to do this again.
    expect(await clientWith(body.access_token).get('/account/whoami')).toMatchObject({ status: 401 })
    expect(await anonymous.post('/register', wanted)).toMatchObject({ status: 403 })
  })

  test("cannot take over another's account by upgrading", async () => {
    const victim = await registerUser('guest-victim')
    const { body } = await register()
    const wanted = { username: 'guest-victim', password, auth: dummy }
    for (const guest_access_token of [body.access_token, victim.accessToken, 'hrt_x', '']) {
      const answer = await anonymous.post('/register', { ...wanted, guest_access_token })
      expect(answer.status).toBeGreaterThanOrEqual(400)
    }
    expect(await victim.get('/account/whoami')).toMatchObject({ status: 200 })
    const identifier = { type: 'm.id.user', user: victim.userId }
    const attempt = await anonymous.post('/login', { type: 'm.login.password', identifier, password })
    expect(attempt).toMatchObject({ status: 403 })
  })
})

describe('on a server that wants a token', () => {
  const settings = { REGISTRATION: 'token' }
  const register = (body: unknown) =>
    ask<{ session: string; errcode?: string }>(settings, 'POST', '/_matrix/client/v3/register', body)
  const validity = (token: string) =>
    ask(settings, 'GET', `/_matrix/client/v1/register/m.login.registration_token/validity?token=${token}`)
  const withToken = (token: string) => ({ type: 'm.login.registration_token', token })

  test('who has one registers, as often as it allows', async () => {
    await createRegistrationToken(env, { token: 'twice', usesAllowed: 2, expiresAt: null })
    expect((await validity('twice')).body).toEqual({ valid: true })
    const asked = await register({ username: 'token-1', password })
    expect(asked).toMatchObject({ status: 401, body: { flows: [{ stages: ['m.login.registration_token'] }] } })
    const auth = { ...withToken('twice'), session: asked.body.session }
    expect(await register({ username: 'token-1', password, auth })).toMatchObject({ status: 200 })
    expect(await register({ username: 'token-2', password, auth: withToken('twice') })).toMatchObject({ status: 200 })
    expect((await validity('twice')).body).toEqual({ valid: false })
    const late = await register({ username: 'token-3', password, auth: withToken('twice') })
    expect(late).toMatchObject({ status: 401, body: { errcode: 'M_FORBIDDEN' } })
    expect(await anonymous.get('/register/available?username=token-3')).toMatchObject({ status: 200 })
  })

  test('ten at once with a token for three are three', async () => {
    await createRegistrationToken(env, { token: 'three', usesAllowed: 3, expiresAt: null })
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, n) => register({ username: `crowd-${n}`, password, auth: withToken('three') })),
    )
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(3)
    const row = (await listRegistrationTokens(env)).find(({ token }) => token === 'three')
    expect(row?.uses).toBe(3)
  })

  test('a registration that fails uses nothing up', async () => {
    await createRegistrationToken(env, { token: 'once', usesAllowed: 1, expiresAt: null })
    const wanted = { username: 'same-name', password, auth: withToken('once') }
    const answers = await Promise.all([register({ ...wanted, auth: dummy }), register(wanted)])
    expect(answers.map(({ status }) => status)).toEqual([401, 200])
  })

  test.each(['unknown', '', 'has%20space', 'x'.repeat(65)])('the token %j is not valid', async (token) => {
    expect((await validity(token)).body).toEqual({ valid: false })
    const answer = await register({ username: 'no-token', password, auth: withToken(decodeURIComponent(token)) })
    expect(answer).toMatchObject({ status: 401, body: { errcode: 'M_FORBIDDEN' } })
  })

  test('an expired token is not valid', async () => {
    await createRegistrationToken(env, { token: 'past', usesAllowed: null, expiresAt: Date.now() - 1 })
    expect((await validity('past')).body).toEqual({ valid: false })
  })

  test('neither dummy nor being a guest gets around it', async () => {
    const without = await register({ username: 'sneaky', password, auth: dummy })
    expect(without).toMatchObject({ status: 401, body: { errcode: 'M_FORBIDDEN' } })
    const guest = await ask(settings, 'POST', '/_matrix/client/v3/register?kind=guest', {})
    expect(guest).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } })
    expect(await register({ username: 'sneaky', password, auth: withToken('') })).toMatchObject({ status: 401 })
    const noToken = await register({ username: 'sneaky', password, auth: { type: 'm.login.registration_token' } })
    expect(noToken).toMatchObject({ status: 400, body: { errcode: 'M_MISSING_PARAM' } })
  })
})

describe('on a closed server', () => {
  test.each([
    ['POST', '/_matrix/client/v3/register'],
    ['POST', '/_matrix/client/v3/register?kind=guest'],
    ['GET', '/_matrix/client/v3/register/available?username=x'],
    ['GET', '/_matrix/client/v1/register/m.login.registration_token/validity?token=x'],
  ])('%s %s is forbidden', async (method, path) => {
    const body = method === 'POST' ? { username: 'x', password, auth: dummy } : undefined
    const refused = { status: 403, body: { errcode: 'M_FORBIDDEN' } }
    expect(await ask({ REGISTRATION: 'closed' }, method, path, body)).toMatchObject(refused)
    // Closed is also what a server is whose owner said nothing.
    expect(await ask({ REGISTRATION: '' }, method, path, body)).toMatchObject(refused)
  })
})
