/** What admins of the server do: read reports, look after accounts. */
import { beforeAll, describe, expect, test } from 'vitest'

import { anonymous, type Client, clientWith, login, passwordAuth, registerUser, type User } from '../client.ts'
import { at, createRoom, join, ok, refused, say } from '../rooms/rooms.ts'
import { registerAdmin } from './admins.ts'

let admin: User
let alice: User
let bob: User

beforeAll(async () => {
  admin = await registerAdmin('adm-admin')
  alice = await registerUser('adm-alice')
  bob = await registerUser('adm-bob')
})

const v1 = '/_synapse/admin/v1'
const v2 = '/_synapse/admin/v2'
const idOf = ({ userId }: { userId: string }) => encodeURIComponent(userId)

const routes: [method: 'get' | 'put' | 'post' | 'delete', path: string, body?: object][] = [
  ['get', '/_hearth/admin/reports'],
  ['delete', '/_hearth/admin/reports/1'],
  ['get', `${v1}/event_reports`],
  ['get', `${v1}/event_reports/1`],
  ['delete', `${v1}/event_reports/1`],
  ['get', `${v1}/user_reports`],
  ['get', `${v1}/user_reports/1`],
  ['delete', `${v1}/user_reports/1`],
  ['get', `${v2}/users`],
  ['get', `${v2}/users/@adm-bob:test.local`],
  ['put', `${v2}/users/@adm-bob:test.local`, { admin: true }],
  ['post', `${v1}/deactivate/@adm-bob:test.local`],
  ['post', `${v1}/reset_password/@adm-bob:test.local`, { new_password: 'a password' }],
  ['put', `${v1}/suspend/@adm-bob:test.local`, { suspend: true }],
  ['get', `${v1}/users/@adm-bob:test.local/admin`],
  ['put', `${v1}/users/@adm-bob:test.local/admin`, { admin: true }],
  ['get', `${v1}/users/@adm-bob:test.local/joined_rooms`],
  ['get', `${v1}/whois/@adm-bob:test.local`],
]

describe('for admins only', () => {
  test.each(routes)('%s %s', async (method, path, body) => {
    const ask = (client: Client) => client[method](path, body)
    expect(await ask(anonymous)).toMatchObject(refused(401, 'M_MISSING_TOKEN'))
    expect(await ask(clientWith('wrong'))).toMatchObject(refused(401, 'M_UNKNOWN_TOKEN'))
    expect(await ask(alice)).toMatchObject(refused(403, 'M_FORBIDDEN'))
    const { body: guest } = await anonymous.post<{ access_token: string }>('/register?kind=guest')
    expect(await ask(clientWith(guest.access_token))).toMatchObject(refused(403, 'M_GUEST_ACCESS_FORBIDDEN'))
    expect(await bob.get('/account/whoami')).toMatchObject({ status: 200 })
  })
})

