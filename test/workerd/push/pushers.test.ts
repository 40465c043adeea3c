/** Pushers: how they are set, what their gateways are sent, and what happens when those fail. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'

import { anonymous, clientWith, login, passwordAuth, registerUser, type User } from '../client.ts'
import { createRoom, invite, join, leave, say, setState, sync } from '../sync/syncing.ts'
import { type Gateway, openGateway, openNetwork } from './gateway.ts'

let alice: User
let bob: User
let room: string
let gateway: Gateway
let count = 0

beforeAll(openNetwork)
beforeEach(async () => {
  const name = `push-${(count += 1)}`
  ;[alice, bob] = [await registerUser(`${name}-alice`), await registerUser(`${name}-bob`)]
  gateway = openGateway(`${name}.example`)
  room = await createRoom(alice, { preset: 'public_chat' })
  await join(bob, room)
})

const pusherOf = (more: object = {}, data: object = {}) => ({
  app_id: 'org.example.app',
  pushkey: 'key',
  kind: 'http',
  app_display_name: 'App',
  device_display_name: 'Phone',
  lang: 'en',
  data: { url: gateway.url, ...data },
  ...more,
})

async function setPusher(user: User, body: object = pusherOf()): Promise<void> {
  const { status, text } = await user.post('/pushers/set', body)
  expect(status, text).toBe(200)
  await settled(user)
}
async function pushersOf(user: User): Promise<readonly Record<string, unknown>[]> {
  const { body } = await user.get<{ pushers: Record<string, unknown>[] }>('/pushers')
  return body.pushers
}

const objectOf = (user: User) => env.USER_SYNC.get(env.USER_SYNC.idFromName(user.userId))
/** Waits until nothing is left to do for a user's pushers, or only later. */
async function settled(user: User): Promise<void> {
  await vi.waitFor(
    async () => {
      const waiting = await runInDurableObject(objectOf(user), (_, { storage }) =>
        storage.sql
          .exec<{ due: number }>(
            `SELECT (SELECT count(*) FROM alarms WHERE name = 'push')
               - (SELECT count(*) FROM (SELECT 1 FROM pushers WHERE failures > 0 LIMIT 1)) AS due`,
          )
          .one(),
      )
      expect(waiting.due).toBeLessThanOrEqual(0)
    },
    { timeout: 10_000, interval: 10 },
  )
}
/** A restart, after a while: everything is due that was set for later. */
async function restartLater(user: User): Promise<void> {
  await runInDurableObject(objectOf(user), (_, { storage }) => {
    storage.sql.exec('UPDATE pushers SET next_at = 0')
    storage.sql.exec('UPDATE alarms SET at = 1')
  })
  await evictDurableObject(objectOf(user))
  await runDurableObjectAlarm(objectOf(user))
}

async function read(user: User, eventId: string): Promise<void> {
  const path = `/rooms/${encodeURIComponent(room)}/receipt/m.read/${encodeURIComponent(eventId)}`
  expect((await user.post(path)).status).toBe(200)
}

