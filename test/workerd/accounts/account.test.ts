/** Changing passwords and ending accounts over HTTP. Spec: client-server-api/#legacy-account-management. */
import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, test } from 'vitest'

import { anonymous, clientWith, login, passwordAuth, registerUser, type User } from '../client.ts'

const signIn = (user: User, password = user.password) => {
  const identifier = { type: 'm.id.user', user: user.userId }
  return anonymous.post('/login', { type: 'm.login.password', identifier, password })
}
const isGood = async (token: string) => (await clientWith(token).get('/account/whoami')).status === 200

describe('changing the password', () => {
  let alice: User
  beforeAll(async () => {
    alice = await registerUser('account-alice')
  })

  test('asks for the old one, keeps this session and ends the others', async () => {
    const other = await login(alice, { refresh_token: true })
    const wanted = { new_password: 'the new password' }
    expect(await alice.post('/account/password', wanted)).toMatchObject({ status: 401 })
    const auth = passwordAuth(alice)
    expect(await alice.post('/account/password', { ...wanted, auth: { ...auth, password: 'wrong' } })).toMatchObject({
      status: 401,
      body: { errcode: 'M_FORBIDDEN' },
    })
    expect(await signIn(alice)).toMatchObject({ status: 200 })
    expect(await alice.post('/account/password', { ...wanted, auth })).toMatchObject({ status: 200, body: {} })
    expect(await signIn(alice)).toMatchObject({ status: 403 })
    expect(await signIn(alice, 'the new password')).toMatchObject({ status: 200 })
    expect(await isGood(alice.accessToken)).toBe(true)
    expect(await isGood(other.accessToken)).toBe(false)
  })

  test('keeps the others when the client says so', async () => {
    alice = { ...alice, password: 'the new password' }
    const other = await login(alice)
    const auth = passwordAuth(alice)
    const wanted = { new_password: 'the third one', logout_devices: false, auth }
    expect(await alice.post('/account/password', wanted)).toMatchObject({ status: 200 })
    expect(await isGood(other.accessToken)).toBe(true)
    expect(await signIn(alice, 'the third one')).toMatchObject({ status: 200 })
  })
})

describe('ending an account', () => {
  const deactivate = (user: User, more: object = {}) =>
    user.post('/account/deactivate', { auth: passwordAuth(user), ...more })

  test('asks for the password', async () => {
    const user = await registerUser('end-asked')
    const asked = await user.post('/account/deactivate')
    expect(asked).toMatchObject({ status: 401, body: { flows: [{ stages: ['m.login.password'] }] } })
    const wrong = { auth: { ...passwordAuth(user), password: 'wrong' } }
    expect(await deactivate(user, wrong)).toMatchObject({ status: 401, body: { errcode: 'M_FORBIDDEN' } })
    expect(await isGood(user.accessToken)).toBe(true)
  })

  test('closes every way in', async () => {
    const user = await registerUser('end-closed', { refresh_token: true })
    const { body: other } = await anonymous.post<{ access_token: string; refresh_token: string }>('/login', {
      type: 'm.login.password',
      user: 'end-closed',
      password: user.password,
      refresh_token: true,
    })
    expect(await isGood(other.access_token)).toBe(true)
    const ended = await deactivate(user, { erase: true })
    expect(ended).toMatchObject({ status: 200, body: { id_server_unbind_result: 'success' } })
    for (const token of [user.accessToken, other.access_token]) {
      const answer = await clientWith(token).get('/sync')
      expect(answer).toMatchObject({ status: 401, body: { errcode: 'M_UNKNOWN_TOKEN' } })
      expect(answer.body).not.toHaveProperty('soft_logout')
    }
    expect(await anonymous.post('/refresh', { refresh_token: other.refresh_token })).toMatchObject({ status: 401 })
    for (const guess of [user.password, '', 'null']) {
      expect(await signIn(user, guess)).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } })
    }
    expect(await anonymous.get(`/profile/${user.userId}`)).toMatchObject({ status: 404 })
  })

  test('keeps the name taken for ever', async () => {
    const user = await registerUser('end-name')
    await deactivate(user)
    expect(await anonymous.get('/register/available?username=end-name')).toMatchObject({
      status: 400,
      body: { errcode: 'M_USER_IN_USE' },
    })
    const wanted = { username: 'end-name', password: 'mine now', auth: { type: 'm.login.dummy' } }
    expect(await anonymous.post('/register', wanted)).toMatchObject({ status: 400, body: { errcode: 'M_USER_IN_USE' } })
  })

  test('leaves nothing of the person in the database but the name', async () => {
    const user = await registerUser('end-rows', { initial_device_display_name: 'Phone' })
    await deactivate(user)
    const rowsOf = async (table: string) =>
      (await env.DB.prepare(`SELECT * FROM ${table} WHERE user_id = ?`).bind(user.userId).all()).results
    for (const table of ['devices', 'access_tokens', 'refresh_tokens', 'profiles'])
      expect(await rowsOf(table)).toEqual([])
    expect(await rowsOf('users')).toMatchObject([{ password_hash: null, deactivated_at: expect.any(Number) }])
  })

  test('a token that slipped in beside it is worth nothing', async () => {
    const user = await registerUser('end-slipped')
    const session = await login(user, { device_id: 'SLIPPED' })
    // As a sign-in would that checked the password just before: the account ends, this device is made after.
    await env.DB.prepare('UPDATE users SET deactivated_at = 1 WHERE user_id = ?').bind(user.userId).run()
    expect(await session.post('/logout')).toMatchObject({ status: 401, body: { errcode: 'M_UNKNOWN_TOKEN' } })
    expect(await signIn(user)).toMatchObject({ status: 403 })
  })

  test('leaves rooms, turns down invites and takes back knocks', async () => {
    const owner = await registerUser('end-owner')
    const user = await registerUser('end-member')
    const makeRoom = async (body: object) => (await owner.post<{ room_id: string }>('/createRoom', body)).body.room_id
    const joined = await makeRoom({ preset: 'public_chat' })
    const invited = await makeRoom({ preset: 'private_chat', invite: [user.userId] })
    const knocked = await makeRoom({
      initial_state: [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }],
    })
    expect(await user.post(`/join/${encodeURIComponent(joined)}`)).toMatchObject({ status: 200 })
    expect(await user.post(`/knock/${encodeURIComponent(knocked)}`)).toMatchObject({ status: 200 })
    expect(await deactivate(user)).toMatchObject({ status: 200 })
    for (const room of [joined, invited, knocked]) {
      const path = `/rooms/${encodeURIComponent(room)}/state/m.room.member/${user.userId}`
      expect((await owner.get(path)).body).toMatchObject({ membership: 'leave' })
    }
  })
})
