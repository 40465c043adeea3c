/** Locking and suspending accounts. Spec: client-server-api/#account-moderation, admin.yaml. */
import { beforeAll, describe, expect, test } from 'vitest'

import { allowedWhileSuspended, mayWhileSuspended } from '../../../worker/accounts/suspension.ts'
import { operations } from '../../../worker/operations.ts'
import { anonymous, type Client, clientWith, login, passwordAuth, registerUser, send, type User } from '../client.ts'
import { at, createRoom, join, ok, refused, say } from '../rooms/rooms.ts'
import { registerAdmin } from './admins.ts'

let admin: User
let other: User
let alice: User

beforeAll(async () => {
  admin = await registerAdmin('mod-admin')
  other = await registerAdmin('mod-other-admin')
  alice = await registerUser('mod-alice')
})

const v1 = (what: 'suspend' | 'lock', userId: string) =>
  `/_matrix/client/v1/admin/${what}/${encodeURIComponent(userId)}`
const suspend = (user: { userId: string }, suspended: boolean, by: Client = admin) =>
  by.put(v1('suspend', user.userId), { suspended })
const lock = (user: { userId: string }, locked: boolean, by: Client = admin) =>
  by.put(v1('lock', user.userId), { locked })

describe.each([
  ['suspend', 'suspended'],
  ['lock', 'locked'],
] as const)('PUT and GET admin/%s', (what, field) => {
  test('tell and change it, under both names', async () => {
    const bob = await registerUser(`mod-bob-${what}`)
    const unstable = `/_matrix/client/unstable/uk.timedout.msc4323/admin/${what}/${encodeURIComponent(bob.userId)}`
    expect(await admin.get(v1(what, bob.userId))).toMatchObject({ status: 200, body: { [field]: false } })
    for (const path of [v1(what, bob.userId), unstable]) {
      expect(await admin.put(path, { [field]: true })).toMatchObject({ status: 200, body: { [field]: true } })
      expect(await admin.put(path, { [field]: true })).toMatchObject({ status: 200, body: { [field]: true } })
      expect(await admin.get(path)).toMatchObject({ status: 200, body: { [field]: true } })
      expect(await admin.put(path, { [field]: false })).toMatchObject({ status: 200, body: { [field]: false } })
    }
    expect(await bob.get('/account/whoami')).toMatchObject({ status: 200 })
  })

  test('are for admins, and not against admins or oneself', async () => {
    const gone = await registerUser(`mod-gone-${what}`)
    await gone.post('/account/deactivate', { auth: passwordAuth(gone) })
    const body = { [field]: true }
    const table: [Client, string, number, string][] = [
      [anonymous, alice.userId, 401, 'M_MISSING_TOKEN'],
      [clientWith('x'), alice.userId, 401, 'M_UNKNOWN_TOKEN'],
      [alice, alice.userId, 403, 'M_FORBIDDEN'],
      // Who is no admin learns nothing of who there is.
      [alice, '@nobody:test.local', 403, 'M_FORBIDDEN'],
      [alice, '@x:elsewhere.example', 403, 'M_FORBIDDEN'],
      [admin, other.userId, 403, 'M_FORBIDDEN'],
      [admin, '@x:elsewhere.example', 400, 'M_INVALID_PARAM'],
      [admin, 'nonsense', 400, 'M_INVALID_PARAM'],
      [admin, '@nobody:test.local', 404, 'M_NOT_FOUND'],
      [admin, gone.userId, 404, 'M_NOT_FOUND'],
    ]
    for (const [client, userId, status, errcode] of table) {
      expect(await client.put(v1(what, userId), body)).toMatchObject({ status, body: { errcode } })
      expect(await client.get(v1(what, userId))).toMatchObject({ status, body: { errcode } })
    }
    expect(await admin.put(v1(what, admin.userId), body)).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect(await admin.get(v1(what, admin.userId))).toMatchObject({ status: 200, body: { [field]: false } })
  })

  test.each([
    [{}, 'M_MISSING_PARAM'],
    [{ [field]: 'true' }, 'M_BAD_JSON'],
    [{ [field]: null }, 'M_BAD_JSON'],
    ['[]', 'M_BAD_JSON'],
    ['', 'M_NOT_JSON'],
  ])('refuse %j as %s', async (body, errcode) => {
    expect(await admin.put(v1(what, alice.userId), body)).toMatchObject(refused(400, errcode))
  })
})

test('the capability is for admins', async () => {
  const moderation = { 'm.account_moderation': { suspend: true, lock: true } }
  expect((await admin.get('/capabilities')).body).toMatchObject({ capabilities: moderation })
  expect((await alice.get<{ capabilities: object }>('/capabilities')).body.capabilities).not.toHaveProperty(
    'm.account_moderation',
  )
})