describe('setting pushers', () => {
  test('they are listed as they were set, with the device they belong to', async () => {
    await setPusher(bob, pusherOf({ profile_tag: 'tag' }, { format: 'event_id_only', default_payload: { aps: 1 } }))
    expect(await pushersOf(bob)).toEqual([
      {
        ...pusherOf({ profile_tag: 'tag' }, { format: 'event_id_only', default_payload: { aps: 1 } }),
        'org.matrix.msc3881.enabled': true,
        'org.matrix.msc3881.device_id': bob.deviceId,
      },
    ])
    expect(await pushersOf(alice)).toEqual([])
  })

  test('the same app ID and pushkey replace a pusher, kind null ends it', async () => {
    await setPusher(bob)
    await setPusher(bob, pusherOf({ lang: 'de' }))
    await setPusher(bob, pusherOf({ pushkey: 'other' }))
    expect(await pushersOf(bob)).toMatchObject([{ lang: 'de' }, { pushkey: 'other' }])
    await setPusher(bob, { app_id: 'org.example.app', pushkey: 'key', kind: null })
    await setPusher(bob, { app_id: 'org.example.app', pushkey: 'never there', kind: null })
    expect(await pushersOf(bob)).toMatchObject([{ pushkey: 'other' }])
  })

  test('a pushkey is taken away from other users, unless it is appended', async () => {
    await setPusher(alice)
    await setPusher(bob, pusherOf({ append: true }))
    expect([await pushersOf(alice), await pushersOf(bob)]).toMatchObject([[{ pushkey: 'key' }], [{ pushkey: 'key' }]])
    await setPusher(bob)
    expect([await pushersOf(alice), await pushersOf(bob)]).toMatchObject([[], [{ pushkey: 'key' }]])
  })

  test.each([
    ['without a kind', { kind: undefined }, 'M_MISSING_PARAM'],
    ['without a language', { lang: undefined }, 'M_MISSING_PARAM'],
    ['without data', { data: undefined }, 'M_MISSING_PARAM'],
    ['without a URL', { data: {} }, 'M_MISSING_PARAM'],
    ['of an unknown kind', { kind: 'pigeon' }, 'M_INVALID_PARAM'],
    ['with a pushkey of 513 bytes', { pushkey: 'é'.repeat(256) + 'x' }, 'M_INVALID_PARAM'],
    ['with an app ID of 65 characters', { app_id: 'a'.repeat(65) }, 'M_INVALID_PARAM'],
    ['to another path', { data: { url: 'https://push.example/notify' } }, 'M_INVALID_PARAM'],
    ['to no URL', { data: { url: 'push.example' } }, 'M_INVALID_PARAM'],
    ['to a URL with a user', { data: { url: 'https://me@push.example/_matrix/push/v1/notify' } }, 'M_INVALID_PARAM'],
    ['to a file', { data: { url: 'file:///_matrix/push/v1/notify' } }, 'M_INVALID_PARAM'],
    ['with too much data', { data: { x: 'x'.repeat(9000) } }, 'M_INVALID_PARAM'],
  ])('%s it is refused', async (_, more, errcode) => {
    const { status, body } = await bob.post('/pushers/set', pusherOf(more))
    expect({ status, errcode: body['errcode'] }).toEqual({ status: 400, errcode })
    expect(await pushersOf(bob)).toEqual([])
  })

  test('guests have none', async () => {
    const { body } = await anonymous.post<{ access_token: string }>('/register?kind=guest')
    const guest = clientWith(body.access_token)
    expect(await guest.get('/pushers')).toMatchObject({ status: 403, body: { errcode: 'M_GUEST_ACCESS_FORBIDDEN' } })
    expect(await guest.post('/pushers/set', pusherOf())).toMatchObject({ status: 403 })
  })

  test('it ends with its device', async () => {
    const phone = await login(bob)
    await setPusher(phone)
    await setPusher(bob, pusherOf({ pushkey: 'other' }))
    expect((await phone.post('/logout')).status).toBe(200)
    expect(await pushersOf(bob)).toMatchObject([{ pushkey: 'other' }])
    // The phone has another owner now: its pushkey is free.
    await setPusher(alice)
    expect(await pushersOf(bob)).toMatchObject([{ pushkey: 'other' }])
  })

  test('a new password ends those of other devices', async () => {
    const phone = await login(bob)
    await setPusher(phone)
    await setPusher(bob, pusherOf({ pushkey: 'own' }))
    const { status } = await bob.post('/account/password', { new_password: 'entirely new', auth: passwordAuth(bob) })
    expect(status).toBe(200)
    expect(await pushersOf(bob)).toMatchObject([{ pushkey: 'own' }])
  })

  test('it can be switched off from another device and stays with its own', async () => {
    const phone = await login(bob)
    await setPusher(phone)
    await setPusher(bob, pusherOf({ 'org.matrix.msc3881.enabled': false }))
    expect(await pushersOf(bob)).toMatchObject([
      { 'org.matrix.msc3881.enabled': false, 'org.matrix.msc3881.device_id': phone.deviceId },
    ])
    await say(alice, room, 'unheard')
    await settled(bob)
    await setPusher(bob, pusherOf({ 'org.matrix.msc3881.enabled': true }))
    await say(alice, room, 'heard')
    expect((await gateway.took(1)).content).toMatchObject({ body: 'heard' })
  })
})

