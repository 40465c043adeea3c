/** Signing in, refreshing and signing out over HTTP. */
import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, test } from 'vitest'

import { hashToken } from '../../../worker/accounts/tokens.ts'
import { anonymous, clientWith, login, registerUser, send, type User } from '../client.ts'

interface Tokens {
  user_id: string
  device_id: string
  access_token: string
  refresh_token: string
  expires_in_ms: number
}

let alice: User

beforeAll(async () => {
  alice = await registerUser('login-alice')
})

const unknown = { status: 401, body: { errcode: 'M_UNKNOWN_TOKEN' } }
const isGood = async (token: string) => (await clientWith(token).get('/account/whoami')).status === 200

describe('signing in', () => {
  const signIn = (body: unknown) => anonymous.post<Tokens>('/login', body)
  const type = 'm.login.password'

  test('the flows are listed', async () => {
    expect((await anonymous.get('/login')).body).toEqual({
      flows: [{ type: 'm.login.password' }, { type: 'm.login.token', get_login_token: true }],
    })
    expect((await anonymous.get('/_matrix/client/r0/login')).status).toBe(200)
  })

  test.each<[string, (user: User) => object]>([
    ['a user ID', ({ userId }) => ({ identifier: { type: 'm.id.user', user: userId } })],
    ['a localpart', () => ({ identifier: { type: 'm.id.user', user: 'login-alice' } })],
    ['capital letters', () => ({ identifier: { type: 'm.id.user', user: '@LOGIN-Alice:test.local' } })],
    ['a capital localpart', () => ({ identifier: { type: 'm.id.user', user: 'Login-Alice' } })],
    ['the user key of old', ({ userId }) => ({ user: userId })],
    ['the user key with a localpart', () => ({ user: 'login-alice' })],
  ])('works by %s', async (_, who) => {
    const { status, body } = await signIn({ type, password: alice.password, ...who(alice) })
    expect({ status, body }).toMatchObject({ status: 200, body: { user_id: alice.userId, home_server: 'test.local' } })
    expect(body).not.toHaveProperty('expires_in_ms')
    expect((await clientWith(body.access_token).get('/account/whoami')).body).toMatchObject({
      user_id: alice.userId,
      device_id: body.device_id,
    })
  })

  const user = { type: 'm.id.user', user: 'login-alice' }
  const email = { medium: 'email', address: 'a@example.org' }
  test.each<[number, string, object]>([
    [403, 'M_FORBIDDEN', { identifier: user, password: 'wrong' }],
    [403, 'M_FORBIDDEN', { identifier: user, password: '' }],
    [403, 'M_FORBIDDEN', { identifier: user, password: 'x'.repeat(100_000) }],
    [403, 'M_FORBIDDEN', { identifier: { type: 'm.id.user', user: 'nobody' } }],
    [403, 'M_FORBIDDEN', { identifier: { type: 'm.id.user', user: '@login-alice:elsewhere.example' } }],
    [403, 'M_FORBIDDEN', { identifier: { type: 'm.id.user', user: '@login-alice' } }],
    [403, 'M_FORBIDDEN', { identifier: { type: 'm.id.user', user: '' } }],
    [403, 'M_FORBIDDEN', { identifier: { type: 'm.id.user', user: 'login-alice\0' } }],
    [403, 'M_FORBIDDEN', { identifier: { type: 'm.id.user', user: 'x'.repeat(1000) } }],
    [403, 'M_FORBIDDEN', { identifier: { type: 'm.id.thirdparty', ...email } }],
    [403, 'M_FORBIDDEN', { identifier: email }],
    [403, 'M_FORBIDDEN', { identifier: { type: 'm.id.phone', country: 'GB', phone: '07700900001' } }],
    [403, 'M_FORBIDDEN', email],
    [400, 'M_UNKNOWN', { identifier: { type: 'm.id.magic' } }],
    [400, 'M_UNKNOWN', { type: 'm.login.dummy', identifier: user }],
    [403, 'M_FORBIDDEN', { type: 'm.login.token', token: 'x' }],
    [400, 'M_MISSING_PARAM', { type: 'm.login.token' }],
    [400, 'M_BAD_JSON', { type: 'm.login.token', token: 7 }],
    [400, 'M_MISSING_PARAM', { identifier: user, password: undefined }],
    [400, 'M_MISSING_PARAM', { identifier: user, type: undefined }],
    [400, 'M_MISSING_PARAM', {}],
    [400, 'M_MISSING_PARAM', { identifier: { type: 'm.id.user' } }],
    [400, 'M_MISSING_PARAM', { identifier: {} }],
    [400, 'M_BAD_JSON', { identifier: 'login-alice' }],
    [400, 'M_BAD_JSON', { identifier: { type: 'm.id.user', user: 1 } }],
    [400, 'M_BAD_JSON', { identifier: user, password: 1 }],
    [400, 'M_BAD_JSON', { identifier: user, type: ['m.login.password'] }],
    [400, 'M_BAD_JSON', { identifier: user, device_id: 1 }],
    [400, 'M_BAD_JSON', { identifier: user, refresh_token: 'true' }],
  ])('%i %s for %j', async (status, errcode, part) => {
    const answer = await signIn({ type, password: alice.password, ...part })
    expect(answer).toMatchObject({ status, body: { errcode } })
  })

  test('the password is never stored, and neither is a token', async () => {
    const { body } = await signIn({ type, identifier: user, password: alice.password, refresh_token: true })
    const { results: tables } = await env.DB.prepare(
      "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\'",
    ).all<{ name: string }>()
    expect(tables.length).toBeGreaterThan(7)
    for (const { name } of tables) {
      const rows = JSON.stringify((await env.DB.prepare(`SELECT * FROM "${name}"`).all()).results)
      for (const secret of [alice.password, alice.accessToken, body.access_token, body.refresh_token]) {
        expect(rows).not.toContain(secret)
      }
    }
  })

  test('a password is the same however its letters are composed', async () => {
    const name = 'composed'
    const auth = { type: 'm.login.dummy' }
    await anonymous.post('/register', { username: name, password: 'pass-\u00fc', auth })
    const identifier = { type: 'm.id.user', user: name }
    expect(await signIn({ type, identifier, password: 'pass-u\u0308' })).toMatchObject({ status: 200 })
    expect(await signIn({ type, identifier, password: 'pass-u' })).toMatchObject({ status: 403 })
  })

  test('on a known device it keeps the device and ends its tokens', async () => {
    const first = await login(alice, { device_id: 'LAPTOP', initial_device_display_name: 'Laptop' })
    const again = await login(alice, { device_id: 'LAPTOP', initial_device_display_name: 'Ignored' })
    expect(await isGood(first.accessToken)).toBe(false)
    expect((await again.get('/devices/LAPTOP')).body).toMatchObject({ display_name: 'Laptop' })
  })

  test('a device of that name of someone else is another device', async () => {
    const bob = await registerUser('login-bob', { device_id: 'SHARED' })
    await login(alice, { device_id: 'SHARED' })
    expect(await bob.get('/account/whoami')).toMatchObject({ status: 200, body: { user_id: bob.userId } })
  })

  test('a hash that is too cheap is renewed at the next sign-in', async () => {
    const carol = await registerUser('login-carol')
    const read = () =>
      env.DB.prepare('SELECT password_hash FROM users WHERE user_id = ?')
        .bind(carol.userId)
        .first<string>('password_hash')
    // "hunter22" by scrypt with N = 2^10, r = 4, p = 1, the salt being "salt salt salt s".
    const cheap = '$scrypt$ln=10,r=4,p=1$c2FsdCBzYWx0IHNhbHQgcw$lkycwcfUBClla62ngHLR+9gFycjrKNLgRrc1+jCh/4k'
    await env.DB.prepare('UPDATE users SET password_hash = ? WHERE user_id = ?').bind(cheap, carol.userId).run()
    await login({ ...carol, password: 'hunter22' })
    expect(await read()).toMatch(/^\$scrypt\$ln=14,r=8,p=1\$/)
    await login({ ...carol, password: 'hunter22' })
  })
})

