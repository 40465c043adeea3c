/** TURN servers for calls: those that share a secret with this server, and those of Cloudflare. */
import { env } from 'cloudflare:workers'
import { parseUserId } from '#protocol/identifiers/user-id.ts'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'

import { parseIceServers } from '../../../worker/calls/cloudflare-turn.ts'
import { turnCredentials } from '../../../worker/client-server/voip.ts'
import type { SettingVariables } from '../../../worker/setting-variables.ts'
import { SettingError, settingsOf } from '../../../worker/settings.ts'
import { anonymous, registerUser, type User } from '../client.ts'
import { registerAdmin } from '../people/admins.ts'
import { refused } from '../rooms/rooms.ts'
import { ask } from './servers.ts'

const path = '/_matrix/client/v3/voip/turnServer'
let alice: User

beforeAll(async () => {
  alice = await registerUser('turn-alice')
})
afterEach(() => vi.restoreAllMocks())

const turnOf = (more: Partial<SettingVariables>) => settingsOf({ SERVER_NAME: env.SERVER_NAME, ...more }).turn
const asked = (settings: Partial<SettingVariables>, user: User = alice) =>
  ask(settings, 'GET', path, undefined, { Authorization: `Bearer ${user.accessToken}` })

describe("servers of one's own", () => {
  const turn = { uris: ['turn:turn.example.com:3478?transport=udp'], secret: 'north' }

  test('there are none unless the owner names some and shares their secret', async () => {
    expect(await alice.get('/voip/turnServer')).toMatchObject({ status: 200, body: {} })
    expect(await anonymous.get('/voip/turnServer')).toMatchObject(refused(401, 'M_MISSING_TOKEN'))
    const TURN_URIS = ` ${turn.uris[0]}, turns:b `
    expect(turnOf({ TURN_URIS })).toEqual({ kind: 'half', missing: 'TURN_SHARED_SECRET' })
    expect((await asked({ TURN_URIS })).body).toEqual({})
    expect(turnOf({ TURN_SHARED_SECRET: 'north' })).toBeUndefined()
    const both = turnOf({ TURN_URIS, TURN_SHARED_SECRET: 'north' })
    expect(both).toEqual({ kind: 'shared_secret', uris: [turn.uris[0], 'turns:b'], secret: 'north' })
    expect(() => turnOf({ TURN_URIS: 'https://turn.example.com' })).toThrow(SettingError)
  })

  test('take the credentials of coturn', () => {
    const user = parseUserId('@alice:test.local') ?? expect.fail()
    // printf '1600086400:@alice:test.local' | openssl dgst -sha1 -hmac north -binary | base64
    expect(turnCredentials(turn, user, 1_600_000_000_000)).toEqual({
      username: '1600086400:@alice:test.local',
      password: 'x1rtWSatlG7JcRbGphgbTJp3mJA=',
      uris: turn.uris,
      ttl: 86_400,
    })
  })
})

/** As https://developers.cloudflare.com/realtime/turn/generate-credentials/ shows it. */
const iceServers = (username: string) => ({
  iceServers: [
    { urls: ['stun:stun.cloudflare.com:3478', 'stun:stun.cloudflare.com:53'] },
    {
      urls: [
        'turn:turn.cloudflare.com:3478?transport=udp',
        'turn:turn.cloudflare.com:53?transport=udp',
        'turn:turn.cloudflare.com:80?transport=tcp',
        'turns:turn.cloudflare.com:5349?transport=tcp',
      ],
      username,
      credential: 'password',
    },
  ],
})
const uris = [
  'turn:turn.cloudflare.com:3478?transport=udp',
  'turn:turn.cloudflare.com:80?transport=tcp',
  'turns:turn.cloudflare.com:5349?transport=tcp',
]