describe('what a gateway is sent', () => {
  test('the event with everything around it', async () => {
    await setState(alice, room, 'm.room.name', { name: 'Mission Control' })
    await alice.put(`/profile/${alice.userId}/displayname`, { displayname: 'Major Tom' })
    await setPusher(bob, pusherOf({}, { default_payload: { aps: {} } }))
    const eventId = await say(alice, room, 'hello')
    const pushed = await gateway.took(1)
    expect(pushed).toEqual({
      event_id: eventId,
      room_id: room,
      type: 'm.room.message',
      sender: alice.userId,
      sender_display_name: 'Major Tom',
      room_name: 'Mission Control',
      prio: 'high',
      content: { msgtype: 'm.text', body: 'hello' },
      counts: { unread: 1 },
      devices: [
        {
          app_id: 'org.example.app',
          pushkey: 'key',
          pushkey_ts: expect.any(Number),
          data: { default_payload: { aps: {} } },
          tweaks: { sound: 'default' },
        },
      ],
    })
    // Milliseconds would be a thousand times that.
    expect(pushed.devices[0]?.pushkey_ts).toBeLessThan(1e11)
  })

  test('only IDs where that is the format', async () => {
    await setPusher(bob, pusherOf({}, { format: 'event_id_only' }))
    const eventId = await say(alice, room, 'secret')
    expect(await gateway.took(1)).toEqual({
      event_id: eventId,
      room_id: room,
      prio: 'high',
      counts: { unread: 1 },
      devices: [expect.objectContaining({ data: { format: 'event_id_only' } })],
    })
  })

  test('nothing of what was before the pusher, of own messages, and of what the rules do not notify of', async () => {
    await say(alice, room, 'before')
    await setPusher(bob)
    await say(bob, room, 'my own')
    await send(alice, { msgtype: 'm.notice', body: 'a robot' })
    await setState(alice, room, 'm.room.topic', { topic: 'quiet' })
    await say(alice, room, 'after')
    await vi.waitFor(() => expect(gateway.taken.at(-1)?.content).toMatchObject({ body: 'after' }))
    await settled(bob)
    // By sending something the user has read what was before.
    expect(gateway.taken.map(({ event_id, counts }) => [event_id !== undefined, counts])).toEqual([
      [false, { unread: 0 }],
      [true, { unread: 1 }],
    ])
  })

  test('each event once, in order, while the user is away, and with the count as it grows', async () => {
    await setPusher(bob)
    const sent: string[] = []
    for (let n = 1; n <= 6; n++) sent.push(await say(alice, room, `${n}`))
    await gateway.took(6)
    await settled(bob)
    expect(gateway.taken.map(({ event_id }) => event_id)).toEqual(sent)
    expect(gateway.taken.at(-1)?.counts).toEqual({ unread: 6 })
  })

  test('encrypted events', async () => {
    await setPusher(bob)
    const carol = await registerUser(`push-carol-${count}`)
    await join(carol, room)
    await send(alice, { algorithm: 'm.megolm.v1.aes-sha2', ciphertext: 'x' }, 'm.room.encrypted')
    expect(await gateway.took(1)).toMatchObject({ type: 'm.room.encrypted', prio: 'high' })
  })

  test('mentions as such', async () => {
    const carol = await registerUser(`push-carol-${count}`)
    await join(carol, room)
    await setPusher(bob)
    await say(alice, room, 'to nobody')
    expect(await gateway.took(1)).toMatchObject({ prio: 'low', devices: [{ tweaks: {} }] })
    await send(alice, { msgtype: 'm.text', body: 'you', 'm.mentions': { user_ids: [bob.userId] } })
    expect(await gateway.took(2)).toMatchObject({
      prio: 'high',
      devices: [{ tweaks: { highlight: true, sound: 'default' } }],
    })
  })

  test('invites, which count until they are answered', async () => {
    await setPusher(bob)
    const other = await createRoom(alice, { name: 'Elsewhere' })
    await invite(alice, other, bob)
    expect(await gateway.took(1)).toMatchObject({
      room_id: other,
      room_name: 'Elsewhere',
      type: 'm.room.member',
      user_is_target: true,
      content: { membership: 'invite' },
      counts: { unread: 1 },
    })
    await leave(bob, other)
    expect(await gateway.took(2)).toEqual({ counts: { unread: 0 }, devices: [expect.anything()] })
  })

  test('rooms that were joined later ring as well, from then on', async () => {
    await setPusher(bob)
    const other = await createRoom(alice, { preset: 'public_chat' })
    await say(alice, other, 'before')
    await join(bob, other)
    await say(alice, other, 'after')
    expect((await gateway.took(1)).content).toMatchObject({ body: 'after' })
  })

  test('nothing after leaving', async () => {
    await setPusher(bob)
    await leave(bob, room)
    await say(alice, room, 'alone')
    await settled(bob)
    expect(gateway.taken).toEqual([])
  })

  test('the count, when it was read elsewhere; nothing when others read', async () => {
    await setPusher(bob)
    const first = await say(alice, room, 'one')
    const second = await say(alice, room, 'two')
    await gateway.took(2)
    await settled(bob)
    await read(bob, first)
    expect(await gateway.took(3)).toEqual({ counts: { unread: 1 }, devices: [expect.anything()] })
    await read(bob, second)
    expect(await gateway.took(4)).toEqual({ counts: { unread: 0 }, devices: [expect.anything()] })
    await read(alice, second)
    await settled(bob)
    expect(gateway.taken).toHaveLength(4)
  })

  test('counts of all rooms, by the rules as they are', async () => {
    const other = await createRoom(alice, { preset: 'public_chat' })
    await join(bob, other)
    await say(alice, room, 'before there was a pusher')
    await setPusher(bob)
    await say(alice, room, 'here')
    await say(alice, other, 'there')
    expect((await gateway.took(2)).counts).toEqual({ unread: 3 })
    const muted = await bob.put(`/pushrules/global/room/${encodeURIComponent(room)}`, { actions: [] })
    expect(muted.status).toBe(200)
    await say(alice, room, 'muted')
    await settled(bob)
    await say(alice, other, 'there again')
    await settled(bob)
    expect(gateway.taken.at(-1)?.counts).toEqual({ unread: 2 })
    expect(gateway.taken.some(({ content }) => content?.['body'] === 'muted')).toBe(false)
  })

  test('while a client of the user is there too, whose sync it does not disturb', async () => {
    await setPusher(bob)
    const { next_batch: since } = await sync(bob)
    await say(alice, room, 'one')
    await gateway.took(1)
    await say(alice, room, 'two')
    await gateway.took(2)
    const { rooms } = await sync(bob, { since })
    expect(rooms?.join?.[room]?.timeline?.events.map(({ content }) => content['body'])).toEqual(['one', 'two'])
  })
})

