/** How often one user may change rooms. Spec: client-server-api/#rate-limiting. */
import { expect, test } from 'vitest'

import { ask } from '../accounts/servers.ts'
import { registerUser, type User } from '../client.ts'
import { at, createRoom } from './rooms.ts'

/** Asks until refused; how often it was not. */
async function untilRefused(user: User, method: string, path: string, body: object): Promise<number> {
  const headers = { Authorization: `Bearer ${user.accessToken}` }
  for (let count = 0; count < 200; count++) {
    const { status, body: answer } = await ask(
      { RATE_LIMITS: 'on' },
      method,
      `/_matrix/client/v3${path}`,
      body,
      headers,
    )
    if (status !== 429) continue
    expect(answer).toMatchObject({ errcode: 'M_LIMIT_EXCEEDED' })
    return count
  }
  return Infinity
}

test.each([
  ['rooms', 'POST', () => '/createRoom', { room_version: 'none' }, 20],
  ['memberships', 'POST', (room: string) => at(room, '/kick'), { user_id: '@nobody:test.local' }, 100],
  ['reports', 'POST', (room: string) => at(room, '/report'), {}, 0],
  ['reports', 'POST', (room: string) => at(room, '/report'), { reason: '' }, 20],
] as const)('%s are limited per user (%#)', async (what, method, path, body, most) => {
  const user = await registerUser(`hasty-${what}-${most}`)
  const room = await createRoom(user)
  const count = await untilRefused(user, method, path(room), body)
  // What is malformed costs nothing.
  if (most === 0) expect(count).toBe(Infinity)
  // A bucket fills while the test runs.
  else expect(count).toBeGreaterThanOrEqual(most)
  expect(count === Infinity).toBe(most === 0)
})
