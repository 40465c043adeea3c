/** What the server tells of itself and of its users. */
import { env } from 'cloudflare:workers'
import { parseUserId } from '#protocol/identifiers/user-id.ts'
import { beforeAll, expect, test } from 'vitest'

import { forgetTokens } from '../../../worker/accounts/token-cache.ts'
import { SettingError, settingsOf } from '../../../worker/settings.ts'
import { anonymous, clientWith, login, registerUser, send, type User } from '../client.ts'
import { refused } from '../rooms/rooms.ts'
import { ask } from './servers.ts'

let alice: User
let bob: User

beforeAll(async () => {
  alice = await registerUser('facts-alice')
  bob = await registerUser('facts-bob')
})

test('whom to ask', async () => {
  expect(await anonymous.get('/.well-known/matrix/support')).toMatchObject(refused(404, 'M_NOT_FOUND'))
  const settings = {
    SUPPORT_CONTACTS: '@admin:test.local, admin@example.org',
    SUPPORT_PAGE: 'https://example.org/help',
  }
  expect((await ask(settings, 'GET', '/.well-known/matrix/support')).body).toEqual({
    contacts: [
      { matrix_id: '@admin:test.local', role: 'm.role.admin' },
      { email_address: 'admin@example.org', role: 'm.role.admin' },
    ],
    support_page: 'https://example.org/help',
  })
  for (const wrong of [
    { SUPPORT_CONTACTS: 'admin' },
    { SUPPORT_PAGE: 'example.org' },
    { LIVEKIT_SERVICE_URL: 'ftp://x' },
  ]) {
    expect(() => settingsOf({ SERVER_NAME: 'test.local', ...wrong })).toThrow(SettingError)
  }
  expect(await anonymous.get('/.well-known/matrix/policy_server')).toMatchObject(refused(404, 'M_NOT_FOUND'))
})

test('where calls are held', async () => {
  const path = '/_matrix/client/unstable/org.matrix.msc4143/rtc/transports'
  expect(await anonymous.get(path)).toMatchObject(refused(401, 'M_MISSING_TOKEN'))
  expect(await alice.get(path)).toMatchObject({ status: 200, body: { rtc_transports: [] } })
  const settings = { LIVEKIT_SERVICE_URL: 'https://rtc.example.org' }
  const transport = { type: 'livekit', livekit_service_url: 'https://rtc.example.org' }
  const headers = { Authorization: `Bearer ${alice.accessToken}` }
  expect((await ask(settings, 'GET', path, undefined, headers)).body).toEqual({ rtc_transports: [transport] })
  expect((await ask(settings, 'GET', '/.well-known/matrix/client')).body).toMatchObject({
    'org.matrix.msc4143.rtc_foci': [transport],
  })
})

test('a token in the address, unless that is turned off', async () => {
  const path = `/_matrix/client/v3/account/whoami?access_token=${alice.accessToken}`
  expect((await send('GET', path)).status).toBe(200)
  expect(await ask({ QUERY_ACCESS_TOKENS: 'off' }, 'GET', path)).toMatchObject(refused(401, 'M_MISSING_TOKEN'))
})

test('who is who, for oneself and for administrators', async () => {
  const path = (user: User) => `/admin/whois/${encodeURIComponent(user.userId)}`
  const second = await login(alice)
  const { body } = await alice.get<{ user_id: string; devices: Record<string, unknown> }>(path(alice))
  expect(body.user_id).toBe(alice.userId)
  expect(Object.keys(body.devices).sort()).toEqual([alice.deviceId, second.deviceId].sort())
  expect(body.devices[alice.deviceId]).toMatchObject({
    sessions: [{ connections: [{ last_seen: expect.any(Number) }] }],
  })
  expect(await bob.get(path(alice))).toMatchObject(refused(403, 'M_FORBIDDEN'))
  expect(await anonymous.get(path(alice))).toMatchObject(refused(401, 'M_MISSING_TOKEN'))
  expect(await bob.get('/admin/whois/nobody')).toMatchObject(refused(400, 'M_INVALID_PARAM'))
  await env.DB.prepare('UPDATE users SET is_admin = 1 WHERE user_id = ?').bind(bob.userId).run()
  forgetTokens(parseUserId(bob.userId) ?? expect.fail(), bob.deviceId)
  expect((await bob.get(path(alice))).body).toMatchObject({ user_id: alice.userId })
  expect(await bob.get('/admin/whois/%40nobody%3Atest.local')).toMatchObject(refused(404, 'M_NOT_FOUND'))
})

test('no other network is bridged', async () => {
  expect(await alice.get('/thirdparty/protocols')).toMatchObject({ status: 200, body: {} })
  const found = ['protocol/irc', 'location/irc', 'user/irc?x=y', 'location?alias=%23a%3Ab', 'user?userid=%40a%3Ab']
  for (const path of found) {
    expect(await alice.get(`/thirdparty/${path}`), path).toMatchObject(refused(404, 'M_NOT_FOUND'))
    expect(await clientWith('x').get(`/thirdparty/${path}`)).toMatchObject(refused(401, 'M_UNKNOWN_TOKEN'))
  }
  for (const path of ['location', 'user']) {
    expect(await alice.get(`/thirdparty/${path}`)).toMatchObject(refused(400, 'M_MISSING_PARAM'))
  }
})