describe('an access token', () => {
  test('may come in the header or in the query', async () => {
    const token = alice.accessToken
    expect(await anonymous.get(`/account/whoami?access_token=${token}`)).toMatchObject({ status: 200 })
    for (const header of [`Bearer ${token}`, `bearer   ${token}`]) {
      expect(await send('GET', '/account/whoami', undefined, { Authorization: header })).toMatchObject({ status: 200 })
    }
  })

  test.each(['', 'Bearer', 'Bearer ', 'Basic YTpi', 'X-Matrix origin="x"'])('is missing in %j', async (header) => {
    const answer = await send('GET', '/account/whoami', undefined, { Authorization: header })
    expect(answer).toMatchObject({ status: 401, body: { errcode: 'M_MISSING_TOKEN' } })
  })

  test.each(['x', 'hrt_bG9naW4tYWxpY2U_x_0000000', "' OR 1=1 --", 'hrt_'.repeat(10_000)])(
    '%s is unknown',
    async (token) => {
      const answer = await anonymous.get(`/account/whoami?access_token=${encodeURIComponent(token)}`)
      expect(answer).toMatchObject(unknown)
      expect(answer.body).not.toHaveProperty('soft_logout')
    },
  )

  test('of one letter less or more is unknown', async () => {
    const token = alice.accessToken
    for (const wrong of [token.slice(0, -1), `${token}a`, token.toUpperCase(), token.replace('hrt', 'hrr')]) {
      expect(await isGood(wrong)).toBe(false)
    }
  })

  test('is not its hash', async () => {
    expect(await isGood(hashToken(alice.accessToken))).toBe(false)
  })

  test('tells when its device was last seen', async () => {
    const dave = await registerUser('login-dave', { device_id: 'SEEN' })
    const { body } = await dave.get<{ last_seen_ts: number }>('/devices/SEEN')
    expect(body.last_seen_ts).toBeGreaterThan(Date.now() - 60_000)
  })
})

