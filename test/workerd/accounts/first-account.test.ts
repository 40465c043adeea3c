/** The one-time link by which the owner makes the first account in a browser. */
import { createHmac } from 'node:crypto'

import { env } from 'cloudflare:workers'
import { beforeEach, expect, test } from 'vitest'

import { createRegistrationToken, listRegistrationTokens } from '../../../worker/accounts/registration-tokens.ts'
import { anonymous, clientWith, login, registerUser, send } from '../client.ts'
import { ask } from './servers.ts'

const secret = 'shared-secret-of-the-tests'
const password = 'correct horse'
const path = '/_hearth/first-account'

beforeEach(async () => {
  await anonymous.get('/_matrix/client/versions')
  await env.DB.batch([
    env.DB.prepare('UPDATE users SET is_admin = 0'),
    env.DB.prepare('DELETE FROM registration_tokens'),
  ])
})

async function sealedNonce(key: string) {
  const { body } = await anonymous.get<{ nonce: string }>('/_synapse/admin/v1/register')
  return { nonce: body.nonce, mac: createHmac('sha256', key).update(`${body.nonce}\0first-account`).digest('hex') }
}

async function newLink(): Promise<string> {
  const { status, body } = await anonymous.post<{ token: string }>(`${path}/link`, await sealedNonce(secret))
  expect(status).toBe(200)
  return body.token
}
const isValid = async (token: string) => (await anonymous.post(`${path}/validity`, { token })).body['valid']
const make = (token: string, username: string) => anonymous.post(path, { token, username, password })

test('makes the administrator, once', async () => {
  const token = await newLink()
  expect(await isValid(token)).toBe(true)
  expect(await make(token, 'Owner')).toMatchObject({ status: 200, body: { user_id: '@owner:test.local' } })
  const owner = await login({ userId: '@owner:test.local', password })
  expect((await owner.get('/_synapse/admin/v2/users')).status).toBe(200)
  expect((await owner.get(`/profile/${owner.userId}`)).body).toEqual({ displayname: 'owner' })
  expect(await isValid(token)).toBe(false)
  expect(await make(token, 'second')).toMatchObject({
    status: 403,
    body: { errcode: 'M_FORBIDDEN', error: 'This link was used already, or it is too old' },
  })
  // There is an administrator: no more links.
  expect((await anonymous.post(`${path}/link`, await sealedNonce(secret))).status).toBe(404)
})

test('works where registration is closed', async () => {
  const token = await newLink()
  const closed = { REGISTRATION: 'closed' }
  const made = await ask(closed, 'POST', path, { token, username: 'closed-owner', password })
  expect(made).toMatchObject({ status: 200, body: { user_id: '@closed-owner:test.local' } })
})

test('of two who use it at the same time, one becomes administrator', async () => {
  const token = await newLink()
  const both = await Promise.all([make(token, 'one-of-two'), make(token, 'two-of-two')])
  expect(new Set(both.map(({ status }) => status))).toEqual(new Set([200, 403]))
})

test('a refused name or password leaves it good', async () => {
  await registerUser('first-taken')
  const token = await newLink()
  expect((await make(token, 'first-taken')).body).toMatchObject({ errcode: 'M_USER_IN_USE' })
  expect((await make(token, 'no spaces')).body).toMatchObject({ errcode: 'M_INVALID_USERNAME' })
  expect((await anonymous.post(path, { token, username: 'short', password: '12345' })).body).toMatchObject({
    errcode: 'M_WEAK_PASSWORD',
  })
  expect((await anonymous.post(path, { token })).body).toMatchObject({ errcode: 'M_MISSING_PARAM' })
  expect((await make(token, 'at-last')).status).toBe(200)
})

test('an old link, a link before the newest and a link once there is an administrator are dead', async () => {
  const replaced = await newLink()
  const token = await newLink()
  expect(await isValid(replaced)).toBe(false)
  await env.DB.prepare('UPDATE registration_tokens SET expires_at = ?')
    .bind(Date.now() - 1)
    .run()
  expect(await isValid(token)).toBe(false)
  expect((await make(token, 'too-late')).status).toBe(403)
  const third = await newLink()
  await registerUser('other-admin')
  await env.DB.prepare("UPDATE users SET is_admin = 1 WHERE user_id = '@other-admin:test.local'").run()
  expect(await isValid(third)).toBe(false)
  expect((await make(third, 'late')).status).toBe(403)
})

test('only a hash is kept, and it opens nothing', async () => {
  const token = await newLink()
  const { results } = await env.DB.prepare('SELECT token FROM registration_tokens').all<{ token: string }>()
  expect(JSON.stringify(results)).not.toContain(token)
  const [{ token: name } = { token: '' }] = results
  for (const guess of [name, token, `first-account:${token}`]) {
    const auth = { type: 'm.login.registration_token', token: guess }
    const body = { username: 'sneaky', password, auth }
    expect((await ask({ REGISTRATION: 'token' }, 'POST', '/_matrix/client/v3/register', body)).status).toBe(401)
  }
  expect(await isValid(name)).toBe(false)
})

test('links do not stand among the registration tokens', async () => {
  await newLink()
  await createRegistrationToken(env, { token: 'for-all', usesAllowed: null, expiresAt: null })
  expect((await listRegistrationTokens(env)).map(({ token }) => token)).toEqual(['for-all'])
})

test('a registration token is no link', async () => {
  await createRegistrationToken(env, { token: 'a-friend', usesAllowed: 1, expiresAt: Date.now() + 60_000 })
  expect(await isValid('a-friend')).toBe(false)
  expect((await make('a-friend', 'friend')).status).toBe(403)
})

test('links are for those who know the secret', async () => {
  expect((await anonymous.post(`${path}/link`, await sealedNonce('wrong'))).status).toBe(403)
  expect((await anonymous.post(`${path}/link`, { nonce: 'made up', mac: '00' })).status).toBe(400)
  // The seal of an account is none of a link.
  const { nonce } = await sealedNonce(secret)
  const mac = createHmac('sha1', secret).update([nonce, 'a', 'b', 'admin'].join('\0')).digest('hex')
  expect((await anonymous.post(`${path}/link`, { nonce, mac })).status).toBe(403)
  const without = await ask({ REGISTRATION_SHARED_SECRET: '' }, 'POST', `${path}/link`, { nonce, mac })
  expect(without).toMatchObject({ status: 404, body: { errcode: 'M_UNRECOGNIZED' } })
})

test("a server that still has the example's name makes no link", async () => {
  const unset = { SERVER_NAME: 'example.org', PUBLIC_URL: 'https://matrix.example.org' }
  const answer = await ask(unset, 'POST', `${path}/link`, await sealedNonce(secret))
  expect(answer).toMatchObject({ status: 403, body: { error: expect.stringContaining('SERVER_NAME is still') } })
})

test('a body that is none is refused', async () => {
  expect((await send('POST', path, 'not json')).body).toMatchObject({ errcode: 'M_NOT_JSON' })
  expect((await clientWith().get(path)).status).toBe(405)
})