describe('the report inbox', () => {
  interface Report {
    id: number
    kind: string
    user_id: string
    reason: string
  }
  let roomId: string
  let eventId: string

  beforeAll(async () => {
    roomId = await createRoom(alice, { preset: 'public_chat', name: 'Reported' })
    await join(bob, roomId)
    eventId = await say(bob, roomId, 'rude')
    await ok(alice.post(at(roomId, `/report/${encodeURIComponent(eventId)}`), { reason: 'rude words' }))
    await ok(alice.post(at(roomId, '/report'), { reason: 'a rude room' }))
    await ok(alice.post(`/users/${idOf(bob)}/report`, { reason: 'a rude user' }))
  })

  test('has every report, the newest first', async () => {
    const { reports, total } = await ok(admin.get<{ reports: Report[]; total: number }>('/_hearth/admin/reports'))
    expect(total).toBe(3)
    expect(reports).toMatchObject([
      { kind: 'user', target_user_id: bob.userId, user_id: alice.userId, reason: 'a rude user' },
      { kind: 'room', room_id: roomId, reason: 'a rude room' },
      { kind: 'event', room_id: roomId, event_id: eventId, reason: 'rude words' },
    ])
    const first = await ok(admin.get<{ reports: Report[]; next_token: number }>('/_hearth/admin/reports?limit=2&dir=f'))
    expect(first.reports.map(({ kind }) => kind)).toEqual(['event', 'room'])
    const second = await ok(
      admin.get<{ reports: Report[] }>(`/_hearth/admin/reports?limit=2&dir=f&from=${first.next_token}`),
    )
    expect(second.reports.map(({ kind }) => kind)).toEqual(['user'])
    expect(second).not.toHaveProperty('next_token')
    const rooms = await ok(admin.get<{ reports: Report[] }>('/_hearth/admin/reports?kind=room'))
    expect(rooms.reports).toHaveLength(1)
    expect((await admin.get('/_hearth/admin/reports?user_id=@nobody:test.local')).body).toMatchObject({ total: 0 })
  })

  test('has reports of events and users where tools look for them', async () => {
    const { event_reports } = await ok(admin.get<{ event_reports: Report[] }>(`${v1}/event_reports`))
    expect(event_reports).toMatchObject([
      { room_id: roomId, event_id: eventId, user_id: alice.userId, sender: bob.userId, name: 'Reported', score: null },
    ])
    const id = event_reports[0]?.id
    expect(await admin.get(`${v1}/event_reports/${id}`)).toMatchObject({
      status: 200,
      body: { id, event_json: { content: { body: 'rude' } } },
    })
    const { user_reports } = await ok(admin.get<{ user_reports: Report[] }>(`${v1}/user_reports`))
    expect(user_reports).toMatchObject([{ target_user_id: bob.userId, user_id: alice.userId, reason: 'a rude user' }])
    // What is of one kind is not found among the other.
    expect(await admin.get(`${v1}/user_reports/${id}`)).toMatchObject(refused(404, 'M_NOT_FOUND'))
    expect(await admin.delete(`${v1}/user_reports/${id}`)).toMatchObject(refused(404, 'M_NOT_FOUND'))
    await ok(admin.delete(`${v1}/event_reports/${id}`))
    expect(await admin.get(`${v1}/event_reports/${id}`)).toMatchObject(refused(404, 'M_NOT_FOUND'))
  })

  test.each([
    ['/_hearth/admin/reports?from=-1', 'M_INVALID_PARAM'],
    ['/_hearth/admin/reports?limit=x', 'M_INVALID_PARAM'],
    ['/_hearth/admin/reports?dir=up', 'M_INVALID_PARAM'],
    ['/_hearth/admin/reports?kind=pigeon', 'M_INVALID_PARAM'],
    [`${v1}/event_reports/x`, 'M_INVALID_PARAM'],
    [`${v1}/event_reports/-1`, 'M_INVALID_PARAM'],
  ])('%s is %s', async (path, errcode) => {
    expect(await admin.get(path)).toMatchObject(refused(400, errcode))
  })
})