describe('a gateway that', () => {
  test('rejects a pushkey ends that pusher and no other', async () => {
    await setPusher(bob)
    await setPusher(bob, pusherOf({ pushkey: 'good' }))
    gateway.answers(() => Response.json({ rejected: ['key', 'somebody else’s'] }))
    await say(alice, room, 'one')
    await gateway.took(2)
    await settled(bob)
    expect(await pushersOf(bob)).toMatchObject([{ pushkey: 'good' }])
  })

  test.each([
    ['answers nonsense took it', () => new Response('OK')],
    ['answers with a list of something else took it', () => Response.json({ rejected: [{ key: 1 }] })],
  ])('%s', async (_, answer) => {
    await setPusher(bob)
    gateway.answers(answer)
    await say(alice, room, 'one')
    await gateway.took(1)
    await settled(bob)
    expect(await pushersOf(bob)).toHaveLength(1)
    expect(gateway.requests.count).toBe(1)
  })

  test.each([
    ['cannot be reached', () => null],
    ['has an error', () => new Response('', { status: 500 })],
    ['refuses', () => new Response('', { status: 400 })],
    ['redirects', () => new Response('', { status: 302, headers: { Location: 'https://elsewhere.example/' } })],
    ['answers without end', () => new Response('x'.repeat(70_000))],
  ])('%s is tried again, in order, and keeps no other waiting', async (_, answer) => {
    const reliable = openGateway(`reliable-${count}.example`)
    await setPusher(bob)
    await setPusher(bob, { ...pusherOf({ pushkey: 'other' }), data: { url: reliable.url } })
    let isDown = true
    gateway.answers(() => (isDown ? answer() : Response.json({ rejected: [] })))
    await say(alice, room, 'one')
    await reliable.took(1)
    await settled(bob)
    await say(alice, room, 'two')
    await reliable.took(2)
    await settled(bob)
    // The second did not overtake the first, nor was the gateway asked before its time.
    expect(gateway.requests.count).toBe(1)
    isDown = false
    gateway.taken.length = 0
    await restartLater(bob)
    await gateway.took(2)
    expect(gateway.taken.map(({ content }) => content?.['body'])).toEqual(['one', 'two'])
    await settled(bob)
    expect(gateway.requests.count).toBe(3)
  })

  test('comes back gets what waited for it, over a restart of this server', async () => {
    await setPusher(bob)
    gateway.answers(() => null)
    await say(alice, room, 'one')
    await settled(bob)
    gateway.answers(() => Response.json({ rejected: [] }))
    await restartLater(bob)
    expect((await gateway.took(1)).content).toMatchObject({ body: 'one' })
  })
})

test('a user’s object that dies between the news and the push sends it later', async () => {
  await setPusher(bob)
  // What the room told is noted, and nothing was done about it.
  await runInDurableObject(objectOf(bob), (_, { storage }) => {
    storage.sql.exec('UPDATE push_rooms SET pos = pos - 1')
    storage.sql.exec("INSERT INTO alarms(name, at) VALUES ('push', 0)")
    return storage.setAlarm(Date.now() + 60_000)
  })
  await evictDurableObject(objectOf(bob))
  expect(await runDurableObjectAlarm(objectOf(bob))).toBe(true)
  await settled(bob)
  await say(alice, room, 'later')
  expect((await gateway.took(1)).content).toMatchObject({ body: 'later' })
})

let transactions = 0
async function send(user: User, content: object, type = 'm.room.message'): Promise<void> {
  const path = `/rooms/${encodeURIComponent(room)}/send/${type}/p${(transactions += 1)}`
  expect((await user.put(path, content)).status).toBe(200)
}
