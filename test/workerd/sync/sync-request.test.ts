/** What a sync request may say, who may make it, and what an idle one costs. */
import { parseUserId } from '#protocol/identifiers/user-id.ts'
import { env } from 'cloudflare:workers'
import { createExecutionContext } from 'cloudflare:test'
import { beforeAll, describe, expect, test } from 'vitest'

import { believedFor, believedForSync, recallToken, rememberToken } from '../../../worker/accounts/token-cache.ts'
import { createApp } from '../../../worker/app.ts'
import type { Env } from '../../../worker/env.ts'
import { anonymous, login, registerUser, serverUrl, type User } from '../client.ts'
import { aMoment, long, sync } from './syncing.ts'

let alice: User
let bob: User

beforeAll(async () => {
  alice = await registerUser('request-alice')
  bob = await registerUser('request-bob')
})

const invalid = { status: 400, body: { errcode: 'M_INVALID_PARAM' } }

describe('a sync', () => {
  test('of a new user is nearly empty, and answered at once however long it could wait', async () => {
    const { status, body } = await alice.get('/sync?timeout=60000')
    expect(status).toBe(200)
    expect(body).toEqual({
      next_batch: expect.stringMatching(/^s/),
      account_data: { events: [{ type: 'm.push_rules', content: { global: expect.anything() } }] },
      device_one_time_keys_count: { signed_curve25519: 0 },
      device_unused_fallback_key_types: [],
    })
  })

  test('answers under r0 as well, and needs a token', async () => {
    expect((await alice.get('/_matrix/client/r0/sync')).status).toBe(200)
    expect(await anonymous.get('/sync')).toMatchObject({ status: 401, body: { errcode: 'M_MISSING_TOKEN' } })
  })

  test('takes what the specification lists and refuses nonsense', async () => {
    const { next_batch: since } = await sync(alice)
    const good = [
      'set_presence=offline',
      'set_presence=unavailable',
      'full_state=true',
      'use_state_after=true',
      'timeout=0',
    ]
    for (const query of good) expect((await alice.get(`/sync?${query}&since=${since}`)).status).toBe(200)
    const bad = [
      'set_presence=asleep',
      'full_state=maybe',
      'timeout=-1',
      'timeout=soon',
      'use_state_after=1',
      'since=hello',
    ]
    for (const query of bad) expect(await alice.get(`/sync?${query}`)).toMatchObject(invalid)
  })

  test('with full_state does not wait', async () => {
    const { next_batch: since } = await sync(alice)
    expect(await sync(alice, { since, timeout: 100_000, full_state: true })).toHaveProperty('next_batch')
  })

  test('with the token of somebody else, of the future or of Synapse starts anew, at once', async () => {
    await alice.put(`/user/${encodeURIComponent(alice.userId)}/account_data/org.example.mine`, { n: 1 })
    const mine = await sync(alice)
    const theirs = await sync(bob)
    const future = mine.next_batch.replace(/^s[0-9]+/, 's4000000000')
    for (const since of [theirs.next_batch, future, 's72594_4483_1934']) {
      const answer = await sync(alice, { since, timeout: 60_000 })
      expect(answer.account_data?.events).toContainEqual({ type: 'org.example.mine', content: { n: 1 } })
    }
  })

  test('that waits ends when its device is signed out, and only that', async () => {
    const phone = await login(alice)
    const onPhone = await sync(phone)
    const onDesk = await sync(alice)
    const phoneWaits = phone.get(`/sync?timeout=${long}&since=${onPhone.next_batch}`)
    const deskWaits = sync(alice, { timeout: long, since: onDesk.next_batch })
    await aMoment()
    expect((await phone.post('/logout')).status).toBe(200)
    expect(await phoneWaits).toMatchObject({ status: 401, body: { errcode: 'M_UNKNOWN_TOKEN' } })
    await alice.put(`/user/${encodeURIComponent(alice.userId)}/account_data/org.example.still`, {})
    expect((await deskWaits).account_data?.events).toHaveLength(1)
  })
})

test('the token of a poll that never stops is read from the database now and then, any other much sooner', () => {
  const userId = parseUserId('@a:x')
  if (!userId) throw new Error('no user ID')
  const requester = { userId, deviceId: 'D', isGuest: false, isAdmin: false, isSuspended: false }
  rememberToken('for ever', requester, null, 0)
  rememberToken('short', requester, 60_000, 0)
  expect(recallToken('for ever', believedFor - 1)).toBe(requester)
  expect(recallToken('for ever', believedFor)).toBeUndefined()
  expect(recallToken('for ever', believedForSync - 1, believedForSync)).toBe(requester)
  expect(recallToken('for ever', believedForSync, believedForSync)).toBeUndefined()
  expect(recallToken('short', 59_999, believedForSync)).toBe(requester)
  expect(recallToken('short', 60_000, believedForSync)).toBeUndefined()
})

test('an idle poll is one call to one object and no query', async () => {
  const { next_batch: first } = await sync(alice)
  const calls: string[] = []
  /** The binding, noting each use of one of these methods. */
  const counted = <T extends object>(name: string, binding: T, methods: readonly string[]): T =>
    new Proxy(binding, {
      get(target, key) {
        if (methods.includes(String(key))) calls.push(`${name}.${String(key)}`)
        const value: unknown = Reflect.get(target, key)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  const countedEnv: Env = {
    ...env,
    DB: counted('DB', env.DB, ['prepare', 'batch', 'exec']),
    ROOM: counted('ROOM', env.ROOM, ['get']),
    USER_SYNC: counted('USER_SYNC', env.USER_SYNC, ['get']),
  }
  const app = createApp()
  const poll = async (since: string) => {
    const request = new Request(`${serverUrl}/_matrix/client/v3/sync?timeout=20&since=${since}`, {
      headers: { Authorization: `Bearer ${alice.accessToken}` },
    })
    return (await app.fetch(request, countedEnv, createExecutionContext())).json<{ next_batch: string }>()
  }
  // The first one finds the token in the database.
  const { next_batch } = await poll(first)
  calls.length = 0
  await poll(next_batch)
  expect(calls).toEqual(['USER_SYNC.get'])
})
