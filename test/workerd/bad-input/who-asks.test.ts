/**
 * Every operation, asked by those who may not: without a token, with a wrong one, as a guest, and by accounts that are
 * suspended, locked or ended. Spec: client-server-api/#using-access-tokens, #guest-access, #account-suspension, #account-locking.
 */
import { beforeAll, describe, expect, test } from 'vitest'

import { mayWhileSuspended } from '../../../worker/accounts/suspension.ts'
import type { Operation } from '../../../worker/operation.ts'
import { pathsOf } from '../../../worker/route.ts'
import { anonymous, login, registerUser, type User } from '../client.ts'
import { registerAdmin } from '../people/admins.ts'
import { ok } from '../rooms/rooms.ts'
import { ask, clientOperations, differing, nameOf, verdict } from './table.ts'

const withToken = clientOperations.filter(({ options }) => options.auth === 'accessToken')
const optional = clientOperations.filter(({ options }) => options.auth === 'optional')
const open = clientOperations.filter(({ options }) => options.auth === 'none')
const answering = (token: string | undefined, all: readonly Operation[], wanted: string) =>
  differing(
    all,
    nameOf,
    (op) => ask(op, { token }),
    (answer) => verdict(answer) === wanted,
  )

let names = 0
/** A test that is tried again needs others. */
const named = (name: string) => `${name}-${(names += 1)}`

let admin: User
beforeAll(async () => {
  admin = await registerAdmin(named('who-admin'))
})
const moderate = (user: User, what: 'lock' | 'suspend', body: object) =>
  ok(admin.put(`/_matrix/client/v1/admin/${what}/${encodeURIComponent(user.userId)}`, body))

test('there are many of each kind', () => {
  expect(withToken.length).toBeGreaterThan(170)
  expect(open.length).toBeGreaterThan(20)
})

describe('what needs a token', () => {
  test('is refused without one', async () => {
    expect(await answering(undefined, withToken, '401 M_MISSING_TOKEN')).toEqual({})
  })

  test('is refused by its older and unstable names too', async () => {
    const others = withToken.flatMap((op) =>
      pathsOf(op)
        .slice(1)
        .map((path) => ({ ...op, path })),
    )
    expect(others.length).toBeGreaterThan(120)
    expect(await answering(undefined, others, '401 M_MISSING_TOKEN')).toEqual({})
    expect(await answering('wrong', others, '401 M_UNKNOWN_TOKEN')).toEqual({})
  })

  test.each(['wrong', 'syt_bm9ib2R5_wrong', `hat_${'x'.repeat(40)}`, 'x'.repeat(10_000)])(
    'is refused with one that nobody has: %#',
    async (token) => {
      expect(await answering(token, [...withToken, ...optional], '401 M_UNKNOWN_TOKEN')).toEqual({})
    },
  )

  test('is refused with one that was logged out', async () => {
    const user = await registerUser(named('who-logged-out'))
    await ok(user.get('/account/whoami'))
    await ok(user.post('/logout'))
    expect(await answering(user.accessToken, withToken, '401 M_UNKNOWN_TOKEN')).toEqual({})
  })

  test('is refused with one in the query that nobody has', async () => {
    const some = withToken.filter((_, index) => index % 10 === 0)
    const wrong = await differing(
      some,
      nameOf,
      (op) => ask(op, { query: '?access_token=wrong' }),
      (answer) => verdict(answer) === '401 M_UNKNOWN_TOKEN',
    )
    expect(wrong).toEqual({})
  })
})

test('a guest is refused what is not for guests', async () => {
  const { body } = await anonymous.post<{ access_token: string }>('/register?kind=guest', {})
  const forbidden = withToken.filter(({ options }) => !options.guests)
  expect(forbidden.length).toBeGreaterThan(120)
  expect(await answering(body.access_token, forbidden, '403 M_GUEST_ACCESS_FORBIDDEN')).toEqual({})
})

test('who is suspended is refused what changes something, unless it is on the list', async () => {
  const user = await registerUser(named('who-suspended'))
  await moderate(user, 'suspend', { suspended: true })
  const [allowed, refused] = [true, false].map((may) =>
    withToken.filter(({ method, options }) => mayWhileSuspended(method, options.id) === may),
  )
  expect(await answering(user.accessToken, refused ?? [], '403 M_USER_SUSPENDED')).toEqual({})
  const lasting = (allowed ?? []).filter(({ options }) => !options.id.startsWith('logout'))
  const wrong = await differing(
    lasting,
    nameOf,
    (op) => ask(op, { token: user.accessToken }),
    // Whose event it is, redacting looks at itself: this one is nobody's.
    (answer, { options }) =>
      answer.status < 500 && verdict(answer).endsWith('M_USER_SUSPENDED') === (options.id === 'redactEvent'),
  )
  expect(wrong).toEqual({})
})

test('who is locked is told so, and may log out', async () => {
  const user = await registerUser(named('who-locked'))
  const devices = [await login(user), await login(user)]
  await moderate(user, 'lock', { locked: true })
  const refused = withToken.filter(({ options }) => !options.whileLocked)
  const wrong = await differing(
    refused,
    nameOf,
    (op) => ask(op, { token: user.accessToken }),
    (answer) => verdict(answer) === '401 M_USER_LOCKED' && Object(answer.body)['soft_logout'] === true,
  )
  expect(wrong).toEqual({})
  const exempt = withToken.filter(({ options }) => options.whileLocked)
  expect(exempt.map(({ options }) => options.id).toSorted()).toEqual(['logout', 'logout_all'])
  for (const [index, op] of exempt.entries()) {
    expect(verdict(await ask(op, { token: devices[index]?.accessToken }))).toBe('200')
  }
})

test('whose account has ended has no token any more', async () => {
  const user = await registerUser(named('who-ended'))
  await ok(admin.post(`/_synapse/admin/v1/deactivate/${encodeURIComponent(user.userId)}`, {}))
  expect(await answering(user.accessToken, withToken, '401 M_UNKNOWN_TOKEN')).toEqual({})
})

test('what is for administrators is for nobody else', async () => {
  const user = await registerUser(named('who-plain'))
  const forAdmins = withToken.filter(({ path }) => /^\/_(?:synapse|hearth)\/|\/client\/v[13]\/admin\//.test(path))
  expect(forAdmins.length).toBeGreaterThan(40)
  const wrong = await differing(
    forAdmins,
    nameOf,
    // What they ask for has the right form, so that it is not that which is refused.
    (op) => ask(op, { token: user.accessToken, body: bodies[op.options.id] }),
    (answer) => verdict(answer) === '403 M_FORBIDDEN',
  )
  expect(wrong).toEqual({})
})

/** Bodies of the right form, for operations that take no other. */
const bodies: Readonly<Record<string, object>> = {
  setAdminSuspendUser: { suspended: true },
  setAdminLockUser: { locked: true },
  addPolicyList: { room: '!nowhere:test.local' },
  adminResetPassword: { new_password: 'another one' },
  adminSuspend: { suspend: true },
  adminSetAdmin: { admin: true },
}

test('what is open to all takes nothing amiss', async () => {
  const wrong = await differing(
    [...open, ...optional],
    nameOf,
    (op) => ask(op, {}),
    (answer) => answer.status < 500,
  )
  expect(wrong).toEqual({})
})
