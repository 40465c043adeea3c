/** Creating rooms over HTTP. Spec: client-server-api/#creation. */
import { roomVersions } from '#protocol/room-versions/rules.ts'
import { beforeAll, describe, expect, test } from 'vitest'

import { anonymous, registerUser, type User } from '../client.ts'
import { at, createRoom, fullState, ok, refused, setState, stateOf } from './rooms.ts'

let alice: User
let bob: User
let carol: User

beforeAll(async () => {
  alice = await registerUser('creator')
  bob = await registerUser('invited')
  carol = await registerUser('other')
})

describe.each(roomVersions)('a room of version %s', (version) => {
  test('is there with everything it was asked for', async () => {
    const roomId = await createRoom(alice, {
      room_version: version,
      name: 'Pub',
      topic: 'Beer',
      room_alias_name: `pub-${version}`,
      invite: [bob.userId],
      initial_state: [{ type: 'org.example.x', content: { deep: [1, { '': null }] } }],
      is_direct: true,
    })
    const state = await fullState(alice, roomId)
    expect(state.map(({ type, state_key }) => `${type}|${state_key}`).toSorted()).toEqual(
      [
        'm.room.create|',
        `m.room.member|${alice.userId}`,
        `m.room.member|${bob.userId}`,
        'm.room.power_levels|',
        'm.room.canonical_alias|',
        'm.room.join_rules|',
        'm.room.history_visibility|',
        'm.room.guest_access|',
        'org.example.x|',
        'm.room.name|',
        'm.room.topic|',
      ].toSorted(),
    )
    expect(state.every((event) => event.room_id === roomId)).toBe(true)
    expect(await stateOf(alice, roomId, 'm.room.create')).toMatchObject({ room_version: version })
    expect(await stateOf(alice, roomId, 'm.room.canonical_alias')).toEqual({ alias: `#pub-${version}:test.local` })
    expect(await stateOf(alice, roomId, 'm.room.topic')).toMatchObject({ topic: 'Beer' })
    expect(await stateOf(alice, roomId, 'm.room.member', bob.userId)).toMatchObject({
      membership: 'invite',
      is_direct: true,
    })
    expect(await stateOf(alice, roomId, 'm.room.member', alice.userId)).not.toHaveProperty('is_direct')
    const found = await ok(anonymous.get(`/directory/room/${encodeURIComponent(`#pub-${version}:test.local`)}`))
    expect(found).toEqual({ room_id: roomId, servers: ['test.local'] })
  })

  test('can be a trusted private chat', async () => {
    const roomId = await createRoom(alice, {
      room_version: version,
      preset: 'trusted_private_chat',
      invite: [bob.userId],
    })
    await ok(bob.post(at(roomId, '/join')))
    await ok(setState(bob, roomId, 'm.room.name', { name: 'Ours' }))
  })
})

describe('a room of version 12', () => {
  test('is named by its create event', async () => {
    const roomId = await createRoom(alice, { room_version: '12' })
    const create = (await fullState(alice, roomId)).find(({ type }) => type === 'm.room.create')
    expect(create).toMatchObject({ event_id: `$${roomId.slice(1)}`, room_id: roomId, sender: alice.userId })
  })

  test('is another one each time, however fast they are made', async () => {
    const rooms = await Promise.all(Array.from({ length: 5 }, () => createRoom(alice, { room_version: '12' })))
    expect(new Set(rooms).size).toBe(5)
  })

  test('has additional creators, who cannot be kicked', async () => {
    const roomId = await createRoom(alice, {
      room_version: '12',
      preset: 'public_chat',
      creation_content: { additional_creators: [bob.userId] },
    })
    await ok(bob.post(at(roomId, '/join')))
    const kick = alice.post(at(roomId, '/kick'), { user_id: bob.userId })
    expect(await kick).toMatchObject(refused(403, 'M_FORBIDDEN'))
    await ok(setState(bob, roomId, 'm.room.name', { name: 'Mine as well' }))
  })

  test.each([
    ['its creator', () => ({ users: { [alice.userId]: 100 } })],
    ['an additional creator', () => ({ users: { [bob.userId]: 100 } })],
  ])('takes no power levels that list %s', async (_, levels) => {
    const creation_content = { additional_creators: [bob.userId] }
    const wishes = { room_version: '12', creation_content, power_level_content_override: levels() }
    expect(await alice.post('/createRoom', wishes)).toMatchObject(refused(400, 'M_INVALID_ROOM_STATE'))
    const roomId = await createRoom(alice, { room_version: '12', creation_content })
    expect(await setState(alice, roomId, 'm.room.power_levels', levels())).toMatchObject(
      refused(400, 'M_INVALID_PARAM'),
    )
  })
})

test('a room is private unless told otherwise, and of the version the owner chose', async () => {
  const roomId = await createRoom(alice)
  expect(await stateOf(alice, roomId, 'm.room.join_rules')).toEqual({ join_rule: 'invite' })
  expect(await stateOf(alice, roomId, 'm.room.create')).toMatchObject({ room_version: '12' })
  expect(await bob.post(at(roomId, '/join'))).toMatchObject(refused(403, 'M_FORBIDDEN'))
})

test('the creator’s membership shows their profile, the invite that of the invited', async () => {
  await ok(alice.put(`/profile/${encodeURIComponent(alice.userId)}/displayname`, { displayname: 'Alice' }))
  await ok(bob.put(`/profile/${encodeURIComponent(bob.userId)}/displayname`, { displayname: 'Bob' }))
  const roomId = await createRoom(alice, { invite: [bob.userId] })
  expect(await stateOf(alice, roomId, 'm.room.member', alice.userId)).toMatchObject({ displayname: 'Alice' })
  expect(await stateOf(alice, roomId, 'm.room.member', bob.userId)).toMatchObject({ displayname: 'Bob' })
})

test('creation_content sets neither version nor creator', async () => {
  const creation_content = { room_version: 'test', creator: bob.userId, test: 'azerty', 'm.federate': false }
  const roomId = await createRoom(alice, { room_version: '10', creation_content })
  expect(await stateOf(alice, roomId, 'm.room.create')).toEqual({
    room_version: '10',
    creator: alice.userId,
    test: 'azerty',
    'm.federate': false,
  })
})

test('content is kept as it was written, whatever its keys are called', async () => {
  const content = '{"__proto__":{"x":1},"constructor":2,"toString":{"length":3}}'
  const body = `{"initial_state":[{"type":"org.example.keys","content":${content}}],"creation_content":${content}}`
  const { body: made } = await alice.post<{ room_id: string }>('/createRoom', body)
  for (const type of ['org.example.keys', 'm.room.create']) {
    const { text } = await alice.get(at(made.room_id, `/state/${type}`))
    expect(Object.entries(JSON.parse(text))).toEqual(
      expect.arrayContaining([
        ['__proto__', { x: 1 }],
        ['constructor', 2],
      ]),
    )
  }
})

describe('an alias', () => {
  test('that is taken leaves no room behind', async () => {
    await createRoom(alice, { room_alias_name: 'once' })
    const before = await ok(bob.get('/joined_rooms'))
    expect(await bob.post('/createRoom', { room_alias_name: 'once' })).toMatchObject(refused(400, 'M_ROOM_IN_USE'))
    expect(await ok(bob.get('/joined_rooms'))).toEqual(before)
  })

  test('is free again when the room comes to nothing', async () => {
    const wishes = { room_version: '11', room_alias_name: 'second-try' }
    const powerless = { ...wishes, name: 'No', power_level_content_override: { users: {} } }
    expect(await alice.post('/createRoom', powerless)).toMatchObject(refused(400, 'M_INVALID_ROOM_STATE'))
    await createRoom(alice, wishes)
  })

  test('goes to one of many who want it at once', async () => {
    const wanted = await Promise.all(
      [alice, bob, carol].map((user) => user.post('/createRoom', { room_alias_name: 'race' })),
    )
    expect(wanted.map(({ status }) => `${status}`).toSorted()).toEqual(['200', '400', '400'])
  })

  test.each([
    ['a whole alias', '#pub:test.local'],
    ['a colon', 'a:b'],
    ['nothing', ''],
    ['NUL', 'a\0b'],
    ['too much', 'a'.repeat(250)],
  ])('cannot be made of %s', async (_, room_alias_name) => {
    expect(await alice.post('/createRoom', { room_alias_name })).toMatchObject(refused(400, 'M_INVALID_PARAM'))
  })
})

describe('invites', () => {
  test('of one user do not depend on those of another', async () => {
    const roomId = await createRoom(alice, { invite: [bob.userId, alice.userId, bob.userId, '@nobody:test.local'] })
    expect(await stateOf(alice, roomId, 'm.room.member', bob.userId)).toMatchObject({ membership: 'invite' })
    expect(await stateOf(alice, roomId, 'm.room.member', alice.userId)).toMatchObject({ membership: 'join' })
  })

  test('say why, where the creator does, and only in the invites', async () => {
    const key = 'uk.timedout.msc4491.invite_reason'
    const invite = [bob.userId, carol.userId]
    const roomId = await createRoom(alice, { invite, is_direct: true, [key]: 'Beer?' })
    for (const guest of invite) {
      const content = { membership: 'invite', is_direct: true, reason: 'Beer?' }
      expect(await stateOf(alice, roomId, 'm.room.member', guest)).toMatchObject(content)
    }
    expect(await stateOf(alice, roomId, 'm.room.member', alice.userId)).not.toHaveProperty('reason')
    const silent = await createRoom(alice, { invite, [key]: '' })
    expect(await stateOf(alice, silent, 'm.room.member', bob.userId)).not.toHaveProperty('reason')
    expect((await alice.post('/createRoom', { [key]: 5 })).status).toBe(400)
  })

  test('are refused beforehand by those who take none', async () => {
    const type = 'm.invite_permission_config'
    const path = `/user/${encodeURIComponent(carol.userId)}/account_data/${type}`
    await ok(carol.put(path, { default_action: 'block' }))
    const before = await ok(alice.get('/joined_rooms'))
    expect(await alice.post('/createRoom', { invite: [bob.userId, carol.userId] })).toMatchObject(
      refused(403, 'M_INVITE_BLOCKED'),
    )
    expect(await ok(alice.get('/joined_rooms'))).toEqual(before)
    const roomId = await createRoom(alice)
    expect(await alice.post(at(roomId, '/invite'), { user_id: carol.userId })).toMatchObject(
      refused(403, 'M_INVITE_BLOCKED'),
    )
    expect(await setState(alice, roomId, 'm.room.member', { membership: 'invite' }, carol.userId)).toMatchObject(
      refused(403, 'M_INVITE_BLOCKED'),
    )
    await ok(carol.put(path, {}))
    await ok(alice.post(at(roomId, '/invite'), { user_id: carol.userId }))
  })
})

describe('a request for a room', () => {
  const event = (type: unknown, more: object = {}) => ({ initial_state: [{ type, content: {}, ...more }] })
  test.each([
    ['a number as version', { room_version: 1 }, 400, 'M_BAD_JSON'],
    ['a version nobody knows', { room_version: 'ahfgwjyerhgiuveisbruvybseyrugvi' }, 400, 'M_UNSUPPORTED_ROOM_VERSION'],
    ['a version of the prototype', { room_version: 'toString' }, 400, 'M_UNSUPPORTED_ROOM_VERSION'],
    ['an unknown preset', { preset: 'chat' }, 400, 'M_BAD_JSON'],
    ['an unknown visibility', { visibility: 'hidden' }, 400, 'M_BAD_JSON'],
    ['no list of invites', { invite: '@bob:test.local' }, 400, 'M_BAD_JSON'],
    ['an invite of nobody', { invite: ['bob'] }, 400, 'M_INVALID_PARAM'],
    ['too many invites', { invite: Array.from({ length: 101 }, (_, i) => `@u${i}:test.local`) }, 400, 'M_BAD_JSON'],
    ['a name that is none', { name: 7 }, 400, 'M_BAD_JSON'],
    ['a topic that is none', { topic: null }, 400, 'M_BAD_JSON'],
    ['a list as creation_content', { creation_content: [] }, 400, 'M_BAD_JSON'],
    ['m.federate as text', { creation_content: { 'm.federate': 'no' } }, 400, 'M_BAD_JSON'],
    ['creators that are none', { creation_content: { additional_creators: ['me'] } }, 400, 'M_INVALID_PARAM'],
    ['an event without a type', { initial_state: [{ content: {} }] }, 400, 'M_MISSING_PARAM'],
    ['an event without content', { initial_state: [{ type: 'x' }] }, 400, 'M_MISSING_PARAM'],
    ['an event with a number as key', event('x', { state_key: 1 }), 400, 'M_BAD_JSON'],
    ['an event with too long a type', event('x'.repeat(256)), 413, 'M_TOO_LARGE'],
    ['another create event', event('m.room.create'), 400, 'M_INVALID_ROOM_STATE'],
    ['members', event('m.room.member', { state_key: '@bob:test.local' }), 400, 'M_INVALID_ROOM_STATE'],
    ['a float', event('x', { content: { n: 1.5 } }), 400, 'M_BAD_JSON'],
    ['a number out of range', event('x', { content: { n: 2 ** 53 } }), 400, 'M_BAD_JSON'],
    ['a float in the create event', { creation_content: { n: 0.5 } }, 400, 'M_BAD_JSON'],
    ['an event that is too large', event('x', { content: { n: 'x'.repeat(66_000) } }), 413, 'M_TOO_LARGE'],
    ['a create event that is too large', { creation_content: { n: 'x'.repeat(66_000) } }, 413, 'M_TOO_LARGE'],
    [
      'too many events',
      { initial_state: Array.from({ length: 501 }, () => ({ type: 'x', content: {} })) },
      400,
      'M_BAD_JSON',
    ],
    ['levels as text', { power_level_content_override: { ban: '50' } }, 400, 'M_INVALID_ROOM_STATE'],
    ['levels of another form', { power_level_content_override: 50 }, 400, 'M_BAD_JSON'],
    [
      'someone known by e-mail only',
      { invite_3pid: [{ id_server: 'id.example', id_access_token: 'x', medium: 'email', address: 'a@b.example' }] },
      403,
      'M_SERVER_NOT_TRUSTED',
    ],
    ['e-mail without an address', { invite_3pid: [{ id_server: 'x', medium: 'email' }] }, 400, 'M_MISSING_PARAM'],
  ])('with %s is refused', async (_, wishes, status, errcode) => {
    expect(await alice.post('/createRoom', wishes)).toMatchObject(refused(status, errcode))
  })

  test.each([
    ['not JSON', '{', 400, 'M_NOT_JSON'],
    ['no object', '[]', 400, 'M_BAD_JSON'],
    ['larger than a mebibyte', `{"x":"${'x'.repeat(1024 * 1024)}"}`, 413, 'M_TOO_LARGE'],
  ])('that is %s is refused', async (_, body, status, errcode) => {
    expect(await alice.post('/createRoom', body)).toMatchObject(refused(status, errcode))
  })

  test('needs an account', async () => {
    expect(await anonymous.post('/createRoom', {})).toMatchObject(refused(401, 'M_MISSING_TOKEN'))
  })
})