describe('a locked account', () => {
  const locked = { status: 401, body: { errcode: 'M_USER_LOCKED', soft_logout: true } }

  test('is refused everywhere but at the way out, until it is unlocked, and keeps its tokens', async () => {
    const carol = await registerUser('mod-carol', { refresh_token: true })
    const roomId = await createRoom(carol)
    // In memory of this isolate before, and so for every operation.
    await ok(carol.get('/account/whoami'))
    await ok(lock(carol, true))
    const table: [method: string, path: string, body?: object][] = [
      ['GET', '/account/whoami'],
      ['GET', '/sync'],
      ['GET', '/capabilities'],
      ['GET', at(roomId, '/messages?dir=b')],
      ['PUT', at(roomId, '/send/m.room.message/1'), { msgtype: 'm.text', body: 'x' }],
      ['POST', '/account/password', { new_password: 'a password', auth: passwordAuth(carol) }],
      ['POST', '/account/deactivate', { auth: passwordAuth(carol) }],
      ['GET', '/devices'],
      ['POST', '/keys/upload', {}],
      ['GET', '/publicRooms'],
    ]
    const headers = { Authorization: `Bearer ${carol.accessToken}` }
    for (const [method, path, body] of table) {
      expect({ path, ...(await send(method, path, body, headers)) }).toMatchObject({ path, ...locked })
    }
    expect(await clientWith().post('/login', { ...loginOf(carol) })).toMatchObject(locked)
    // A wrong password learns nothing.
    expect(await anonymous.post('/login', { ...loginOf(carol), password: 'wrong' })).toMatchObject({
      status: 403,
      body: { errcode: 'M_FORBIDDEN' },
    })
    await ok(lock(carol, false))
    expect(await carol.get('/account/whoami')).toMatchObject({ status: 200 })
    expect(await carol.get('/sync')).toMatchObject({ status: 200 })
  })

  test('gets no new token by an old refresh token, which is good again afterwards', async () => {
    const dave = await registerUser('mod-dave')
    const { body } = await anonymous.post<{ refresh_token: string }>('/login', {
      ...loginOf(dave),
      refresh_token: true,
    })
    const { refresh_token } = body
    await ok(lock(dave, true))
    expect(await anonymous.post('/refresh', { refresh_token })).toMatchObject(locked)
    await ok(lock(dave, false))
    expect(await anonymous.post('/refresh', { refresh_token })).toMatchObject({ status: 200 })
  })

  test('may log out of one device and of all', async () => {
    const erin = await registerUser('mod-erin')
    const [second, third] = [await login(erin), await login(erin)]
    await ok(lock(erin, true))
    expect(await second.post('/logout')).toMatchObject({ status: 200 })
    expect(await second.get('/account/whoami')).toMatchObject({ status: 401, body: { errcode: 'M_UNKNOWN_TOKEN' } })
    expect(await third.get('/account/whoami')).toMatchObject(locked)
    expect(await third.post('/logout/all')).toMatchObject({ status: 200 })
    await ok(lock(erin, false))
    expect(await erin.get('/account/whoami')).toMatchObject({ status: 401, body: { errcode: 'M_UNKNOWN_TOKEN' } })
  })

  test('a sync that waits is told at once', async () => {
    const frank = await registerUser('mod-frank')
    const { next_batch } = await ok(frank.get<{ next_batch: string }>('/sync'))
    const waiting = frank.get(`/sync?timeout=60000&since=${next_batch}`)
    await ok(lock(frank, true))
    expect(await waiting).toMatchObject(locked)
    await ok(lock(frank, false))
    expect(await frank.get(`/sync?since=${next_batch}`)).toMatchObject({ status: 200 })
  })
})

const loginOf = (user: User) => ({
  type: 'm.login.password',
  identifier: { type: 'm.id.user', user: user.userId },
  password: user.password,
})

