/** Proving to other services who one is, and what clients ask for at start: bridged networks. Spec: #openid. */
import { parseUserId } from '#protocol/identifiers/user-id.ts'
import { env } from 'cloudflare:test'
import { beforeAll, describe, expect, test } from 'vitest'

import { newOpenIdToken, ownerOfOpenIdToken } from '../../../worker/accounts/openid-tokens.ts'
import { anonymous, passwordAuth, registerUser, type User } from '../client.ts'
import { ok, refused } from '../rooms/rooms.ts'

let alice: User
let bob: User

beforeAll(async () => {
  alice = await registerUser('openid-alice')
  bob = await registerUser('openid-bob')
})

const tokenPath = (user: User) => `/user/${encodeURIComponent(user.userId)}/openid/request_token`
const userinfo = (token: string) =>
  anonymous.get(`/_matrix/federation/v1/openid/userinfo?access_token=${encodeURIComponent(token)}`)
const tokenOf = async (user: User) => (await ok(user.post<{ access_token: string }>(tokenPath(user)))).access_token

describe('an OpenID token', () => {
  test('tells whoever holds it whose it is', async () => {
    const answer = await ok(alice.post<{ access_token: string }>(tokenPath(alice)))
    expect(answer).toEqual({
      access_token: expect.any(String),
      token_type: 'Bearer',
      matrix_server_name: 'test.local',
      expires_in: 3600,
    })
    expect(await ok(userinfo(answer.access_token))).toEqual({ sub: alice.userId })
  })

  test('opens nothing else, and no access token is one', async () => {
    const token = await tokenOf(alice)
    expect(await anonymous.get(`/account/whoami?access_token=${token}`)).toMatchObject(refused(401, 'M_UNKNOWN_TOKEN'))
    expect(await userinfo(alice.accessToken)).toMatchObject(refused(401, 'M_UNKNOWN_TOKEN'))
    expect(await userinfo(`${token}x`)).toMatchObject(refused(401, 'M_UNKNOWN_TOKEN'))
    expect(await userinfo('')).toMatchObject(refused(401, 'M_UNKNOWN_TOKEN'))
    const none = await anonymous.get('/_matrix/federation/v1/openid/userinfo')
    expect(none).toMatchObject(refused(401, 'M_MISSING_TOKEN'))
  })

  test('is made for oneself only', async () => {
    expect(await bob.post(tokenPath(alice))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect(await anonymous.post(tokenPath(alice))).toMatchObject(refused(401, 'M_MISSING_TOKEN'))
  })

  test('ends after an hour, and with the account', async () => {
    const user = parseUserId(alice.userId)
    if (!user) throw new Error('no user')
    const token = await newOpenIdToken(env, user, 1_000_000)
    expect(await ownerOfOpenIdToken(env, token, 1_000_000 + 3_599_999)).toBe(alice.userId)
    expect(await ownerOfOpenIdToken(env, token, 1_000_000 + 3_600_000)).toBeUndefined()
    const gone = await registerUser('openid-gone')
    const last = await tokenOf(gone)
    await ok(gone.post('/account/deactivate', { auth: passwordAuth(gone) }))
    expect(await userinfo(last)).toMatchObject(refused(401, 'M_UNKNOWN_TOKEN'))
  })
})

test('no networks are bridged', async () => {
  expect(await ok(alice.get('/thirdparty/protocols'))).toEqual({})
})
