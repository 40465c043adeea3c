/** Sending messages, setting state and redacting over HTTP. Spec: client-server-api/#sending-events-to-a-room. */
import { beforeAll, describe, expect, test } from 'vitest'

import { login, registerUser, type User } from '../client.ts'
import {
  at,
  type ClientEvent,
  createRoom,
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
let roomId: string

beforeAll(async () => {
  alice = await registerUser('sender')
  bob = await registerUser('reader')
  roomId = await createRoom(alice, { preset: 'public_chat' })
  await join(bob, roomId)
})

const eventOf = (user: User, room: string, eventId: string) =>
  ok(user.get<ClientEvent>(at(room, `/event/${encodeURIComponent(eventId)}`)))

describe('a message', () => {
  test('can be fetched by its ID, with its transaction for who sent it', async () => {
    const content = { msgtype: 'm.text', body: 'hello', deep: { '': [null, 1, '\u{1f600}'] } }
    const path = at(roomId, '/send/m.room.message/lorem')
    const { event_id: eventId } = await ok(alice.put<{ event_id: string }>(path, content))
    const event = await eventOf(bob, roomId, eventId)
    expect(event).toMatchObject({
      event_id: eventId,
      room_id: roomId,
      sender: alice.userId,
      type: 'm.room.message',
      content,
      origin_server_ts: expect.any(Number),
    })
    expect(event.unsigned).not.toHaveProperty('transaction_id')
    expect((await eventOf(alice, roomId, eventId)).unsigned).toMatchObject({ transaction_id: 'lorem' })
  })

  test('is sent once per transaction, device, type and room', async () => {
    const other = await createRoom(alice)
    const send = (user: User, room: string, type: string, body: string) =>
      ok(user.put<{ event_id: string }>(at(room, `/send/${type}/same`), { body })).then(({ event_id }) => event_id)
    const first = await send(alice, roomId, 'm.room.message', 'first')
    expect(await send(alice, roomId, 'm.room.message', 'even with other content')).toBe(first)
    expect((await eventOf(bob, roomId, first)).content).toEqual({ body: 'first' })
    const sameDevice = await login(alice, { device_id: alice.deviceId })
    expect(await send(sameDevice, roomId, 'm.room.message', 'again')).toBe(first)
    alice = sameDevice
    const others = [
      await send(alice, other, 'm.room.message', 'elsewhere'),
      await send(alice, roomId, 'org.example.other', 'of another type'),
      await send(bob, roomId, 'm.room.message', 'of somebody else'),
      await send(await login(alice), roomId, 'm.room.message', 'of another device'),
    ]
    expect(new Set([first, ...others]).size).toBe(5)
  })

  test('may have the type of a state event', async () => {
    const path = at(roomId, '/send/m.room.join_rules/as-message')
    const { event_id: eventId } = await ok(alice.put<{ event_id: string }>(path, { join_rule: 'invite' }))
    expect(await eventOf(bob, roomId, eventId)).not.toHaveProperty('state_key')
    expect(await stateOf(bob, roomId, 'm.room.join_rules')).toEqual({ join_rule: 'public' })
  })

  test('may have a type with a slash in it', async () => {
    const { event_id: eventId } = await ok(
      alice.put<{ event_id: string }>(
        at(roomId, `/send/${encodeURIComponent('org.example/a b%')}/t/`.slice(0, -1)),
        {},
      ),
    )
    expect((await eventOf(bob, roomId, eventId)).type).toBe('org.example/a b%')
  })

  test.each([
    ['an integer out of range', '{"body": 9007199254740992}', 400, 'M_BAD_JSON'],
    ['a negative one', '{"body": -9007199254740992}', 400, 'M_BAD_JSON'],
    ['a float', '{"body": 1.1}', 400, 'M_BAD_JSON'],
    ['a number beyond all', '{"body": 1e999}', 400, 'M_BAD_JSON'],
    ['half a character', '{"body": "\\ud800"}', 400, 'M_BAD_JSON'],
    ['infinity', '{"body": Infinity}', 400, 'M_NOT_JSON'],
    ['no number', '{"body": NaN}', 400, 'M_NOT_JSON'],
    ['a list in place of content', '[]', 400, 'M_BAD_JSON'],
    ['null in place of content', 'null', 400, 'M_BAD_JSON'],
    ['nothing at all', '', 400, 'M_NOT_JSON'],
    ['too much', JSON.stringify({ body: 'x'.repeat(66_000) }), 413, 'M_TOO_LARGE'],
    ['far too deep a nest', `{"body":${'['.repeat(20_000)}${']'.repeat(20_000)}}`, 400, 'M_BAD_JSON'],
  ])('with %s is refused', async (_, body, status, errcode) => {
    const path = at(roomId, '/send/m.room.message/refused')
    expect(await alice.put(path, body)).toMatchObject(refused(status, errcode))
    // A refusal is not a transaction that was carried out.
    expect(await alice.put(path, body)).toMatchObject(refused(status, errcode))
  })

  test('may nest as deep as canonical JSON does', async () => {
    // Content, event and their braces count as well.
    const body = `{"body":${'['.repeat(990)}${']'.repeat(990)}}`
    const { event_id: eventId } = await ok(
      alice.put<{ event_id: string }>(at(roomId, '/send/org.example.deep/t'), body),
    )
    await eventOf(bob, roomId, eventId)
    await ok(bob.get(at(roomId, '/messages?dir=b&limit=1')))
  })

  test('with too long a type is refused', async () => {
    expect(await alice.put(at(roomId, `/send/${'x'.repeat(300)}/long`), {})).toMatchObject(refused(413, 'M_TOO_LARGE'))
  })

  test('cannot create the room once more', async () => {
    const { status } = await alice.put(at(roomId, '/send/m.room.create/create'), {})
    expect(status).toBe(403)
  })
})

describe('state', () => {
  test.each([
    ['no key', '/state/org.example.s', ''],
    ['a slash and no key', '/state/org.example.s/', ''],
    ['a key', '/state/org.example.s/key', 'key'],
    ['a key with slashes', `/state/org.example.s/${encodeURIComponent('a/b c')}`, 'a/b c'],
  ])('with %s is set and got at the same path', async (name, path, key) => {
    await ok(alice.put(at(roomId, path), { name }))
    expect(await ok(bob.get(at(roomId, path)))).toEqual({ name })
    expect(await ok(bob.get(at(roomId, `${path}?format=content`)))).toEqual({ name })
    expect(await ok(bob.get(at(roomId, `${path}?format=event`)))).toMatchObject({
      type: 'org.example.s',
      state_key: key,
      room_id: roomId,
      sender: alice.userId,
      content: { name },
    })
  })

  test('answers under r0 as well', async () => {
    const path = (rest: string) => `/_matrix/client/r0${at(roomId, rest)}`
    await ok(alice.put(path('/state/org.example.r0/'), { old: true }))
    expect(await ok(bob.get(path('/state/org.example.r0')))).toEqual({ old: true })
    expect(await ok(bob.get(path('/state/org.example.r0/')))).toEqual({ old: true })
  })

  test('set twice is set once', async () => {
    const first = await ok(setState(alice, roomId, 'org.example.twice', { a: 1 }))
    expect(await ok(setState(alice, roomId, 'org.example.twice', { a: 1 }))).toEqual(first)
    expect(await ok(setState(alice, roomId, 'org.example.twice', { a: 2 }))).not.toEqual(first)
  })

  test('takes power', async () => {
    expect(await setState(bob, roomId, 'm.room.name', { name: 'Mine' })).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect(await setState(bob, roomId, 'x', {}, alice.userId)).toMatchObject(refused(403, 'M_FORBIDDEN'))
  })

  test('that is not there is not found', async () => {
    for (const path of ['/state/org.example.none', '/state/m.room.name/key', '/state/__proto__']) {
      expect(await bob.get(at(roomId, path))).toMatchObject(refused(404, 'M_NOT_FOUND'))
    }
    expect(await bob.get(at(roomId, '/state/m.room.create?format=xml'))).toMatchObject(refused(400, 'M_INVALID_PARAM'))
  })

  test('has no transactions, and no POST', async () => {
    expect(await alice.put(at(roomId, '/state/org.example.x/foo/11'), {})).toMatchObject(refused(404, 'M_UNRECOGNIZED'))
    expect(await alice.post(at(roomId, '/state/org.example.x'), {})).toMatchObject(refused(405, 'M_UNRECOGNIZED'))
  })

  test('cannot create the room once more', async () => {
    for (const version of ['11', '12']) {
      const room = await createRoom(alice, { room_version: version })
      const again = await setState(alice, room, 'm.room.create', { room_version: version, entropy: 100 })
      expect(again).toMatchObject(refused(400, 'M_BAD_STATE'))
    }
  })

  test('of power levels admits no number out of range', async () => {
    const body = `{"users":{"${bob.userId}":9007199254740992}}`
    expect(await alice.put(at(roomId, '/state/m.room.power_levels'), body)).toMatchObject(refused(400, 'M_BAD_JSON'))
  })

  test('that is too large is refused', async () => {
    const content = { body: 'x'.repeat(66_000) }
    expect(await setState(alice, roomId, 'marvel.universe.fate', content)).toMatchObject(refused(413, 'M_TOO_LARGE'))
    expect(await setState(alice, roomId, 'x', {}, 'k'.repeat(300))).toMatchObject(refused(413, 'M_TOO_LARGE'))
  })
})

describe('memberships as state', () => {
  test('invite, join, rename, kick, ban and unban like the endpoints of that name', async () => {
    const room = await createRoom(alice)
    const set = (user: User, membership: string, target: User, more = {}) =>
      setState(user, room, 'm.room.member', { membership, ...more }, target.userId)
    expect(await set(bob, 'join', bob)).toMatchObject(refused(403, 'M_FORBIDDEN'))
    await ok(set(alice, 'invite', bob, { reason: 'come' }))
    await ok(set(bob, 'join', bob, { displayname: 'Bobby', join_authorised_via_users_server: alice.userId }))
    const member = await stateOf(alice, room, 'm.room.member', bob.userId)
    expect(member).toMatchObject({ membership: 'join', displayname: 'Bobby' })
    expect(member).not.toHaveProperty('join_authorised_via_users_server')
    await ok(set(alice, 'leave', bob))
    await ok(set(alice, 'ban', bob))
    expect(await set(alice, 'invite', bob)).toMatchObject(refused(403, 'M_FORBIDDEN'))
    await ok(set(alice, 'leave', bob))
    await ok(set(alice, 'invite', bob))
  })

  test.each([
    ['of nobody', 'bob', { membership: 'invite' }, 400, 'M_INVALID_PARAM'],
    ['without membership', '@bob:test.local', {}, 400, 'M_BAD_JSON'],
    ['of a kind nobody knows', '@bob:test.local', { membership: 'owner' }, 400, 'M_BAD_JSON'],
    ['as a list', '@bob:test.local', { membership: ['join'] }, 400, 'M_BAD_JSON'],
    ['that join somebody else', '@bob:test.local', { membership: 'join' }, 403, 'M_FORBIDDEN'],
    ['that knock for somebody else', '@bob:test.local', { membership: 'knock' }, 403, 'M_FORBIDDEN'],
  ])('%s are refused', async (_, key, content, status, errcode) => {
    expect(await setState(alice, roomId, 'm.room.member', content, key)).toMatchObject(refused(status, errcode))
  })
})

describe('the canonical alias', () => {
  const alias = (name: string) => `#${name}:test.local`
  const give = (room: string, name: string) =>
    ok(alice.put(`/directory/room/${encodeURIComponent(alias(name))}`, { room_id: room }))

  test('must lead to the room', async () => {
    const [room, other] = [await createRoom(alice), await createRoom(alice)]
    await give(room, 'here')
    await give(other, 'there')
    await ok(setState(alice, room, 'm.room.canonical_alias', { alias: alias('here'), alt_aliases: [alias('here')] }))
    for (const content of [
      { alias: alias('nowhere') },
      { alias: alias('there') },
      { alias: alias('here'), alt_aliases: [alias('there')] },
      { alt_aliases: [alias('nowhere')] },
      { alias: `#here:${nowhere}` },
    ]) {
      expect(await setState(alice, room, 'm.room.canonical_alias', content)).toMatchObject(refused(400, 'M_BAD_ALIAS'))
    }
  })

  test.each([
    { alias: '%here:test.local' },
    { alias: 7 },
    { alt_aliases: '#here:test.local' },
    { alt_aliases: [null] },
  ])('cannot be %j', async (content) => {
    const answer = await setState(alice, roomId, 'm.room.canonical_alias', content)
    expect(answer).toMatchObject(refused(400, 'M_INVALID_PARAM'))
  })

  test('may keep an alias that has gone, and lose it', async () => {
    const room = await createRoom(alice)
    await give(room, 'goes')
    await ok(setState(alice, room, 'm.room.canonical_alias', { alt_aliases: [alias('goes')] }))
    await give(room, 'stays')
    // Taken out behind the room's back: the creator of the alias has no power in the room.
    await ok(alice.put(at(room, '/state/m.room.power_levels'), { events: { 'm.room.canonical_alias': 0 } }))
    await ok(alice.delete(`/directory/room/${encodeURIComponent(alias('goes'))}`))
    expect(await stateOf(alice, room, 'm.room.canonical_alias')).toEqual({})
    await ok(setState(alice, room, 'm.room.canonical_alias', { alias: alias('stays') }))
    await ok(setState(alice, room, 'm.room.canonical_alias', { alias: '' }))
  })
})

describe('a redaction', () => {
  test.each(['1', '10', '11', '12'])('takes the content away in version %s, by both endpoints', async (version) => {
    const room = await createRoom(alice, { room_version: version })
    const [first, second] = [await say(alice, room, 'one'), await say(alice, room, 'two')]
    const byPath = await ok(
      alice.put<{ event_id: string }>(at(room, `/redact/${encodeURIComponent(first)}/r1`), { reason: 'typo' }),
    )
    const bySend = await ok(
      alice.put<{ event_id: string }>(at(room, '/send/m.room.redaction/r2'), { redacts: second, reason: 'typo' }),
    )
    for (const [target, { event_id: redaction }] of [
      [first, byPath],
      [second, bySend],
    ] as const) {
      const gone = await eventOf(alice, room, target)
      expect(gone.content).toEqual({})
      expect(gone.unsigned).toMatchObject({ redacted_because: { event_id: redaction, content: { reason: 'typo' } } })
      expect(await eventOf(alice, room, redaction)).toMatchObject({ redacts: target, content: { reason: 'typo' } })
    }
  })

  test('is done once per transaction', async () => {
    const eventId = await say(alice, roomId, 'once')
    const path = at(roomId, `/redact/${encodeURIComponent(eventId)}/same`)
    const first = await ok(alice.put(path, {}))
    expect(await ok(alice.put(path, {}))).toEqual(first)
  })

  test('takes power over what others wrote', async () => {
    const mine = await say(alice, roomId, 'mine')
    const path = (eventId: string) => at(roomId, `/redact/${encodeURIComponent(eventId)}/t`)
    expect(await bob.put(path(mine), {})).toMatchObject(refused(403, 'M_FORBIDDEN'))
    await ok(bob.put(path(await say(bob, roomId, 'yours')), {}))
  })

  test.each([
    ['a reason that is none', '/redact/$x:test.local/t', { reason: 7 }, 400, 'M_BAD_JSON'],
    ['no event', '/redact/x/t', {}, 400, 'M_INVALID_PARAM'],
    ['no redacts', '/send/m.room.redaction/t', { reason: 'x' }, 400, 'M_INVALID_PARAM'],
    ['redacts that is none', '/send/m.room.redaction/t', { redacts: 7 }, 400, 'M_INVALID_PARAM'],
    ['the create event', 'create', {}, 403, 'M_FORBIDDEN'],
  ])('of %s is refused', async (_, path, body, status, errcode) => {
    const create = `/redact/${encodeURIComponent(`$${roomId.slice(1)}`)}/t`
    expect(await alice.put(at(roomId, path === 'create' ? create : path), body)).toMatchObject(refused(status, errcode))
  })
})

test('a room shows its events to those who were invited into it', async () => {
  const room = await createRoom(alice)
  const before = await say(alice, room, 'before')
  await invite(alice, room, bob)
  await join(bob, room)
  expect((await eventOf(bob, room, before)).content).toMatchObject({ body: 'before' })
})
