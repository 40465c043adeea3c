/** Places in calls of many: tokens that this server signs for its SFU, and those that it gets from others. MSC4195. */
import { createHmac } from 'node:crypto'
import { parseUserId } from '#protocol/identifiers/user-id.ts'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'

import { liveKitToken } from '../../../worker/calls/livekit-token.ts'
import { authorization } from '../../../worker/federation-client/signed-fetch.ts'
import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { SettingError, settingsOf } from '../../../worker/settings.ts'
import { registerUser, type User } from '../client.ts'
import { joinOver, nameOf, otherServer, type OtherServer, serversAnswer } from '../federation/other-server.ts'
import { registerAdmin } from '../people/admins.ts'
import { createRoom, refused } from '../rooms/rooms.ts'
import { ask } from './servers.ts'

const liveKit = { url: 'wss://sfu.test.local', apiKey: 'the-key', apiSecret: 'the secret' }
const settings = { LIVEKIT_URL: liveKit.url, LIVEKIT_API_KEY: liveKit.apiKey, LIVEKIT_API_SECRET: liveKit.apiSecret }
const path = '/_matrix/client/unstable/io.element.msc4195/rtc/livekit/get_token'
const federationPath = '/_matrix/federation/unstable/io.element.msc4195/rtc/livekit/get_token'

let alice: User
let bob: User
let room: string
beforeAll(async () => {
  ;[alice, bob] = [await registerUser('livekit-alice'), await registerUser('livekit-bob')]
  room = await createRoom(alice)
})
afterEach(() => vi.restoreAllMocks())

const wanted = (more: object = {}) => ({
  url: liveKit.url,
  room_id: room,
  slot_id: 'm.call#ROOM',
  member: { id: 'memberABC', claimed_device_id: alice.deviceId },
  ...more,
})
const tokenFor = (user: User | undefined, body: object, set: object = settings) =>
  ask<{ jwt: string }>(set, 'POST', path, body, user ? { Authorization: `Bearer ${user.accessToken}` } : {})

interface Claims {
  readonly iss: string
  readonly sub: string
  readonly nbf: number
  readonly exp: number
  readonly video: Readonly<Record<string, unknown>>
}
/** What a token says, if the SFU would believe it. */
function claimsOf(jwt: string): Claims {
  const [head = '', claims = '', signature] = jwt.split('.')
  expect(JSON.parse(atob(head))).toEqual({ alg: 'HS256', typ: 'JWT' })
  expect(createHmac('sha256', liveKit.apiSecret).update(`${head}.${claims}`).digest('base64url')).toBe(signature)
  return JSON.parse(Buffer.from(claims, 'base64url').toString())
}

test('names are hashed as the proposal has it', () => {
  const userId = parseUserId('@alice:example.com') ?? expect.fail()
  const wishes = { roomId: '!roomid:example.com', slotId: 'slot1234', userId, canPublish: true }
  const member = ['DEVICE123', 'memberABC']
  const claims = claimsOf(liveKitToken(liveKit, { ...wishes, member }, 1_700_000_000_000))
  // The test vectors of MSC4195.
  expect(claims).toEqual({
    iss: 'the-key',
    sub: 'J+T45tGruxc+HrUOqJJlyQSV33m728Cme4+vt8/SWrU',
    nbf: 1_700_000_000 - 60,
    exp: 1_700_003_600,
    video: {
      room: 'O8437W3+jmzMVjoIP3tNwbm+XxHQk2iKpOA7aqw3qSc',
      roomCreate: true,
      roomJoin: true,
      canPublish: true,
      canSubscribe: true,
      canUpdateOwnMetadata: true,
    },
  })
})