describe("Cloudflare's", () => {
  let keys = 0
  /** Another key for each test: what is remembered belongs to one. */
  const newKey = () => ({ TURN_KEY_ID: `key-${++keys}`, TURN_KEY_API_TOKEN: 'the token' })
  const answers = (answer: () => Response | Promise<Response>) =>
    vi.spyOn(globalThis, 'fetch').mockImplementation(async () => answer())

  test('are asked once for all clients, with the token, which no client sees', async () => {
    const spy = answers(() => Response.json(iceServers('made'), { status: 201 }))
    const settings = newKey()
    const first = await asked(settings)
    expect(first).toMatchObject({ status: 200, body: { username: 'made', password: 'password', uris } })
    expect(Object.keys(first.body).toSorted()).toEqual(['password', 'ttl', 'uris', 'username'])
    expect(first.body['ttl']).toBeGreaterThan(43_200)
    expect(first.body['ttl']).toBeLessThanOrEqual(86_400)
    expect((await asked(settings, await registerUser('turn-bob'))).body).toMatchObject({ username: 'made' })
    expect(spy).toHaveBeenCalledTimes(1)
    const [url, init] = spy.mock.calls[0] ?? expect.fail()
    expect(url).toEqual(
      new URL(`https://rtc.live.cloudflare.com/v1/turn/keys/${settings.TURN_KEY_ID}/credentials/generate-ice-servers`),
    )
    expect(init).toMatchObject({ method: 'POST', body: '{"ttl":86400}', redirect: 'manual' })
    expect(new Headers(init?.headers).get('Authorization')).toBe('Bearer the token')
  })

  test('are asked anew once half of the time is over, and until then serve where the service is away', async () => {
    const hour = 3_600_000
    const begin = Date.now()
    const spy = answers(() => Response.json(iceServers('old'), { status: 201 }))
    const settings = newKey()
    await asked(settings)
    const clock = vi.spyOn(Date, 'now').mockReturnValue(begin + 11 * hour)
    expect((await asked(settings)).body).toMatchObject({ username: 'old' })
    expect(spy).toHaveBeenCalledTimes(1)
    vi.spyOn(console, 'error').mockReturnValue()
    spy.mockImplementation(async () => Response.json({}, { status: 500 }))
    clock.mockReturnValue(begin + 13 * hour)
    const late = await asked(settings)
    expect(late).toMatchObject({ status: 200, body: { username: 'old' } })
    expect(late.body['ttl']).toBeLessThanOrEqual(11 * 3600 + 1)
    clock.mockReturnValue(begin + 14 * hour)
    spy.mockImplementation(async () => Response.json(iceServers('new'), { status: 201 }))
    expect((await asked(settings)).body).toMatchObject({ username: 'new' })
  })

  test('that give nothing are an error which one line of the log explains, and are left alone for a while', async () => {
    const log = vi.spyOn(console, 'error').mockReturnValue()
    const wrong: [answer: () => Response | Promise<Response>, said: string][] = [
      [() => Response.json({ error: 'no' }, { status: 401 }), 'TURN_KEY_API_TOKEN do not fit'],
      [() => Response.json({}, { status: 404 }), 'TURN_KEY_API_TOKEN do not fit'],
      [() => Response.json({}, { status: 429 }), 'answers 429'],
      [() => Response.redirect('https://elsewhere.example/', 302), 'answers 302'],
      [() => new Response('<html>', { status: 200 }), 'something else than ICE servers'],
      [() => Response.json({ iceServers: [{ urls: 'stun:a' }] }), 'something else than ICE servers'],
      [() => Promise.reject(new Error('refused')), 'refused'],
      [() => new Response(new Uint8Array(70_000)), 'bytes'],
    ]
    for (const [answer, said] of wrong) {
      const settings = newKey()
      const spy = answers(answer)
      log.mockClear()
      expect(await asked(settings), said).toMatchObject(refused(502, 'M_UNKNOWN'))
      expect(await asked(settings)).toMatchObject(refused(502, 'M_UNKNOWN'))
      expect(spy, said).toHaveBeenCalledTimes(1)
      const lines = log.mock.calls.map((line) => line.join(' '))
      expect(lines).toEqual([expect.stringContaining(said)])
      expect(lines.join()).not.toContain('the token')
      vi.mocked(globalThis.fetch).mockRestore()
    }
  })

  test('need a key with its token, and only a development setting lets another service stand in', async () => {
    const key = { TURN_KEY_ID: 'abc' }
    expect(turnOf(key)).toEqual({ kind: 'half', missing: 'TURN_KEY_API_TOKEN' })
    expect((await asked(key)).body).toEqual({})
    expect(turnOf({ TURN_KEY_API_TOKEN: 'x' })).toBeUndefined()
    expect(() => turnOf({ TURN_KEY_ID: '../x' })).toThrow(SettingError)
    expect(() => turnOf({ ...key, TURN_URIS: 'turn:a' })).toThrow(SettingError)
    const service = { ...key, TURN_KEY_API_TOKEN: 'x', TURN_SERVICE_URL: 'http://127.0.0.1:1/' }
    expect(() => turnOf(service)).toThrow('development')
    const allowed = turnOf({ ...service, ALLOW_PRIVATE_ADDRESSES: 'on' })
    expect(allowed).toMatchObject({ kind: 'cloudflare', service: 'http://127.0.0.1:1' })
    expect(() => turnOf({ ...service, ALLOW_PRIVATE_ADDRESSES: 'on', TURN_SERVICE_URL: 'x' })).toThrow(SettingError)
  })

  test('the form of before 2025 is understood as well', () => {
    const { iceServers: servers } = iceServers('old')
    expect(parseIceServers(JSON.stringify({ iceServers: servers[1] }))?.uris).toEqual(uris)
    for (const other of ['', '[]', '{"iceServers":7}', '{"iceServers":[{"urls":["turn:a"],"username":"b"}]}']) {
      expect(parseIceServers(other), other).toBeUndefined()
    }
  })
})

test('the check-up tries them', async () => {
  const headers = { Authorization: `Bearer ${(await registerAdmin('turn-admin')).accessToken}` }
  interface Checks {
    readonly checks: readonly { readonly about: string; readonly state: string; readonly what: string }[]
  }
  const check = async (settings: Partial<SettingVariables>) => {
    const { body } = await ask<Checks>(settings, 'GET', '/_hearth/admin/health', undefined, headers)
    return body.checks.find(({ about }) => about === 'TURN')
  }
  expect(await check({})).toMatchObject({ state: 'off' })
  expect(await check({ TURN_URIS: 'turn:a' })).toMatchObject({
    state: 'bad',
    what: expect.stringContaining('TURN_SHARED_SECRET'),
  })
  const shared = { TURN_URIS: 'turn:a turn:b', TURN_SHARED_SECRET: 'x' }
  expect(await check(shared)).toMatchObject({ state: 'good', what: expect.stringContaining('2 addresses') })
  const settings = { TURN_KEY_ID: 'checked', TURN_KEY_API_TOKEN: 'x' }
  const spy = vi.spyOn(globalThis, 'fetch').mockImplementation(async () => Response.json(iceServers('a')))
  expect(await check(settings)).toMatchObject({ state: 'good', what: expect.stringContaining('3 addresses') })
  spy.mockImplementation(async () => Response.json({}, { status: 403 }))
  expect(await check(settings)).toMatchObject({ state: 'bad', what: expect.stringContaining('do not fit') })
})
