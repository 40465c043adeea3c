/** Every operation has a limit. Spec: client-server-api/#rate-limiting. */
import { env } from 'cloudflare:workers'
import { describe, expect, test, vi } from 'vitest'

import { limitOf } from '../../../worker/middleware/operation-limits.ts'
import { operations } from '../../../worker/operations.ts'
import { ask } from '../accounts/servers.ts'
import { registerUser, type User } from '../client.ts'

const limited = { RATE_LIMITS: 'on' }
const asUser = (user: User, method: string, path: string, body?: unknown) =>
  ask(limited, method, `/_matrix/client/v3${path}`, body, { Authorization: `Bearer ${user.accessToken}` })

/** Asks until it is refused. */
async function untilRefused(most: number, once: () => ReturnType<typeof ask>) {
  for (let count = 0; count < most; count++) {
    const answer = await once()
    if (answer.status === 429) return { count, answer }
  }
  throw new Error(`not refused within ${most}`)
}

describe('who asks without end', () => {
  test('is refused with the time to wait, others are not', async () => {
    const [one, two] = [await registerUser('limit-one'), await registerUser('limit-two')]
    const search = (user: User) => asUser(user, 'POST', '/user_directory/search', { search_term: 'x' })
    const { answer } = await untilRefused(300, () => search(one))
    expect(answer).toMatchObject({ body: { errcode: 'M_LIMIT_EXCEEDED', retry_after_ms: expect.any(Number) } })
    expect(Number(answer.headers.get('Retry-After'))).toBeGreaterThanOrEqual(1)
    expect((await search(two)).status).toBe(200)
    // Other things they may do still.
    expect((await asUser(one, 'GET', '/account/whoami')).status).toBe(200)
  })

  test('costs no query: a refused request does not reach the database', async () => {
    const user = await registerUser('limit-three')
    const search = () => asUser(user, 'POST', '/user_directory/search', { search_term: 'x' })
    await untilRefused(300, search)
    const prepare = vi.spyOn(env.DB, 'prepare')
    const batch = vi.spyOn(env.DB, 'batch')
    expect((await search()).status).toBe(429)
    expect(prepare).not.toHaveBeenCalled()
    expect(batch).not.toHaveBeenCalled()
    vi.restoreAllMocks()
  })

  test('without a token is known by the address', async () => {
    const from = (address: string) =>
      ask(limited, 'GET', '/_matrix/client/v3/publicRooms', undefined, { 'CF-Connecting-IP': address })
    await untilRefused(300, () => from('192.0.2.1'))
    expect((await from('192.0.2.2')).status).toBe(200)
  })
})

test('each operation has one', () => {
  const used = new Set(operations.map(({ method, options }) => limitOf(method, options.id)))
  expect([...used].toSorted()).toEqual(['heavy', 'read', 'write'])
})
