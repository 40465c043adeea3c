/** Web push (MSC4174): set, activated, sent encrypted to a browser, ended when the push service says so. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { isObject, type JsonObject } from '#protocol/json/json.ts'
import { env } from 'cloudflare:workers'
import { beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { createRoom, join, say } from '../sync/syncing.ts'
import { type Browser, newBrowser, verifiedClaims } from './browser.ts'
import { openGateway, openHost, openNetwork } from './gateway.ts'

interface Got {
  readonly headers: Headers
  readonly bytes: Uint8Array
}

// Several waits in a row, each generous.
vi.setConfig({ testTimeout: 120_000 })

let alice: User
let bob: User
let room: string
let browser: Browser
let vapid: string
let url: string
let got: Got[]
let answer: (path: string) => Response | null
let count = 0

beforeAll(openNetwork)
beforeEach(async () => {
  const name = `browser-${(count += 1)}`
  ;[alice, bob] = [await registerUser(`${name}-alice`), await registerUser(`${name}-bob`)]
  room = await createRoom(alice, { preset: 'public_chat' })
  await join(bob, room)
  browser = await newBrowser()
  ;[url, got, answer] = [`https://${name}.example/wpush/v2/abc?x=1`, [], () => new Response(null, { status: 201 })]
  const into = got
  openHost(`${name}.example`, async (request) => {
    const answered = answer(new URL(request.url).pathname)
    if (!answered) throw new TypeError('connection refused')
    const { method, headers } = request
    expect(method).toBe('POST')
    if (answered.ok) into.push({ headers, bytes: new Uint8Array(await request.arrayBuffer()) })
    return answered
  })
  const { body } = await bob.get<{ capabilities: JsonObject }>('/capabilities')
  const capability = body.capabilities['org.matrix.msc4174.webpush']
  expect(capability).toEqual({ enabled: true, vapid: expect.stringMatching(/^B[\w-]{86}$/) })
  const key = isObject(capability) ? capability['vapid'] : undefined
  vapid = typeof key === 'string' ? key : ''
})

const pusherOf = (more: object = {}, data: object = {}) => ({
  app_id: 'org.example.web',
  pushkey: browser.pushkey,
  kind: 'org.matrix.msc4174.webpush',
  app_display_name: 'App',
  device_display_name: 'Browser',
  lang: 'en',
  data: { url, auth: browser.auth, ...data },
  ...more,
})

/** Waits for that many messages in all, and opens the newest. */
async function opened(n: number): Promise<JsonObject> {
  await vi.waitFor(() => expect(got.length).toBeGreaterThanOrEqual(n), { timeout: 40_000, interval: 10 })
  return JSON.parse(await browser.decrypt(got[n - 1]?.bytes ?? new Uint8Array()))
}

const acknowledge = (token: unknown, user = bob, appId = 'org.example.web') =>
  user.post('/_matrix/client/unstable/org.matrix.msc4174/pushers/ack', { app_id: appId, ack_token: token })

/** Sets a pusher and answers its activation. */
async function setActive(more: object = {}, data: object = {}): Promise<void> {
  expect(await bob.post('/pushers/set', pusherOf(more, data))).toMatchObject({ status: 201, body: {} })
  const { ack_token: token } = await opened(1)
  expect((await acknowledge(token)).status).toBe(200)
  got.length = 0
}

async function pushersOf(user: User): Promise<readonly { data: JsonObject; kind: string }[]> {
  return (await user.get<{ pushers: { data: JsonObject; kind: string }[] }>('/pushers')).body.pushers
}
const objectOf = (user: User) => env.USER_SYNC.get(env.USER_SYNC.idFromName(user.userId))
const changeRows = (sql: string) => runInDurableObject(objectOf(bob), (_, { storage }) => void storage.sql.exec(sql))

async function restartLater(): Promise<void> {
  await changeRows('UPDATE pushers SET next_at = 0')
  await changeRows('UPDATE alarms SET at = 1')
  await evictDurableObject(objectOf(bob))
  await runDurableObjectAlarm(objectOf(bob))
}