describe('signing out', () => {
  test('ends the token and its device at once, and no other', async () => {
    const [phone, laptop] = [await login(alice), await login(alice)]
    expect(await isGood(phone.accessToken)).toBe(true)
    expect(await phone.post('/logout', '')).toMatchObject({ status: 200, body: {} })
    expect(await phone.get('/account/whoami')).toMatchObject(unknown)
    expect(await phone.post('/logout')).toMatchObject(unknown)
    expect(await laptop.get(`/devices/${phone.deviceId}`)).toMatchObject({ status: 404 })
    expect(await isGood(laptop.accessToken)).toBe(true)
  })

  test('everywhere ends every device', async () => {
    const erin = await registerUser('login-erin')
    const others = [await login(erin), await login(erin, { refresh_token: true })]
    for (const { accessToken } of [erin, ...others]) expect(await isGood(accessToken)).toBe(true)
    expect(await erin.post('/logout/all', '')).toMatchObject({ status: 200, body: {} })
    for (const { accessToken } of [erin, ...others]) expect(await isGood(accessToken)).toBe(false)
    expect((await (await login(erin)).get<{ devices: [] }>('/devices')).body.devices).toHaveLength(1)
  })

  test('needs a token', async () => {
    expect(await anonymous.post('/logout')).toMatchObject({ status: 401, body: { errcode: 'M_MISSING_TOKEN' } })
    expect(await clientWith('x').post('/logout/all')).toMatchObject(unknown)
  })
})

describe('refreshing', () => {
  const refresh = (refresh_token: unknown) => anonymous.post<Tokens>('/refresh', { refresh_token })
  async function session() {
    const { status, body } = await anonymous.post<Tokens>('/login', {
      type: 'm.login.password',
      user: 'login-alice',
      password: alice.password,
      refresh_token: true,
    })
    expect({ status, body }).toMatchObject({ status: 200, body: { expires_in_ms: expect.any(Number) } })
    return body
  }

  test('gives new tokens for the same device', async () => {
    const first = await session()
    const { status, body } = await refresh(first.refresh_token)
    expect({ status, body }).toMatchObject({ status: 200, body: { expires_in_ms: expect.any(Number) } })
    expect((await clientWith(body.access_token).get('/account/whoami')).body).toMatchObject({
      device_id: first.device_id,
    })
    expect(body.refresh_token).not.toBe(first.refresh_token)
  })

  test('the old tokens last until the new access token is used', async () => {
    const first = await session()
    // The answer is lost on its way: the client asks again.
    await refresh(first.refresh_token)
    expect(await isGood(first.access_token)).toBe(true)
    const { body } = await refresh(first.refresh_token)
    expect(await isGood(body.access_token)).toBe(true)
    expect(await refresh(first.refresh_token)).toMatchObject(unknown)
    expect(await isGood(first.access_token)).toBe(false)
    expect(await refresh(body.refresh_token)).toMatchObject({ status: 200 })
  })

  test('or until the new refresh token is', async () => {
    const first = await session()
    const { body: second } = await refresh(first.refresh_token)
    const { body: third } = await refresh(second.refresh_token)
    expect(await refresh(first.refresh_token)).toMatchObject(unknown)
    expect(await isGood(third.access_token)).toBe(true)
    expect(await refresh(second.refresh_token)).toMatchObject(unknown)
  })

  test('ends with the device', async () => {
    const { access_token, refresh_token } = await session()
    await clientWith(access_token).post('/logout')
    expect(await refresh(refresh_token)).toMatchObject(unknown)
  })

  test('an expired token is a soft logout, and can be refreshed', async () => {
    const { access_token, refresh_token } = await session()
    await env.DB.prepare('UPDATE access_tokens SET expires_at = ? WHERE hash = ?')
      .bind(1, hashToken(access_token))
      .run()
    const answer = await clientWith(access_token).get('/account/whoami')
    expect(answer).toMatchObject({ status: 401, body: { errcode: 'M_UNKNOWN_TOKEN', soft_logout: true } })
    const { body } = await refresh(refresh_token)
    expect(await isGood(body.access_token)).toBe(true)
  })

  test.each([1, null, undefined, ''])('%j is no refresh token', async (token) => {
    expect((await refresh(token)).status).toBe(token === '' ? 401 : 400)
  })
  test('an access token is none either, nor the other way round', async () => {
    const { access_token, refresh_token } = await session()
    expect(await refresh(access_token)).toMatchObject(unknown)
    expect(await isGood(refresh_token)).toBe(false)
  })
})
