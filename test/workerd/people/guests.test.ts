/** Guests: what they may call, and how one becomes a user. Spec: client-server-api/#guest-access. */
import { env } from 'cloudflare:workers'
import { describe, expect, test } from 'vitest'

import { createRegistrationToken } from '../../../worker/accounts/registration-tokens.ts'
import { operations } from '../../../worker/operations.ts'
import { ask } from '../accounts/servers.ts'
import { anonymous, clientWith, registerUser } from '../client.ts'
import { at, createRoom, ok, refused } from '../rooms/rooms.ts'
import { letterTo, serverWithMail } from './mailbox.ts'

interface SignedIn {
  user_id: string
  access_token: string
}

const newGuest = async () => {
  const { user_id: userId, access_token: accessToken } = await ok(anonymous.post<SignedIn>('/register?kind=guest'))
  return { ...clientWith(accessToken), userId, accessToken, username: userId.slice(1, userId.indexOf(':')) }
}

/** "The following API endpoints are allowed to be accessed by guest accounts". */
const specified = [
  'GET rooms/:roomId/state',
  'GET rooms/:roomId/context/:eventId',
  'GET rooms/:roomId/event/:eventId',
  'GET rooms/:roomId/state/:eventType/:stateKey',
  'GET rooms/:roomId/messages',
  'GET rooms/:roomId/members',
  'GET rooms/:roomId/initialSync',
  'GET sync',
  'GET events',
  'POST rooms/:roomId/join',
  'POST rooms/:roomId/leave',
  'PUT rooms/:roomId/send/:eventType/:txnId',
  'PUT rooms/:roomId/state/:eventType/:stateKey',
  'PUT sendToDevice/:eventType/:txnId',
  'PUT profile/:userId/:keyName',
  'DELETE profile/:userId/:keyName',
  'GET devices',
  'GET devices/:deviceId',
  'PUT devices/:deviceId',
  'GET account/whoami',
  'POST keys/upload',
  'POST keys/query',
  'POST keys/claim',
]

test.each(specified)('guests may %s', (route) => {
  const [method, path = ''] = route.split(' ')
  const found = operations.find((op) => op.method === method && op.path === `/_matrix/client/v3/${path}`)
  expect(found?.options).toMatchObject({ guests: true })
})

test.each([
  'download/:serverName/:mediaId',
  'download/:serverName/:mediaId/:fileName',
  'thumbnail/:serverName/:mediaId',
])('guests may GET media/%s', (path) => {
  const found = operations.find((op) => op.path === `/_matrix/client/v1/media/${path}`)
  expect(found?.options).toMatchObject({ guests: true })
})

test('guests may not make, moderate, administrate, or prove anything of theirs to others', async () => {
  const forGuests = new Set(operations.filter(({ options }) => options.guests).map(({ options }) => options.id))
  for (const id of [
    'createRoom',
    'inviteUser',
    'kick',
    'ban',
    'unban',
    'upgradeRoom',
    'setRoomAlias',
    'knockRoom',
    'changePassword',
    'deactivateAccount',
    'add3PID',
    'getAccount3PIDs',
    'deleteDevice',
    'requestOpenIdToken',
    'uploadContent',
    'createContent',
    'uploadCrossSigningKeys',
    'reportUser',
    'generateLoginToken',
    'search',
    'setAdminLockUser',
    'setAdminSuspendUser',
    'getWhoIs',
    'searchUserDirectory',
  ]) {
    expect(operations.map(({ options }) => options.id)).toContain(id)
    expect(forGuests.has(id) ? id : undefined).toBeUndefined()
  }
})

describe('a guest in rooms', () => {
  test('joins where guests may, and is sent away when that ends', async () => {
    const owner = await registerUser('guests-owner')
    const guest = await newGuest()
    const roomId = await createRoom(owner, { preset: 'public_chat' })
    const access = (guest_access: string) => ok(owner.put(at(roomId, '/state/m.room.guest_access'), { guest_access }))
    await access('forbidden')
    expect(await guest.post(at(roomId, '/join'))).toMatchObject(refused(403, 'M_GUEST_ACCESS_FORBIDDEN'))
    await access('can_join')
    await ok(guest.post(at(roomId, '/join')))
    await ok(guest.put(at(roomId, '/send/m.sticker/1'), { body: 'x' }))
    await access('forbidden')
    const path = at(roomId, `/state/m.room.member/${encodeURIComponent(guest.userId)}`)
    expect(await owner.get(path)).toMatchObject({ status: 200, body: { membership: 'leave' } })
  })
})

describe('an upgrade', () => {
  const password = 'the password of a user'

  test('goes through what a registration goes through: the token is used up, the address added, the terms kept', async () => {
    const guest = await newGuest()
    await createRegistrationToken(env, { token: 'upgrade', usesAllowed: 1, expiresAt: null })
    const policies = { terms: { version: '3', en: { name: 'Terms', url: 'https://example.org' } } }
    const settings = {
      REGISTRATION: 'token',
      REGISTRATION_EMAIL: 'required',
      REGISTRATION_TERMS: JSON.stringify(policies),
    }
    const server = serverWithMail(settings)
    const wanted = { username: guest.username, password, guest_access_token: guest.accessToken }
    const register = (auth?: object) =>
      server.send<{ session: string; user_id: string }>('POST', '/register', { ...wanted, auth })
    const { session } = (await register()).body
    await register({ type: 'm.login.registration_token', token: 'upgrade', session })
    await register({ type: 'm.login.terms', session })
    const letter = letterTo('guest@example.org')
    const { body } = await server.send<{ sid: string }>('POST', '/register/email/requestToken', letter)
    await server.confirm()
    const threepid_creds = { sid: body.sid, client_secret: 'secret' }
    const done = await register({ type: 'm.login.email.identity', threepid_creds, session })
    expect(done).toMatchObject({ status: 200, body: { user_id: guest.userId } })
    const row = await env.DB.prepare(
      `SELECT is_guest, accepted_terms, (SELECT uses FROM registration_tokens WHERE token = 'upgrade') AS uses,
       (SELECT address FROM threepids WHERE threepids.user_id = users.user_id) AS address FROM users WHERE user_id = ?`,
    )
      .bind(guest.userId)
      .first()
    expect(row).toEqual({ is_guest: 0, accepted_terms: '{"terms":"3"}', uses: 1, address: 'guest@example.org' })
    // The guest's token ended with the guest.
    expect(await guest.get('/account/whoami')).toMatchObject(refused(401, 'M_UNKNOWN_TOKEN'))
  })

  test('with a token that somebody was faster with changes nothing', async () => {
    const guest = await newGuest()
    await createRegistrationToken(env, { token: 'one-use', usesAllowed: 1, expiresAt: null })
    const wanted = { username: guest.username, password, guest_access_token: guest.accessToken }
    const auth = { type: 'm.login.registration_token', token: 'one-use' }
    const register = (body: object) => ask({ REGISTRATION: 'token' }, 'POST', '/_matrix/client/v3/register', body)
    const answers = await Promise.all([
      register({ ...wanted, auth }),
      register({ username: 'guests-faster', password, auth }),
    ])
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    const uses = await env.DB.prepare("SELECT uses FROM registration_tokens WHERE token = 'one-use'").first('uses')
    expect(uses).toBe(1)
  })
})