describe('a browser', () => {
  test('is sent nothing but the way to activate it, and everything from then on', async () => {
    expect(await bob.post('/pushers/set', pusherOf())).toMatchObject({ status: 201, body: {} })
    const activation = await opened(1)
    expect(activation).toEqual({ app_id: 'org.example.web', ack_token: expect.stringMatching(/^[0-9a-f-]{36}$/) })
    expect(await pushersOf(bob)).toMatchObject([{ data: { url, auth: browser.auth, activated: false } }])
    await say(alice, room, 'too early')
    expect((await acknowledge(activation['ack_token'])).status).toBe(200)
    expect(await pushersOf(bob)).toMatchObject([{ data: { activated: true } }])
    const eventId = await say(alice, room, 'hello')
    expect(await opened(2)).toEqual({
      event_id: eventId,
      room_id: room,
      type: 'm.room.message',
      sender: alice.userId,
      sender_display_name: expect.any(String),
      content: { msgtype: 'm.text', body: 'hello' },
      tweaks: { sound: 'default' },
      unread: 2,
    })
    expect(got).toHaveLength(2)
  })

  test('gets it as the RFCs have it, signed by the key that it subscribed with', async () => {
    await setActive()
    await say(alice, room, 'hello')
    await opened(1)
    const headers = got[0]?.headers ?? new Headers()
    expect(Object.fromEntries(headers)).toMatchObject({
      'content-encoding': 'aes128gcm',
      'content-type': 'application/octet-stream',
      ttl: '86400',
      urgency: 'high',
    })
    const claims = await verifiedClaims(headers.get('Authorization') ?? '', vapid)
    expect(claims).toMatchObject({ aud: new URL(url).origin, sub: 'http://test.local' })
    expect(Number(claims['exp']) - Date.now() / 1000).toBeLessThanOrEqual(86_400)
  })

  test('gets only IDs where that is the format, laid over what its client gave', async () => {
    await setActive({}, { format: 'event_id_only', default_payload: { session: 's', unread: 'x' } })
    const eventId = await say(alice, room, 'secret')
    expect(await opened(1)).toEqual({ session: 's', event_id: eventId, room_id: room, unread: 1 })
  })

  test('gets what is too long for one record without its content', async () => {
    await setActive()
    const eventId = await say(alice, room, 'long '.repeat(2000))
    expect(await opened(1)).toMatchObject({ event_id: eventId, type: 'm.room.message', sender: alice.userId })
    expect(got[0]?.bytes.length).toBeLessThanOrEqual(4096)
  })

  const read = async (eventId: string) => {
    const path = `/rooms/${encodeURIComponent(room)}/receipt/m.read/${encodeURIComponent(eventId)}`
    expect((await bob.post(path)).status).toBe(200)
  }

  test('gets the count when it was read elsewhere', async () => {
    await setActive()
    const eventId = await say(alice, room, 'one')
    await opened(1)
    await read(eventId)
    expect(await opened(2)).toEqual({ unread: 0 })
    expect(got[1]?.headers.get('Topic')).toBe('unread')
  })

  test('gets no counts that come alone where its client wants events only', async () => {
    await setActive({}, { events_only: true })
    await read(await say(alice, room, 'one'))
    const eventId = await say(alice, room, 'two')
    expect(await opened(2)).toMatchObject({ event_id: eventId, unread: 1 })
  })
})

