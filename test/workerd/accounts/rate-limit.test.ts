/** How often one may ask, and whose asking counts. Spec: client-server-api/#rate-limiting. */
import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { describe, expect, test } from 'vitest'

import { PasswordDO } from '../../../durable-objects/password/password-do.ts'
import { clientAddress } from '../../../worker/middleware/client-address.ts'
import { limitUser } from '../../../worker/middleware/rate-limit.ts'
import { parseUserId } from '../../../worker/protocol/identifiers/user-id.ts'
import { Refusal } from '../../../worker/refusal.ts'
import { settingsOf } from '../../../worker/settings.ts'
import { anonymous, registerUser } from '../client.ts'
import { ask } from './servers.ts'

const limited = { RATE_LIMITS: 'on' }
const from = (address: string) => ({ 'CF-Connecting-IP': address })
const inquire = (headers: Record<string, string>, settings: Record<string, string> = limited) =>
  ask<{ retry_after_ms?: number }>(
    settings,
    'GET',
    '/_matrix/client/v3/register/available?username=x',
    undefined,
    headers,
  )

/** Asks until refused; how often that went well. */
async function untilRefused(headers: Record<string, string>, settings?: Record<string, string>): Promise<number> {
  for (let count = 0; count < 200; count++) if ((await inquire(headers, settings)).status === 429) return count
  return Infinity
}

describe('requests of one address', () => {
  test('are refused when there are too many, with the time to wait', async () => {
    expect(await untilRefused(from('192.0.2.1'))).toBe(30)
    const { status, body, headers } = await inquire(from('192.0.2.1'))
    expect({ status, body }).toMatchObject({ status: 429, body: { errcode: 'M_LIMIT_EXCEEDED' } })
    expect(body.retry_after_ms).toBeGreaterThan(0)
    expect(Number(headers.get('Retry-After'))).toBe(Math.ceil((body.retry_after_ms ?? 0) / 1000))
  })

  test('do not count for another', async () => {
    expect(await untilRefused(from('192.0.2.2'))).toBe(30)
    expect((await inquire(from('192.0.2.3'))).status).toBe(200)
  })

  test('are told by the header of the platform alone', async () => {
    const address = from('192.0.2.4')
    expect(await untilRefused(address)).toBe(30)
    for (const name of ['X-Forwarded-For', 'X-Real-IP', 'Forwarded', 'True-Client-IP']) {
      expect((await inquire({ ...address, [name]: '198.51.100.1' })).status).toBe(429)
    }
  })

  test('are those of one /64 with IPv6', async () => {
    expect(await untilRefused(from('2001:db8:0:1::1'))).toBe(30)
    expect((await inquire(from('2001:DB8::1:ffff:ffff:ffff:ffff'))).status).toBe(429)
    expect((await inquire(from('2001:db8:0:2::1'))).status).toBe(200)
  })

  test('all count together where nobody tells the address', async () => {
    const settings = { ...limited, CLIENT_ADDRESS_HEADER: 'none' }
    expect(await untilRefused(from('192.0.2.5'), settings)).toBe(30)
    // Whatever the client writes there.
    expect((await inquire(from('192.0.2.6'), settings)).status).toBe(429)
  })

  test('are not counted when limits are off', async () => {
    expect(await untilRefused(from('192.0.2.7'), { RATE_LIMITS: 'off' })).toBe(Infinity)
  })
})

test.each([
  ['login', '/_matrix/client/v3/login', { type: 'm.login.password', user: 'x', password: 'x' }],
  ['register', '/_matrix/client/v3/register', { username: 'x', password: 'password' }],
  ['refresh', '/_matrix/client/v3/refresh', { refresh_token: 'x' }],
])('%s is limited', async (_, path, body) => {
  const statuses = await Promise.all(
    Array.from({ length: 60 }, () => ask(limited, 'POST', path, body, from('192.0.2.8'))),
  )
  expect(statuses.map(({ status }) => status)).toContain(429)
})

test('one user is limited apart from another', () => {
  const settings = settingsOf({ ...env, ...limited })
  const [alice, bob] = ['@alice:test.local', '@bob:test.local'].map((id) => parseUserId(id) ?? expect.fail())
  const send = (userId: typeof alice) => limitUser('message', userId ?? expect.fail(), settings)
  expect(() => {
    for (let n = 0; n < 1000; n++) send(alice)
  }).toThrow(Refusal)
  send(bob)
})

describe('guesses at one password', () => {
  const stub = env.PASSWORD.get(env.PASSWORD.idFromName('tested'))
  const userId = '@guessed:test.local'

  /** An object of a server whose limits are on, and the hash of the password "right". */
  const withLimits = (use: (object: PasswordDO, hash: string) => Promise<void>) =>
    runInDurableObject(stub, async (_, state) => {
      const object = new PasswordDO(state, { ...env, ...limited })
      await use(object, await object.hash('right'))
    })

  test('are told right from wrong, as often as one likes without limits', async () => {
    const hash = await stub.hash('right')
    for (let n = 0; n < 15; n++) {
      expect(await stub.check({ userId, password: 'wrong', hash })).toEqual({ ok: true, matches: false })
    }
    expect(await stub.check({ userId, password: 'right', hash })).toEqual({ ok: true, matches: true })
  })

  test('are stopped after some wrong ones, also if the next were right', async () => {
    await withLimits(async (object, hash) => {
      for (let n = 0; n < 10; n++) {
        expect(await object.check({ userId, password: 'right', hash })).toEqual({ ok: true, matches: true })
        expect(await object.check({ userId, password: `guess ${n}`, hash })).toEqual({ ok: true, matches: false })
      }
      const stopped = { ok: false, wait: expect.any(Number) }
      expect(await object.check({ userId, password: 'right', hash })).toEqual(stopped)
      // Somebody else signs in meanwhile.
      const other = { userId: '@other:test.local', password: 'right', hash }
      expect(await object.check(other)).toEqual({ ok: true, matches: true })
    })
  })

  test('at a name that nobody has look the same', async () => {
    await withLimits(async (object) => {
      const nobody = { userId: '@nobody:test.local', hash: null }
      for (const password of ['', 'null', '\0', 'a', 'b', 'c', 'd', 'e', 'f', 'g']) {
        expect(await object.check({ ...nobody, password })).toEqual({ ok: true, matches: false })
      }
      expect(await object.check({ ...nobody, password: 'h' })).toMatchObject({ ok: false })
    })
  })

  test('leave no trace in storage', async () => {
    await stub.check({ userId, password: 'x', hash: null })
    await runInDurableObject(stub, async (_, state) => {
      expect((await state.storage.list()).size).toBe(0)
      expect(await state.storage.getAlarm()).toBe(null)
    })
  })

  test('the same password is hashed differently each time', async () => {
    expect(await stub.hash('same')).not.toBe(await stub.hash('same'))
  })
})

test('the address of a request is shown with its device', async () => {
  const headers = { 'CF-Connecting-IP': ' 203.0.113.9 ' }
  expect(clientAddress(new Request('http://x', { headers }), settingsOf(env))).toBe('203.0.113.9')
  expect(clientAddress(new Request('http://x'), settingsOf(env))).toBe('')
  const alice = await registerUser('limits-alice', { device_id: 'HERE' })
  const authorization = { Authorization: `Bearer ${alice.accessToken}` }
  await ask({}, 'GET', '/_matrix/client/v3/account/whoami', undefined, { ...headers, ...authorization })
  expect((await alice.get('/devices/HERE')).body).toMatchObject({ last_seen_ip: '203.0.113.9' })
  expect((await anonymous.get('/devices/HERE')).status).toBe(401)
})