describe('looking after accounts', () => {
  interface Listed {
    users: { name: string; admin: boolean; deactivated: boolean }[]
    total: number
    next_token?: string
  }

  test('they are listed, by pages, names and kinds', async () => {
    const names = async (query: string) =>
      (await ok(admin.get<Listed>(`${v2}/users?${query}`))).users.map(({ name }) => name)
    expect(await names('name=ADM-a')).toEqual([admin.userId, alice.userId])
    expect(await names('name=adm-&admins=true')).toEqual([admin.userId])
    expect(await names('name=%25')).toEqual([])
    const first = await ok(admin.get<Listed>(`${v2}/users?name=adm-&limit=1`))
    expect(first).toMatchObject({ users: [{ name: admin.userId, admin: true, displayname: 'adm-admin' }], total: 3 })
    expect(await names(`name=adm-&limit=1&from=${first.next_token}`)).toEqual([alice.userId])
    const all = await ok(admin.get<Listed>(`${v2}/users?guests=false`))
    expect(all.users.filter(({ name }) => name.startsWith('@guest-'))).toEqual([])
    expect(await admin.get(`${v2}/users?guests=maybe`)).toMatchObject(refused(400, 'M_INVALID_PARAM'))
  })

  test('one is made, changed, and told', async () => {
    const path = `${v2}/users/${encodeURIComponent('@adm-made:test.local')}`
    expect(await admin.get(path)).toMatchObject(refused(404, 'M_NOT_FOUND'))
    const made = await admin.put(path, { password: 'first password', displayname: 'Made' })
    expect(made).toMatchObject({
      status: 201,
      body: { name: '@adm-made:test.local', displayname: 'Made', admin: false },
    })
    const user = await login({ userId: '@adm-made:test.local', password: 'first password' })
    const changed = await admin.put(path, { password: 'second password', displayname: 'Changed', admin: true })
    expect(changed).toMatchObject({ status: 200, body: { displayname: 'Changed', admin: true } })
    expect(await user.get('/account/whoami')).toMatchObject({ status: 401 })
    const again = await login({ userId: user.userId, password: 'second password' })
    expect(await again.get(`${v2}/users`)).toMatchObject({ status: 200 })
    await ok(admin.put(path, { admin: false }))
    expect(await again.get(`${v2}/users`)).toMatchObject(refused(403, 'M_FORBIDDEN'))
    await ok(admin.put(path, { locked: true }))
    expect(await again.get('/account/whoami')).toMatchObject({ status: 401, body: { errcode: 'M_USER_LOCKED' } })
    await ok(admin.put(path, { locked: false, deactivated: true }))
    expect(await admin.get(path)).toMatchObject({ body: { deactivated: true } })
    expect(await admin.put(path, { password: 'third password' })).toMatchObject(refused(403, 'M_USER_DEACTIVATED'))
  })

  test('a password is reset, and devices with it unless told', async () => {
    const carol = await registerUser('adm-carol')
    const path = `${v1}/reset_password/${idOf(carol)}`
    await ok(admin.post(path, { new_password: 'the new password', logout_devices: false }))
    expect(await carol.get('/account/whoami')).toMatchObject({ status: 200 })
    await ok(admin.post(path, { new_password: 'the newest password' }))
    expect(await carol.get('/account/whoami')).toMatchObject({ status: 401 })
    await login({ ...carol, password: 'the newest password' })
    expect(await admin.post(path, { new_password: 'x' })).toMatchObject(refused(400, 'M_WEAK_PASSWORD'))
    expect(await admin.post(path, {})).toMatchObject(refused(400, 'M_MISSING_PARAM'))
    expect(await admin.post(path, { new_password: 7 })).toMatchObject(refused(400, 'M_BAD_JSON'))
  })

  test('an account is ended, once', async () => {
    const dave = await registerUser('adm-dave')
    const roomId = await createRoom(alice, { preset: 'public_chat' })
    await join(dave, roomId)
    const rooms = await ok(admin.get(`${v1}/users/${idOf(dave)}/joined_rooms`))
    expect(rooms).toEqual({ joined_rooms: [roomId], total: 1 })
    const path = `${v1}/deactivate/${idOf(dave)}`
    expect(await admin.post(path, { erase: 'yes' })).toMatchObject(refused(400, 'M_BAD_JSON'))
    for (let time = 0; time < 2; time++) {
      expect(await admin.post(path, { erase: true })).toMatchObject({
        status: 200,
        body: { id_server_unbind_result: 'success' },
      })
    }
    expect(await dave.get('/account/whoami')).toMatchObject({ status: 401 })
    expect(await dave.post('/account/deactivate', { auth: passwordAuth(dave) })).toMatchObject({ status: 401 })
    const member = await alice.get(at(roomId, `/state/m.room.member/${idOf(dave)}`))
    expect(member.body).toMatchObject({ membership: 'leave' })
    expect(await admin.get(`${v2}/users?name=adm-dave`)).toMatchObject({ body: { total: 0 } })
    expect(await admin.get(`${v2}/users?name=adm-dave&deactivated=true`)).toMatchObject({ body: { total: 1 } })
  })

  test('one is suspended by the older path', async () => {
    const erin = await registerUser('adm-erin')
    expect(await admin.put(`${v1}/suspend/${idOf(erin)}`, { suspend: true })).toMatchObject({
      status: 200,
      body: { [`user_${erin.userId}_suspended`]: true },
    })
    expect(await erin.post('/createRoom')).toMatchObject(refused(403, 'M_USER_SUSPENDED'))
  })

  test('nobody shuts themselves out', async () => {
    expect(await admin.put(`${v1}/users/${idOf(admin)}/admin`, { admin: false })).toMatchObject({ status: 400 })
    expect(await admin.put(`${v1}/suspend/${idOf(admin)}`, { suspend: true })).toMatchObject({ status: 403 })
    for (const body of [{ admin: false }, { locked: true }, { deactivated: true }]) {
      expect(await admin.put(`${v2}/users/${idOf(admin)}`, body)).toMatchObject(refused(403, 'M_FORBIDDEN'))
    }
  })

  test.each([
    ['@x:elsewhere.example', 400, 'M_INVALID_PARAM'],
    ['nonsense', 400, 'M_INVALID_PARAM'],
    ['@adm-nobody:test.local', 404, 'M_NOT_FOUND'],
  ] as const)('%s is %i %s', async (userId, status, errcode) => {
    const id = encodeURIComponent(userId)
    for (const ask of [
      admin.get(`${v2}/users/${id}`),
      admin.post(`${v1}/deactivate/${id}`),
      admin.post(`${v1}/reset_password/${id}`, { new_password: 'a password' }),
      admin.put(`${v1}/suspend/${id}`, { suspend: true }),
      admin.get(`${v1}/users/${id}/admin`),
      admin.get(`${v1}/users/${id}/joined_rooms`),
    ]) {
      expect(await ask).toMatchObject(refused(status, errcode))
    }
  })
})