describe('an activation', () => {
  test('wants the token that was sent, of the app that it was sent to, by the user', async () => {
    expect(await acknowledge('nothing')).toMatchObject({ status: 404, body: { errcode: 'M_NOT_FOUND' } })
    await bob.post('/pushers/set', pusherOf())
    const { ack_token: token } = await opened(1)
    const unknown = { status: 400, body: { errcode: 'M_UNKNOWN_ACTIVATION_TOKEN' } }
    expect(await acknowledge('guessed')).toMatchObject(unknown)
    expect(await acknowledge(token, bob, 'org.example.other')).toMatchObject({ status: 404 })
    expect(await acknowledge(token, alice)).toMatchObject({ status: 404 })
    expect(await pushersOf(bob)).toMatchObject([{ data: { activated: false } }])
  })

  test('is over after five minutes, until the pusher is set again', async () => {
    await bob.post('/pushers/set', pusherOf())
    const { ack_token: old } = await opened(1)
    await changeRows('UPDATE pushers SET secret_until = 1')
    expect(await acknowledge(old)).toMatchObject({ status: 410, body: { errcode: 'M_EXPIRED_ACTIVATION_TOKEN' } })
    expect((await bob.post('/pushers/set', pusherOf())).status).toBe(201)
    const { ack_token: token } = await opened(2)
    expect(await acknowledge(old)).toMatchObject({ status: 400 })
    expect((await acknowledge(token)).status).toBe(200)
  })

  test('is asked for again when the subscription is another, and not when only a name is', async () => {
    await setActive()
    expect((await bob.post('/pushers/set', pusherOf({ device_display_name: 'My browser' }))).status).toBe(200)
    expect(await pushersOf(bob)).toMatchObject([{ data: { activated: true } }])
    expect((await bob.post('/pushers/set', pusherOf({}, { url: `${url}&new` }))).status).toBe(201)
    expect(await pushersOf(bob)).toMatchObject([{ data: { activated: false } }])
    expect(await opened(1)).toMatchObject({ ack_token: expect.any(String) })
  })
})

describe('a push service that', () => {
  test.each([403, 404, 410])('answers %i ends the pusher', async (status) => {
    await setActive()
    answer = () => new Response(null, { status })
    await say(alice, room, 'one')
    await vi.waitFor(async () => expect(await pushersOf(bob)).toEqual([]), { timeout: 40_000 })
  })

  test.each([
    ['cannot be reached', () => null],
    ['has an error', () => new Response('', { status: 500 })],
    ['has too much to do', () => new Response('', { status: 429 })],
    ['redirects', () => new Response('', { status: 307, headers: { Location: 'https://elsewhere.example/' } })],
  ])('%s is tried again, in order', async (_, bad) => {
    await setActive()
    let tries = 0
    answer = () => ((tries += 1), bad())
    await say(alice, room, 'one')
    await vi.waitFor(() => expect(tries).toBe(1), { timeout: 40_000 })
    await say(alice, room, 'two')
    answer = () => new Response(null, { status: 201 })
    await vi.waitFor(
      async () => {
        await restartLater()
        expect(await opened(2)).toMatchObject({ content: { body: 'two' } })
      },
      { timeout: 60_000 },
    )
    expect(await opened(1)).toMatchObject({ content: { body: 'one' } })
  })

  test('is no gateway, nor does it keep one waiting', async () => {
    const gateway = openGateway(`beside-${count}.example`)
    answer = () => null
    await bob.post('/pushers/set', pusherOf())
    await bob.post('/pushers/set', {
      ...pusherOf({ pushkey: 'k', kind: 'http', app_id: 'a' }),
      data: { url: gateway.url },
    })
    await say(alice, room, 'one')
    expect((await gateway.took(1)).content).toMatchObject({ body: 'one' })
    expect(got).toEqual([])
  })
})

test.each([
  ['no secret', () => ({ data: { url } }), 'M_MISSING_PARAM'],
  ['a secret that is too short', () => ({ data: { url, auth: 'AAAA' } }), 'M_INVALID_PARAM'],
  ['a secret that is no text', () => ({ data: { url, auth: 1 } }), 'M_INVALID_PARAM'],
  ['no URL', () => ({ data: { auth: browser.auth } }), 'M_MISSING_PARAM'],
  ['a URL that is a file', () => ({ data: { url: 'file:///etc', auth: browser.auth } }), 'M_INVALID_PARAM'],
  ['a key that is no base64', () => ({ pushkey: '!' }), 'M_INVALID_PARAM'],
  ['a key that is no point', () => ({ pushkey: `BA${'A'.repeat(85)}` }), 'M_INVALID_PARAM'],
])('a pusher with %s is refused', async (_, more, errcode) => {
  const { status, body } = await bob.post('/pushers/set', pusherOf(more()))
  expect({ status, errcode: body['errcode'] }).toEqual({ status: 400, errcode })
  expect(await pushersOf(bob)).toEqual([])
})