describe('a user', () => {
  test('gets a place in the call of a room, by today’s form and by the newest', async () => {
    const { status, body } = await tokenFor(alice, wanted())
    expect(status).toBe(200)
    const claims = claimsOf(body.jwt)
    expect(claims.video).toMatchObject({ canPublish: true })
    const again = claimsOf(
      (await tokenFor(alice, wanted({ url: `${liveKit.url}/`, server_name: 'test.local' }))).body.jwt,
    )
    expect([again.sub, again.video['room']]).toEqual([claims.sub, claims.video['room']])
    const { member: _, ...rest } = wanted({ member_id: 'memberABC' })
    const newest = claimsOf((await tokenFor(alice, rest)).body.jwt)
    expect(newest.video['room']).toBe(claims.video['room'])
    expect(newest.sub).not.toBe(claims.sub)
    const other = claimsOf((await tokenFor(alice, wanted({ slot_id: 'm.call#OTHER' }))).body.jwt)
    expect(other.video['room']).not.toBe(claims.video['room'])
  })

  test('gets none where there is no SFU: clients then ask a service', async () => {
    expect(await tokenFor(alice, wanted(), {})).toMatchObject(refused(404, 'M_UNRECOGNIZED'))
    expect(await tokenFor(undefined, {}, {})).toMatchObject(refused(404, 'M_UNRECOGNIZED'))
    const { LIVEKIT_API_SECRET: _, ...half } = settings
    expect(await tokenFor(alice, wanted(), half)).toMatchObject(refused(404, 'M_UNRECOGNIZED'))
    expect(await tokenFor(undefined, wanted())).toMatchObject(refused(401, 'M_MISSING_TOKEN'))
  })

  test('gets none of another room, another SFU, or by nonsense', async () => {
    expect(await tokenFor(bob, wanted())).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect(await tokenFor(alice, wanted({ room_id: '!nowhere:test.local' }))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect(await tokenFor(alice, wanted({ url: 'wss://else' }))).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    expect(await tokenFor(alice, wanted({ room_id: 'x' }))).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    expect(await tokenFor(alice, wanted({ server_name: 'a b' }))).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    expect(await tokenFor(alice, wanted({ member: undefined }))).toMatchObject(refused(400, 'M_MISSING_PARAM'))
    expect(await tokenFor(alice, wanted({ member: { id: 7 } }))).toMatchObject(refused(400, 'M_BAD_JSON'))
    expect(await tokenFor(alice, wanted({ slot_id: 'x'.repeat(256) }))).toMatchObject(refused(400, 'M_BAD_JSON'))
    const odd = await tokenFor(alice, wanted({ member: { id: '\ud800' } }))
    expect(odd.status).toBe(200)
  })

  test('gets one for the SFU of another server from that server', async () => {
    const jwt = 'a.b.c'
    const bodies: unknown[] = []
    let answer: () => object = () => ({ jwt, more: 1 })
    serversAnswer({
      'livekit.test:7': ({ path: asked, body }) => {
        if (!asked.includes('get_token')) return undefined
        bodies.push(body)
        return answer()
      },
    })
    const elsewhere = wanted({ server_name: 'livekit.test:7', url: 'wss://sfu.livekit.test' })
    expect(await tokenFor(alice, elsewhere)).toMatchObject({ status: 200, body: { jwt } })
    const { server_name: _, ...forwarded } = { ...elsewhere, server_name: '', user_id: alice.userId }
    expect(bodies).toEqual([forwarded])
    expect(await tokenFor(bob, elsewhere)).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect(bodies).toHaveLength(1)
    answer = () => Response.json({ errcode: 'M_FORBIDDEN' }, { status: 403 })
    expect(await tokenFor(alice, elsewhere)).toMatchObject(refused(403, 'M_FORBIDDEN'))
    answer = () => Response.json({ errcode: 'M_INVALID_PARAM' }, { status: 400 })
    expect(await tokenFor(alice, elsewhere)).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    answer = () => ({ jwt: 7 })
    expect(await tokenFor(alice, elsewhere)).toMatchObject(refused(502, 'M_UNKNOWN'))
  })
})

describe('another server', () => {
  let server: OtherServer
  const asking = (body: object, set: object = settings) => {
    const request = { destination: nameOf('test.local'), method: 'POST', path: federationPath } as const
    const json = JSON.parse(JSON.stringify(body))
    const header = authorization({ ...request, body: json }, { ...server.identity, crypto: nodeCrypto })
    return ask<{ jwt: string }>(set, 'POST', federationPath, json, { Authorization: header })
  }
  beforeAll(async () => {
    server = await otherServer('livekit.test:8')
  })

  test('gets one for its users in the room, who may listen there', async () => {
    const open = await createRoom(alice, { preset: 'public_chat' })
    const carol = `@carol:${server.name}`
    const of = (user_id: string) => ({ ...wanted({ room_id: open }), user_id })
    expect(await asking(of(carol))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    await joinOver(server, carol, open)
    const { status, body } = await asking(of(carol))
    expect(status).toBe(200)
    expect(claimsOf(body.jwt).video).toMatchObject({ canPublish: false, canSubscribe: true, roomJoin: true })
    expect(await asking({ ...of(carol), url: 'wss://else' })).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    expect(await asking(of(alice.userId))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect(await asking(of(`@dave:${server.name}`))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect(await asking(of(carol), {})).toMatchObject(refused(404, 'M_UNRECOGNIZED'))
  })
})

test('clients learn of the SFU and of the service in one transport, older ones of the service', async () => {
  const headers = { Authorization: `Bearer ${alice.accessToken}` }
  const transports = async (set: object) =>
    (await ask(set, 'GET', '/_matrix/client/unstable/org.matrix.msc4143/rtc/transports', undefined, headers)).body
  const service = { LIVEKIT_SERVICE_URL: 'https://rtc.test.local' }
  const both = { type: 'livekit', url: liveKit.url, livekit_service_url: service.LIVEKIT_SERVICE_URL }
  expect(await transports({ ...settings, ...service })).toEqual({ rtc_transports: [both] })
  expect(await transports(settings)).toEqual({ rtc_transports: [{ type: 'livekit', url: liveKit.url }] })
  const wellKnown = (await ask(settings, 'GET', '/.well-known/matrix/client')).body
  expect(wellKnown).not.toHaveProperty(['org.matrix.msc4143.rtc_foci'])
})

test('the owner is told of what is missing', async () => {
  expect(() => settingsOf({ SERVER_NAME: 'test.local', LIVEKIT_URL: 'https://x' })).toThrow(SettingError)
  const headers = { Authorization: `Bearer ${(await registerAdmin('livekit-admin')).accessToken}` }
  const check = async (set: object) => {
    const { body } = await ask<{ checks: { about: string }[] }>(set, 'GET', '/_hearth/admin/health', undefined, headers)
    return body.checks.filter(({ about }) => about === 'LiveKit')
  }
  expect(await check(settings)).toEqual([])
  const what = expect.stringContaining('LIVEKIT_API_SECRET is not set')
  expect(await check({ ...settings, LIVEKIT_API_SECRET: '' })).toMatchObject([{ state: 'bad', what }])
})
