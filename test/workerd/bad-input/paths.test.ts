/**
 * Every operation with parameters that are none: in the path, IDs of other kinds, escapes that lead nowhere and names without
 * end; in the query, tokens from elsewhere and numbers that are none. Spec: client-server-api/#common-error-codes.
 */
import { parseEventId } from '#protocol/identifiers/event-id.ts'
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import { parseUserId } from '#protocol/identifiers/user-id.ts'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'

import type { Operation } from '../../../worker/operation.ts'
import { registerUser } from '../client.ts'
import { registerAdmin } from '../people/admins.ts'
import { createRoom, say } from '../rooms/rooms.ts'
import { ask, clientOperations, differing, nameOf, paramsOf, verdict } from './table.ts'

let names = 0
let tokens: { user: string; admin: string }
let room: { roomId: string; eventId: string; userId: string }
beforeAll(async () => {
  const name = `paths-${(names += 1)}`
  const [user, admin] = [await registerUser(name), await registerAdmin(`${name}-admin`)]
  tokens = { user: user.accessToken, admin: admin.accessToken }
  const roomId = await createRoom(user)
  room = { roomId, eventId: await say(user, roomId, 'here'), userId: user.userId }
  // No other server answers, and nothing is looked up.
  vi.spyOn(globalThis, 'fetch').mockImplementation(() => Promise.reject(new TypeError('nothing listens there')))
})
afterAll(() => {
  vi.restoreAllMocks()
})
const tokenFor = ({ path, options }: Operation) =>
  options.auth === 'none' ? undefined : /^\/_(?:synapse|hearth)\//.test(path) ? tokens.admin : tokens.user
/** What ends the session, or begins one that others would need. */
const lasting = clientOperations.filter(({ options }) => !options.id.startsWith('logout'))

const parsers: Readonly<Record<string, (text: string) => unknown>> = {
  roomId: parseRoomId,
  userId: parseUserId,
  eventId: parseEventId,
}
/** Whether route.ts must refuse it: a parameter that is parsed, with what is none. */
const isMalformed = (name: string, value: string) =>
  Object.hasOwn(parsers, name) && parsers[name]?.(value) === undefined

describe('a parameter of the path', () => {
  const values = [
    'not-an-id',
    '@user:test.local',
    '!room:test.local',
    '#alias:test.local',
    '$event',
    '__proto__',
    'constructor',
    ' ',
    '\u0000',
    '\n',
    'a/b',
    '😀',
    '%',
    `!${'x'.repeat(10_240)}:test.local`,
    '@:',
    '[::1]:99999',
  ]
  test.each(values.map((value, index) => [index, value] as const))('that is none: %i', async (_, value) => {
    const wrong = await differing(
      lasting.flatMap((op) => paramsOf(op).map((name) => ({ op, name }))),
      ({ op, name }) => `${nameOf(op)} with ${name} = ${value.slice(0, 20)}`,
      ({ op, name }) => ask(op, { token: tokenFor(op), params: { ...room, [name]: value } }),
      (answer, { name }) =>
        isMalformed(name, value) ? verdict(answer) === '400 M_INVALID_PARAM' : answer.status < 500 || isFar(answer),
    )
    expect(wrong).toEqual({})
  })

  test.each(['%00', '%ff', '%c3%28', '%2F..%2F', '%zz', '%'])('that is escaped as nobody does: %s', async (value) => {
    const wrong = await differing(
      lasting.flatMap((op) => paramsOf(op).map((name) => ({ op, name }))),
      ({ op, name }) => `${nameOf(op)} with ${name} = ${value}`,
      ({ op, name }) =>
        ask(op, {
          token: tokenFor(op),
          params: { ...escaped(room), [name]: value },
          isEscaped: true,
        }),
      (answer, { name }) =>
        Object.hasOwn(parsers, name) ? verdict(answer) === '400 M_INVALID_PARAM' : answer.status < 500 || isFar(answer),
    )
    expect(wrong).toEqual({})
  })
})

const escaped = (params: object) =>
  Object.fromEntries(Object.entries(params).map(([name, value]) => [name, encodeURIComponent(String(value))]))
/** What another server would have to tell, and none does. */
const isFar = ({ status }: { readonly status: number }) => status === 502

describe('a query', () => {
  const gets = lasting.filter(({ method }) => method === 'GET')
  const params =
    'from to since at pos next_batch batch dir limit max_depth suggested_only include only order_by kind search_term filter ' +
    'ts delay set_presence full_state use_state_after membership not_membership recurse before after via server_name room_id ' +
    'url width height method animated timeout_ms version format user_id target_user_id entity token nonce purge username ' +
    'guests deactivated name user_agent device_id type status delay_id session alias userid search_fields conn_id server'
  const hostile = [
    '',
    'x',
    '-1',
    '1.5',
    '1e9',
    '99999999999999999999',
    's1_2_3',
    's999999999_999999999',
    'p99999999',
    't99-99999999_1',
    '%00',
    '%ff',
    '{',
    '{"limit":-1,"types":7}',
    '[[[[]]]]',
    'x'.repeat(5_000),
  ]

  test.each(hostile)('whose parameters are all the same does no harm: %#', async (value) => {
    const query = `?${params
      .split(' ')
      .map((name) => `${name}=${value.startsWith('%') ? value : encodeURIComponent(value)}`)
      .join('&')}`
    const wrong = await differing(
      gets,
      nameOf,
      (op) => ask(op, { token: tokenFor(op), params: room, query }),
      (answer) => answer.status < 500 || isFar(answer),
    )
    expect(wrong).toEqual({})
  })

  const paged: readonly [string, readonly string[]][] = [
    ['getRoomEvents', ['from', 'to']],
    ['getRelatingEvents', ['from', 'to']],
    ['getThreadRoots', ['from']],
    ['getSpaceHierarchy', ['from']],
    ['getNotifications', ['from']],
    ['getPublicRooms', ['since']],
    ['getMembersByRoom', ['at']],
    ['sync', ['since']],
    ['listThreadSubscriptions', ['from', 'to']],
    ['getKeysChanges', ['from']],
    ['getEvents', ['from']],
  ]
  // Tokens of `/sync` of another life of the server are answered like none: that has its own tests.
  const elsewhere = ['x', 's-1', '0', '$event', 'p1 2', '\u0000', 't-1', 'x'.repeat(3_000)]
  test.each(paged)('of %s with tokens that nobody gave out is refused', async (id, tokenNames) => {
    const op = lasting.find(({ options }) => options.id === id) ?? expect.fail(id)
    for (const name of tokenNames) {
      const wrong = await differing(
        elsewhere,
        (value) => `${name}=${value.slice(0, 20)}`,
        (value) => {
          const others = tokenNames.filter((other) => other !== name).map((other) => `&${other}=`)
          const query = `?${name}=${encodeURIComponent(value)}${others.join('')}&dir=b`
          return ask(op, { token: tokenFor(op), params: room, query })
        },
        (answer) => verdict(answer) === '400 M_INVALID_PARAM',
      )
      expect(wrong).toEqual({})
    }
  })
})
