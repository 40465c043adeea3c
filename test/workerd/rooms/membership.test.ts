/** Joining, inviting, knocking, leaving, kicking, banning, forgetting over HTTP. Spec: client-server-api/#room-membership. */
import { beforeAll, describe, expect, test } from 'vitest'

import { anonymous, clientWith, registerUser, type User } from '../client.ts'
import {
  at,
  type ClientEvent,
  createRoom,
  fullState,
  invite,
  join,
  nowhere,
  ok,
  refused,
  say,
  setState,
  stateOf,
} from './rooms.ts'

let alice: User
let bob: User
let carol: User

beforeAll(async () => {
  alice = await registerUser('host')
  bob = await registerUser('guest')
  carol = await registerUser('third')
})

const membershipOf = async (roomId: string, user: User) =>
  (await stateOf(alice, roomId, 'm.room.member', user.userId))['membership']
const target = (user: User, reason?: string) => ({ user_id: user.userId, ...(reason === undefined ? {} : { reason }) })

describe('joining', () => {
  test('works by room ID and by alias, and under r0', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat', room_alias_name: 'by-alias' })
    expect(await ok(bob.post(at(roomId, '/join')))).toEqual({ room_id: roomId })
    await ok(bob.post(at(roomId, '/leave')))
    expect(await ok(bob.post(`/join/${encodeURIComponent(roomId)}`))).toEqual({ room_id: roomId })
    await ok(bob.post(at(roomId, '/leave')))
    const byAlias = `/join/${encodeURIComponent('#by-alias:test.local')}`
    expect(await ok(bob.post(`${byAlias}?server_name=test.local&via=bad%20name`))).toEqual({ room_id: roomId })
    expect(await ok(carol.post(`/_matrix/client/r0${byAlias}`, ''))).toEqual({ room_id: roomId })
    expect(await membershipOf(roomId, carol)).toBe('join')
  })

  test('twice is joining once', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' })
    const memberEvent = async () =>
      (await fullState(alice, roomId)).find(({ state_key }) => state_key === bob.userId)?.event_id
    await join(bob, roomId)
    const first = await memberEvent()
    await join(bob, roomId)
    expect(await memberEvent()).toBe(first)
  })

  test('takes a reason and content of the client’s own, but no say in the rest', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' })
    const body = { reason: 'looking for support', foo: 'bar', membership: 'ban', join_authorised_via_users_server: 'x' }
    await ok(bob.post(`/join/${encodeURIComponent(roomId)}`, body))
    const content = await stateOf(alice, roomId, 'm.room.member', bob.userId)
    expect(content).toMatchObject({ membership: 'join', reason: 'looking for support', foo: 'bar' })
    expect(content).not.toHaveProperty('join_authorised_via_users_server')
  })

  test('needs an invite where one is needed', async () => {
    const roomId = await createRoom(alice)
    expect(await bob.post(at(roomId, '/join'))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    await invite(alice, roomId, bob)
    await join(bob, roomId)
    await ok(bob.post(at(roomId, '/leave')))
    expect(await bob.post(at(roomId, '/join'))).toMatchObject(refused(403, 'M_FORBIDDEN'))
  })

  test('leads nowhere where there is no room', async () => {
    for (const where of ['!unknown:test.local', `!${'A'.repeat(43)}`, '#unknown:test.local']) {
      expect(await bob.post(`/join/${encodeURIComponent(where)}`)).toMatchObject(refused(404, 'M_NOT_FOUND'))
    }
    expect(await bob.post(`/join/${encodeURIComponent(`#x:${nowhere}`)}`)).toMatchObject(refused(404, 'M_NOT_FOUND'))
    expect(await bob.post(`/join/${encodeURIComponent(`!x:${nowhere}`)}`)).toMatchObject(refused(502, 'M_UNKNOWN'))
    for (const what of ['nothing', '@bob:test.local', '!', '#']) {
      expect(await bob.post(`/join/${encodeURIComponent(what)}`)).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    }
  })

  test.each([
    ['a reason that is none', { reason: 7 }, 400, 'M_BAD_JSON'],
    ['a list', [], 400, 'M_BAD_JSON'],
    ['a signature that is none', { third_party_signed: 'x' }, 400, 'M_BAD_JSON'],
    [
      'a signature for another',
      { third_party_signed: { mxid: '@x:y', sender: '@a:test.local' } },
      400,
      'M_INVALID_PARAM',
    ],
  ])('with %s is refused', async (_, body, status, errcode) => {
    const roomId = await createRoom(alice, { preset: 'public_chat' })
    expect(await bob.post(at(roomId, '/join'), body)).toMatchObject(refused(status, errcode))
  })

  test('by a third-party invite takes a pending invite and a good signature', async () => {
    const roomId = await createRoom(alice)
    const public_key = 'VXuGitF39UH5iRfvbIknlvlAVKgD1BsLDMvBf0pmp7c'
    const invitation = { display_name: 'b…', key_validity_url: 'https://id.example/valid', public_key }
    const signed = {
      mxid: bob.userId,
      sender: alice.userId,
      token: 'token',
      signatures: { 'id.example': { 'ed25519:0': 'A'.repeat(86) } },
    }
    const attempt = () => bob.post(at(roomId, '/join'), { third_party_signed: signed })
    expect(await attempt()).toMatchObject(refused(403, 'M_FORBIDDEN'))
    await ok(setState(alice, roomId, 'm.room.third_party_invite', invitation, 'token'))
    expect(await attempt()).toMatchObject(refused(403, 'M_FORBIDDEN'))
    const foreign = { ...signed, sender: '@alice:elsewhere.example' }
    expect(await bob.post(at(roomId, '/join'), { third_party_signed: foreign })).toMatchObject(
      refused(403, 'M_FORBIDDEN'),
    )
  })
})

describe('guests', () => {
  test('join where guest_access says so, and nowhere else', async () => {
    const { access_token: token } = await ok(anonymous.post<{ access_token: string }>('/register?kind=guest', {}))
    const guest = clientWith(token)
    const rooms = {
      forbidden: await createRoom(alice, { preset: 'public_chat' }),
      open: await createRoom(alice, {
        preset: 'public_chat',
        initial_state: [{ type: 'm.room.guest_access', content: { guest_access: 'can_join' } }],
      }),
    }
    expect(await guest.post(at(rooms.forbidden, '/join'))).toMatchObject(refused(403, 'M_GUEST_ACCESS_FORBIDDEN'))
    await ok(guest.post(at(rooms.open, '/join')))
    await say(guest, rooms.open, 'I may')
    await ok(setState(alice, rooms.open, 'm.room.guest_access', { guest_access: 'forbidden' }))
    const { joined } = await ok(alice.get<{ joined: object }>(at(rooms.open, '/joined_members')))
    expect(Object.keys(joined)).toEqual([alice.userId])
    expect(await guest.post('/createRoom', {})).toMatchObject(refused(403, 'M_GUEST_ACCESS_FORBIDDEN'))
    expect(await guest.post(at(rooms.open, '/invite'), target(bob))).toMatchObject(
      refused(403, 'M_GUEST_ACCESS_FORBIDDEN'),
    )
  })
})

describe('restricted rooms', () => {
  test.each([
    ['8', 'restricted'],
    ['10', 'knock_restricted'],
    ['12', 'restricted'],
  ])('of version %s with join rule %s are open to the members of another room', async (version, rule) => {
    const allowed = await createRoom(alice, { preset: 'public_chat' })
    const allow = [{ type: 'm.room_membership', room_id: allowed, via: ['test.local'] }]
    const rules = { type: 'm.room.join_rules', content: { join_rule: rule, allow } }
    const roomId = await createRoom(alice, { room_version: version, initial_state: [rules] })
    const attempt = () => bob.post(at(roomId, '/join'))
    expect(await attempt()).toMatchObject(refused(403, 'M_FORBIDDEN'))
    await join(bob, allowed)
    await ok(attempt())
    expect(await stateOf(alice, roomId, 'm.room.member', bob.userId)).toMatchObject({
      membership: 'join',
      join_authorised_via_users_server: alice.userId,
    })
    const renamed = { membership: 'join', displayname: 'B', join_authorised_via_users_server: 'unused' }
    await ok(setState(bob, roomId, 'm.room.member', renamed, bob.userId))
    await ok(bob.post(at(roomId, '/leave')))
    await ok(bob.post(at(allowed, '/leave')))
    expect(await attempt()).toMatchObject(refused(403, 'M_FORBIDDEN'))
    await invite(alice, roomId, bob)
    await ok(attempt())
    await ok(bob.post(at(roomId, '/leave')))
    await join(bob, allowed)
    for (const mangled of [['invalid'], 'invalid', [{ type: 'm.room_membership' }], []]) {
      await ok(setState(alice, roomId, 'm.room.join_rules', { join_rule: rule, allow: mangled }))
      expect(await attempt()).toMatchObject(refused(403, 'M_FORBIDDEN'))
    }
  })
})

describe('inviting', () => {
  test('is for members, of those who are not', async () => {
    const roomId = await createRoom(alice)
    expect(await bob.post(at(roomId, '/invite'), target(carol))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect(await alice.post(at(roomId, '/invite'), target(alice))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    await ok(alice.post(at(roomId, '/invite'), target(bob, 'welcome')))
    expect(await stateOf(alice, roomId, 'm.room.member', bob.userId)).toMatchObject({ reason: 'welcome' })
    await ok(alice.post(at(roomId, '/invite'), target(bob, 'welcome')))
    await join(bob, roomId)
    expect(await alice.post(at(roomId, '/invite'), target(bob))).toMatchObject(refused(403, 'M_FORBIDDEN'))
  })

  test('can be declined, and what was declined can be forgotten', async () => {
    const roomId = await createRoom(alice)
    await invite(alice, roomId, bob)
    await ok(bob.post(at(roomId, '/leave'), { reason: 'no' }))
    expect(await stateOf(alice, roomId, 'm.room.member', bob.userId)).toMatchObject({
      membership: 'leave',
      reason: 'no',
    })
    await ok(bob.post(at(roomId, '/forget')))
  })

  test('can bring back who made the room', async () => {
    const roomId = await createRoom(alice, { room_version: '11' })
    await invite(alice, roomId, bob)
    await join(bob, roomId)
    await ok(setState(alice, roomId, 'm.room.power_levels', { users: { [alice.userId]: 100, [bob.userId]: 100 } }))
    await ok(alice.post(at(roomId, '/leave')))
    await invite(bob, roomId, alice)
    await join(alice, roomId)
  })

  test('by e-mail is nothing this server does', async () => {
    const roomId = await createRoom(alice)
    const body = { id_server: 'id.example', id_access_token: 'x', medium: 'email', address: 'bob@example.org' }
    expect(await alice.post(at(roomId, '/invite'), body)).toMatchObject(refused(403, 'M_SERVER_NOT_TRUSTED'))
  })
})

describe('knocking', () => {
  const knockRoom = async (version = '12') => {
    const rules = { type: 'm.room.join_rules', content: { join_rule: 'knock' } }
    return createRoom(alice, { room_version: version, initial_state: [rules] })
  }
  const knock = (user: User, roomId: string, body = {}) => user.post(`/knock/${encodeURIComponent(roomId)}`, body)

  test.each(['7', '10', '12'])('in version %s asks for an invite, again and again', async (version) => {
    const roomId = await knockRoom(version)
    expect(await bob.post(at(roomId, '/join'))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect(await ok(knock(bob, roomId, { reason: 'let me in' }))).toEqual({ room_id: roomId })
    expect(await stateOf(alice, roomId, 'm.room.member', bob.userId)).toMatchObject({
      membership: 'knock',
      reason: 'let me in',
    })
    await ok(knock(bob, roomId, { reason: 'really' }))
    await ok(bob.post(at(roomId, '/leave')))
    await ok(knock(bob, roomId))
    await ok(alice.post(at(roomId, '/kick'), target(bob, 'no')))
    await ok(knock(bob, roomId))
    await invite(alice, roomId, bob)
    expect(await knock(bob, roomId)).toMatchObject(refused(403, 'M_FORBIDDEN'))
    await join(bob, roomId)
    expect(await knock(bob, roomId)).toMatchObject(refused(403, 'M_FORBIDDEN'))
    await ok(alice.post(at(roomId, '/ban'), target(bob)))
    expect(await knock(bob, roomId)).toMatchObject(refused(403, 'M_FORBIDDEN'))
  })

  test('works by alias, and only where the room takes it', async () => {
    const roomId = await knockRoom()
    const alias = encodeURIComponent('#knock-knock:test.local')
    await ok(alice.put(`/directory/room/${alias}`, { room_id: roomId }))
    expect(await ok(carol.post(`/knock/${alias}`))).toEqual({ room_id: roomId })
    const closed = await createRoom(alice)
    expect(await knock(carol, closed)).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect(await knock(carol, '!unknown:test.local')).toMatchObject(refused(404, 'M_NOT_FOUND'))
    expect(await knock(carol, 'nothing')).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    expect(await knock(carol, roomId, { reason: 7 })).toMatchObject(refused(400, 'M_BAD_JSON'))
  })
})

describe('moderation', () => {
  test('kicks who is there', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' })
    expect(await alice.post(at(roomId, '/kick'), target(bob))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    await join(bob, roomId)
    await join(carol, roomId)
    expect(await carol.post(at(roomId, '/kick'), target(bob))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    await ok(alice.post(at(roomId, '/kick'), target(bob, 'testing')))
    expect(await stateOf(alice, roomId, 'm.room.member', bob.userId)).toMatchObject({
      membership: 'leave',
      reason: 'testing',
    })
    expect(await alice.post(at(roomId, '/kick'), target(bob))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    await ok(bob.post(at(roomId, '/forget')))
    await join(bob, roomId)
  })

  test('bans until unbanned', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' })
    await join(bob, roomId)
    await join(carol, roomId)
    expect(await carol.post(at(roomId, '/ban'), target(bob))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect(await alice.post(at(roomId, '/unban'), target(bob))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect(await membershipOf(roomId, bob)).toBe('join')
    await ok(alice.post(at(roomId, '/ban'), target(bob, 'testing')))
    expect(await membershipOf(roomId, bob)).toBe('ban')
    expect(await bob.post(at(roomId, '/join'))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect(await alice.post(at(roomId, '/invite'), target(bob))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect(await alice.post(at(roomId, '/kick'), target(bob))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect(await carol.post(at(roomId, '/unban'), target(bob))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    await ok(alice.post(at(roomId, '/unban'), target(bob, 'long enough')))
    expect(await membershipOf(roomId, bob)).toBe('leave')
    await join(bob, roomId)
  })

  test('is nothing for those with power who are not there', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' })
    await join(bob, roomId)
    await ok(setState(alice, roomId, 'm.room.power_levels', { users: { [carol.userId]: 100 } }))
    for (const what of ['ban', 'kick']) {
      expect(await carol.post(at(roomId, `/${what}`), target(bob))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    }
  })

  test('of creators is beyond everybody', async () => {
    const roomId = await createRoom(alice, { room_version: '12', preset: 'public_chat' })
    await join(bob, roomId)
    await ok(setState(alice, roomId, 'm.room.power_levels', { users: { [bob.userId]: Number.MAX_SAFE_INTEGER } }))
    for (const what of ['ban', 'kick']) {
      expect(await bob.post(at(roomId, `/${what}`), target(alice))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    }
    await ok(alice.post(at(roomId, '/kick'), target(bob)))
  })
})

describe('leaving and forgetting', () => {
  test('a room one is in cannot be forgotten', async () => {
    const roomId = await createRoom(alice)
    expect(await alice.post(at(roomId, '/forget'))).toMatchObject(refused(400, 'M_UNKNOWN'))
    await invite(alice, roomId, bob)
    expect(await bob.post(at(roomId, '/forget'))).toMatchObject(refused(400, 'M_UNKNOWN'))
  })

  test('what was forgotten cannot be read until one is back', async () => {
    const roomId = await createRoom(alice)
    await invite(alice, roomId, bob)
    await join(bob, roomId)
    const before = await say(alice, roomId, 'before leave')
    await ok(bob.post(at(roomId, '/leave')))
    await ok(bob.get(at(roomId, '/messages?dir=b')))
    await ok(bob.post(at(roomId, '/forget'), {}))
    expect(await bob.get(at(roomId, '/messages'))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect(await bob.post(at(roomId, '/join'))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    await invite(alice, roomId, bob)
    await join(bob, roomId)
    const { chunk } = await ok(bob.get<{ chunk: ClientEvent[] }>(at(roomId, '/messages?dir=b&limit=100')))
    expect(chunk.map(({ event_id }) => event_id)).toContain(before)
  })

  test('what was forgotten is told to other devices as left, once', async () => {
    interface Sync {
      readonly next_batch: string
      readonly rooms?: { readonly leave?: Record<string, object>; readonly join?: Record<string, object> }
    }
    const filter = encodeURIComponent(JSON.stringify({ room: { include_leave: true } }))
    const sync = (since?: string) =>
      ok(bob.get<Sync>(`/sync?filter=${filter}${since === undefined ? '' : `&since=${encodeURIComponent(since)}`}`))
    const roomId = await createRoom(alice, { preset: 'public_chat' })
    await join(bob, roomId)
    const { next_batch: before } = await sync()
    await ok(bob.post(at(roomId, '/leave')))
    await ok(bob.post(at(roomId, '/forget')))
    await say(alice, roomId, 'after')
    const told = await sync(before)
    expect(told.rooms?.leave).toHaveProperty([roomId])
    expect(JSON.stringify(told)).not.toContain('after')
    expect((await sync(told.next_batch)).rooms?.leave ?? {}).not.toHaveProperty([roomId])
    expect((await sync()).rooms?.leave ?? {}).not.toHaveProperty([roomId])
  })

  test('the last one to leave leaves an empty room', async () => {
    const roomId = await createRoom(alice)
    await invite(alice, roomId, bob)
    await ok(alice.post(at(roomId, '/leave')))
    await ok(bob.post(at(roomId, '/leave')))
    await ok(alice.post(at(roomId, '/forget')))
    await ok(bob.post(at(roomId, '/forget')))
  })
})
