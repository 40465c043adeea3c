/** Registering by shared secret and handling registration tokens, as tools do it with Synapse. */
import { createHmac } from 'node:crypto'

import { describe, expect, test } from 'vitest'

import { anonymous, clientWith, registerUser } from '../client.ts'
import { ask } from './servers.ts'

const path = '/_synapse/admin/v1/register'
/** As in vitest.config.ts. */
const secret = 'shared-secret-of-the-tests'

interface Account {
  username: string
  password: string
  admin?: boolean
  user_type?: string
  displayname?: string
}

const nonce = async () => (await anonymous.get<{ nonce: string }>(path)).body.nonce

function signed(account: Account, theNonce: string, key = secret) {
  const { username, password, admin, user_type } = account
  const parts = [
    theNonce,
    username,
    password,
    admin ? 'admin' : 'notadmin',
    ...(user_type === undefined ? [] : [user_type]),
  ]
  return { ...account, nonce: theNonce, mac: createHmac('sha1', key).update(parts.join('\0')).digest('hex') }
}

describe('with the shared secret', () => {
  test('accounts are made, whatever the server says to others', async () => {
    const account = { username: 'Secret-User', password: 'p\u00e4ssword', displayname: 'S. User' }
    const body = signed(account, await nonce())
    const made = await ask<{ access_token: string }>({ REGISTRATION: 'closed' }, 'POST', path, body)
    expect(made).toMatchObject({ status: 200, body: { user_id: '@secret-user:test.local', home_server: 'test.local' } })
    expect((await clientWith(made.body.access_token).get('/account/whoami')).status).toBe(200)
    expect((await anonymous.get('/profile/@secret-user:test.local')).body).toEqual({ displayname: 'S. User' })
    const identifier = { type: 'm.id.user', user: 'secret-user' }
    const signIn = { type: 'm.login.password', identifier, password: account.password }
    expect(await anonymous.post('/login', signIn)).toMatchObject({ status: 200 })
  })

  test('an admin may make and end registration tokens', async () => {
    const body = signed({ username: 'secret-admin', password: 'password', admin: true }, await nonce())
    const made = await anonymous.post<{ access_token: string }>(path, body)
    const admin = clientWith(made.body.access_token)
    const tokens = '/_synapse/admin/v1/registration_tokens'
    const wanted = { token: 'from-admin', uses_allowed: 3, expiry_time: Date.now() + 60_000 }
    const token = { ...wanted, pending: 0, completed: 0 }
    expect(await admin.post(`${tokens}/new`, wanted)).toMatchObject({ status: 200, body: token })
    expect(await admin.post(`${tokens}/new`, wanted)).toMatchObject({ status: 400 })
    expect((await admin.get(tokens)).body).toEqual({ registration_tokens: [token] })
    const random = await admin.post<{ token: string }>(`${tokens}/new`, {})
    expect(random.body).toMatchObject({
      token: expect.stringMatching(/^\w{16}$/),
      uses_allowed: null,
      expiry_time: null,
    })
    expect(await admin.delete(`${tokens}/from-admin`)).toMatchObject({ status: 200 })
    expect(await admin.delete(`${tokens}/from-admin`)).toMatchObject({ status: 404 })
    for (const bad of [{ token: 'has space' }, { token: '' }, { uses_allowed: -1 }, { uses_allowed: 1.5 }]) {
      expect(await admin.post(`${tokens}/new`, bad)).toMatchObject({ status: 400, body: { errcode: 'M_BAD_JSON' } })
    }
  })

  test('nobody else may touch registration tokens', async () => {
    const user = await registerUser('secret-nobody')
    const tokens = '/_synapse/admin/v1/registration_tokens'
    for (const answer of [await user.post(`${tokens}/new`), await user.get(tokens), await user.delete(`${tokens}/x`)]) {
      expect(answer).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } })
    }
    expect(await anonymous.get(tokens)).toMatchObject({ status: 401 })
  })

  test('the kind of user is part of what is signed', async () => {
    const account = { username: 'secret-kind', password: 'password', user_type: 'bot' }
    const body = signed(account, await nonce())
    expect(await anonymous.post(path, { ...body, user_type: 'support' })).toMatchObject({ status: 403 })
    expect(await anonymous.post(path, body)).toMatchObject({ status: 200 })
  })
})

describe('is refused', () => {
  const account = { username: 'secret-refused', password: 'password' }

  test('a wrong secret, or another account than the one signed', async () => {
    const good = signed(account, await nonce())
    const attempts = [
      signed(account, await nonce(), 'another secret'),
      signed(account, await nonce(), ''),
      { ...good, admin: true },
      { ...good, password: 'another' },
      { ...good, username: 'secret-other' },
      { ...good, mac: '' },
      { ...good, mac: good.mac.slice(0, -1) },
    ]
    for (const attempt of attempts) {
      expect(await anonymous.post(path, attempt)).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } })
    }
    expect(await anonymous.get('/register/available?username=secret-refused')).toMatchObject({ status: 200 })
  })

  test('a nonce that is made up, changed, old or from the future', async () => {
    const [time = '', random = '', seal = ''] = (await nonce()).split('.')
    const sealed = (time: number) => {
      const text = `${time}.${random}`
      return `${text}.${createHmac('sha256', secret).update(`registration nonce\n${text}`).digest('hex')}`
    }
    const changed = `${Number(time) - 1}.${random}.${seal}`
    const nonces = ['', 'x', '..', changed, sealed(Date.now() - 61_000), sealed(Date.now() + 9_000)]
    for (const bad of nonces) {
      const refused = { status: 400, body: { errcode: 'M_INVALID_PARAM' } }
      expect(await anonymous.post(path, signed(account, bad))).toMatchObject(refused)
    }
    expect(await anonymous.post(path, signed(account, sealed(Date.now())))).toMatchObject({ status: 200 })
  })

  test('the same request a second time', async () => {
    const body = signed({ username: 'secret-replayed', password: 'password' }, await nonce())
    expect(await anonymous.post(path, body)).toMatchObject({ status: 200 })
    expect(await anonymous.post(path, body)).toMatchObject({ status: 400, body: { errcode: 'M_USER_IN_USE' } })
  })

  test.each([
    ['us,er', 'M_INVALID_USERNAME'],
    ['_reserved', 'M_EXCLUSIVE'],
  ])('the name %s', async (username, errcode) => {
    const body = signed({ username, password: 'password' }, await nonce())
    expect(await anonymous.post(path, body)).toMatchObject({ status: 400, body: { errcode } })
  })

  test.each([{}, { username: 'x' }, { username: 1, password: 'x', nonce: 'x', mac: 'x' }])('%j', async (body) => {
    expect(await anonymous.post(path, body)).toMatchObject({ status: 400 })
  })

  test('everything, on a server without a secret', async () => {
    const unknown = { status: 404, body: { errcode: 'M_UNRECOGNIZED' } }
    const settings = { REGISTRATION_SHARED_SECRET: '' }
    expect(await ask(settings, 'GET', path)).toMatchObject(unknown)
    const body = signed(account, await nonce(), '')
    expect(await ask(settings, 'POST', path, body)).toMatchObject(unknown)
  })
})