describe('a suspended account', () => {
  const suspended = refused(403, 'M_USER_SUSPENDED')
  let grace: User
  let roomId: string
  let own: string
  let others: string

  beforeAll(async () => {
    grace = await registerUser('mod-grace')
    roomId = await createRoom(grace, { preset: 'public_chat' })
    await join(alice, roomId)
    own = await say(grace, roomId, 'mine')
    others = await say(alice, roomId, 'hers')
    await ok(grace.get('/account/whoami'))
    await ok(suspend(grace, true))
  })

  test('may not act on others', async () => {
    const open = await createRoom(alice, { preset: 'public_chat' })
    const asked = await createRoom(alice)
    await ok(alice.post(at(asked, '/invite'), { user_id: grace.userId }))
    const me = encodeURIComponent(grace.userId)
    const table: [method: 'post' | 'put' | 'delete', path: string, body?: object][] = [
      ['post', `/join/${encodeURIComponent(open)}`],
      ['post', at(open, '/join')],
      ['post', at(asked, '/join')],
      ['post', `/knock/${encodeURIComponent(open)}`],
      ['post', at(roomId, '/invite'), { user_id: '@x:test.local' }],
      ['put', at(roomId, '/send/m.room.message/1'), { msgtype: 'm.text', body: 'x' }],
      ['post', at(roomId, '/send/m.room.message'), { msgtype: 'm.text', body: 'x' }],
      ['put', at(roomId, `/send/m.room.redaction/2`), { redacts: others }],
      ['put', at(roomId, '/state/m.room.topic'), { topic: 'x' }],
      ['put', at(roomId, `/state/m.room.member/${me}`), { membership: 'join', displayname: 'x' }],
      ['post', at(roomId, '/kick'), { user_id: alice.userId }],
      ['post', at(roomId, '/ban'), { user_id: alice.userId }],
      ['post', at(roomId, '/unban'), { user_id: alice.userId }],
      ['post', at(roomId, '/upgrade'), { new_version: '12' }],
      ['put', at(roomId, `/redact/${encodeURIComponent(others)}/3`)],
      ['post', '/createRoom'],
      ['put', `/profile/${me}/displayname`, { displayname: 'x' }],
      ['put', `/profile/${me}/avatar_url`, { avatar_url: 'mxc://a/b' }],
      ['delete', `/profile/${me}/displayname`],
      ['put', at(roomId, `/typing/${me}`), { typing: true, timeout: 1000 }],
      ['post', '/account/3pid/delete', { medium: 'email', address: 'x@example.org' }],
      ['post', '/_matrix/media/v3/upload', {}],
      ['post', `/user/${me}/openid/request_token`],
      ['put', `/directory/room/${encodeURIComponent('#x:test.local')}`, { room_id: roomId }],
    ]
    for (const [method, path, body] of table) {
      expect({ path, ...(await grace[method](path, body)) }).toMatchObject({ path, ...suspended })
    }
    expect((await alice.get<{ displayname: string }>(`/profile/${me}/displayname`)).body.displayname).toBe('mod-grace')
  })

  test('may receive, back up, verify, redact what is their own, and leave', async () => {
    const me = encodeURIComponent(grace.userId)
    expect(await grace.get('/sync')).toMatchObject({ status: 200 })
    expect(await grace.get(at(roomId, '/messages?dir=b'))).toMatchObject({ status: 200 })
    const again = await login(grace)
    expect(await again.post('/createRoom')).toMatchObject(suspended)
    await ok(grace.put(`/user/${me}/account_data/m.secret_storage.default_key`, { key: 'x' }))
    await ok(grace.put('/sendToDevice/m.key.verification.request/1', { messages: {} }))
    await ok(grace.post('/room_keys/version', { algorithm: 'm.megolm_backup.v1', auth_data: {} }))
    await ok(grace.post(at(roomId, `/receipt/m.read/${encodeURIComponent(others)}`)))
    await ok(grace.post('/keys/query', { device_keys: {} }))
    await ok(grace.put(at(roomId, `/redact/${encodeURIComponent(own)}/4`)))
    await ok(again.post('/logout'))
    await ok(grace.post(at(roomId, '/leave')))
  })

  test('an event that cannot be seen is not one to redact', async () => {
    const hidden = await createRoom(alice)
    const event = await say(alice, hidden, 'hidden')
    expect(await grace.put(at(hidden, `/redact/${encodeURIComponent(event)}/5`))).toMatchObject(suspended)
    expect(await grace.put(at(hidden, `/redact/$made-up/6`))).toMatchObject(suspended)
  })

  test('is what it was once that ends, and may end itself', async () => {
    await ok(suspend(grace, false))
    const mine = await createRoom(grace)
    await say(grace, mine, 'back')
    await ok(suspend(grace, true))
    expect(await grace.post('/account/deactivate', { auth: passwordAuth(grace) })).toMatchObject({ status: 200 })
  })
})

test('the table of the suspended names operations that there are, none of them twice', () => {
  const changing = operations.filter(({ method, options }) => method !== 'GET' && options.auth !== 'server')
  const known = new Set(changing.map(({ options }) => options.id))
  expect(allowedWhileSuspended.filter((id) => !known.has(id))).toEqual([])
  expect(new Set(allowedWhileSuspended).size).toBe(allowedWhileSuspended.length)
  const refusedOnes = changing.filter(({ method, options }) => !mayWhileSuspended(method, options.id))
  for (const id of ['sendMessage', 'joinRoom', 'knockRoom', 'inviteUser', 'setProfileField', 'setRoomStateWithKey']) {
    expect(refusedOnes.map(({ options }) => options.id)).toContain(id)
  }
})
