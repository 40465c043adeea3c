/** Signing in another client by a token of one that is signed in. Spec: client-server-api/#post_matrixclientv1loginget_token. */
import { env } from 'cloudflare:workers'
import { beforeAll, expect, test } from 'vitest'

import { hashToken } from '../../../worker/accounts/tokens.ts'
import { anonymous, clientWith, passwordAuth, registerUser, type User } from '../client.ts'
import { refused } from '../rooms/rooms.ts'

const path = '/_matrix/client/v1/login/get_token'
interface Token {
  readonly login_token: string
  readonly expires_in_ms: number
  readonly session: string
}
const signIn = (token: unknown, more = {}) =>
  anonymous.post<{ user_id: string; access_token: string; device_id: string }>('/login', {
    type: 'm.login.token',
    token,
    ...more,
  })
const tokenOf = async (user: User) => {
  const { session } = (await user.post<Token>(path)).body
  return (await user.post<Token>(path, { auth: passwordAuth(user, session) })).body.login_token
}

let alice: User
beforeAll(async () => {
  alice = await registerUser('token-alice')
})

test('a token asks for the password, each time, and signs in once', async () => {
  const asked = await alice.post<Token>(path)
  expect(asked).toMatchObject({ status: 401, body: { flows: [{ stages: ['m.login.password'] }] } })
  const auth = passwordAuth(alice, asked.body.session)
  const given = await alice.post<Token>(path, { auth })
  expect(given).toMatchObject({ status: 200, body: { expires_in_ms: 120_000 } })
  expect((await alice.post(path, { auth })).status).toBe(401)
  const token = given.body.login_token
  const [one, other] = await Promise.all([signIn(token, { device_id: 'PHONE' }), signIn(token)])
  expect([one.status, other.status].toSorted((a, b) => a - b)).toEqual([200, 403])
  const { access_token } = (one.status === 200 ? one : other).body
  expect((await clientWith(access_token).get('/account/whoami')).body).toMatchObject({ user_id: alice.userId })
  expect(await signIn(token)).toMatchObject(refused(403, 'M_FORBIDDEN'))
})

test('a token is for two minutes, for an account that is there, and opens nothing else', async () => {
  const late = await tokenOf(alice)
  await env.DB.prepare('UPDATE login_tokens SET expires_at = ? WHERE hash = ?').bind(Date.now(), hashToken(late)).run()
  expect(await signIn(late)).toMatchObject(refused(403, 'M_FORBIDDEN'))
  const leaver = await registerUser('token-leaver')
  const left = await tokenOf(leaver)
  expect(await clientWith(left).get('/account/whoami')).toMatchObject(refused(401, 'M_UNKNOWN_TOKEN'))
  await leaver.post('/account/deactivate', { auth: passwordAuth(leaver) })
  expect(await signIn(left)).toMatchObject(refused(403, 'M_FORBIDDEN'))
  for (const wrong of ['', 'x', alice.accessToken, `${left}x`]) {
    expect(await signIn(wrong), wrong).toMatchObject(refused(403, 'M_FORBIDDEN'))
  }
})

test('it takes a token of a user, who is no guest', async () => {
  expect(await anonymous.post(path)).toMatchObject(refused(401, 'M_MISSING_TOKEN'))
  expect(await clientWith('wrong').post(path)).toMatchObject(refused(401, 'M_UNKNOWN_TOKEN'))
  const { body } = await anonymous.post<{ access_token: string }>('/register?kind=guest')
  expect(await clientWith(body.access_token).post(path)).toMatchObject(refused(403, 'M_GUEST_ACCESS_FORBIDDEN'))
  expect(await alice.post(path, '[]')).toMatchObject(refused(400, 'M_BAD_JSON'))
})
