/**
 * Every operation that takes a body, given one that it cannot take: no JSON, no object, fields of other types, too much, too
 * deep. Spec: client-server-api/#common-error-codes: M_NOT_JSON, M_BAD_JSON, M_MISSING_PARAM, M_TOO_LARGE.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import * as v from 'valibot'

import type { Operation } from '../../../worker/operation.ts'
import { type Answer, registerUser } from '../client.ts'
import { registerAdmin } from '../people/admins.ts'
import { createRoom } from '../rooms/rooms.ts'
import { ask, clientOperations, differing, isError, nameOf, type Params, verdict } from './table.ts'

const withBody = clientOperations.filter(({ options }) => options.body !== undefined)
let names = 0
let roomId: string
let tokens: { user: string; admin: string }
beforeAll(async () => {
  const name = `bodies-${(names += 1)}`
  const user = await registerUser(name)
  roomId = await createRoom(user)
  tokens = {
    user: user.accessToken,
    admin: (await registerAdmin(`${name}-admin`)).accessToken,
  }
})
const tokenFor = ({ path, options }: Operation) =>
  options.auth === 'none' ? undefined : /^\/_(?:synapse|hearth)\//.test(path) ? tokens.admin : tokens.user
/** A room they are in; but who left it would learn nothing more. */
const paramsFor = ({ path, options }: Operation): Params =>
  options.id === 'leaveRoom' || path.startsWith('/_hearth') || path.startsWith('/_synapse') ? {} : { roomId }
const asked = (body: unknown, isRight: (answer: Answer, op: Operation) => boolean, all = withBody) =>
  differing(all, nameOf, (op) => ask(op, { token: tokenFor(op), body }), isRight)

test('there are many', () => {
  expect(withBody.length).toBeGreaterThan(90)
})

describe('a body', () => {
  test.each(['{"a":1', '{"a":1}x', "{'a':1}", '\u0000'])('that is no JSON: %j', async (body) => {
    expect(await asked(body, (answer) => verdict(answer) === '400 M_NOT_JSON')).toEqual({})
  })

  test.each(['[]', '[{}]', '"text"', 'null'])('that is no object: %s', async (body) => {
    expect(await asked(body, (answer) => verdict(answer) === '400 M_BAD_JSON')).toEqual({})
  })

  test('that is missing', async () => {
    const needed = withBody.filter(({ options }) => !options.bodyOptional)
    expect(await asked('', (answer) => verdict(answer) === '400 M_NOT_JSON', needed)).toEqual({})
  })

  test('that nests too deep', async () => {
    const body = `${'{"a":'.repeat(2000)}1${'}'.repeat(2000)}`
    expect(await asked(body, (answer) => verdict(answer) === '400 M_BAD_JSON')).toEqual({})
  })

  test('that is too large', async () => {
    const body = JSON.stringify({ a: 'x'.repeat(17_000_000) })
    expect(await asked(body, (answer) => verdict(answer) === '413 M_TOO_LARGE')).toEqual({})
  })
})

/** Fields that an operation names, as far as its schema tells. */
function fieldsOf({ options: { body } }: Operation): [string, v.GenericSchema][] {
  const entries: unknown = body && 'entries' in body ? body.entries : undefined
  return isObject(entries)
    ? Object.entries(entries).filter((entry): entry is [string, v.GenericSchema] => isSchema(entry[1]))
    : []
}
const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null
const isSchema = (value: unknown): value is v.GenericSchema =>
  isObject(value) && 'kind' in value && value.kind === 'schema'

/** The first of these that a field takes stands in it while another field is tried: so that the request comes further. */
const harmless: readonly unknown[] = [
  '@nobody:test.local',
  1,
  true,
  {},
  [],
  'm.text',
  'public',
  'send',
  'join',
  '1234567890123456',
]
function sampleOf(op: Operation): Record<string, unknown> {
  const fields = fieldsOf(op).map(([name, schema]) => [
    name,
    harmless.find((value) => v.safeParse(schema, value).success),
  ])
  return Object.fromEntries(fields.filter(([, value]) => value !== undefined))
}

const hostile: readonly unknown[] = [
  null,
  true,
  -1,
  '',
  'x'.repeat(70_000),
  '\u0000',
  [],
  [[[]]],
  {},
  { a: { b: null } },
  { toString: 1, constructor: {}, length: -1 },
]

describe('a field', () => {
  test.each(hostile.map((value, index) => [index, value] as const))(
    'of a type that was not asked for is refused, or does no harm: %i',
    async (_, value) => {
      const wrong = await differing(
        withBody.flatMap((op) => {
          const sample = sampleOf(op)
          const fields = [...fieldsOf(op).map(([name]) => name), 'unknown']
          return fields.map((field) => ({ op, field, body: { ...sample, [field]: value } }))
        }),
        ({ op, field }) => `${nameOf(op)}: ${field}`,
        ({ op, body }) => ask(op, { token: tokenFor(op), body, params: paramsFor(op) }),
        (answer, { op, body }) => {
          const schema = op.options.body
          const fits = schema !== undefined && v.safeParse(schema, body).success
          return fits ? answer.status < 500 : isError(answer) || answer.status === 401
        },
      )
      expect(wrong).toEqual({})
    },
  )

  const unnamed = withBody.filter((op) => fieldsOf(op).length === 0)
  test.each(hostile.map((value, index) => [index, value] as const))(
    'of a body that is taken as it is does no harm: %i',
    async (_, value) => {
      const body = Object.fromEntries(wellKnown.map((field) => [field, value]))
      const wrong = await differing(
        [...unnamed, ...unnamed.filter(({ path }) => path.includes(':eventType'))],
        nameOf,
        (op) => ask(op, { token: tokenFor(op), body, params: { ...paramsFor(op), eventType: eventTypes.next() } }),
        (answer) => answer.status < 500,
      )
      expect(unnamed.length).toBeGreaterThan(20)
      expect(wrong).toEqual({})
    },
  )
})

/** Names that mean something to somebody: in bodies and contents that no schema describes. */
const wellKnown = (
  'membership users users_default events state_default ban kick redact invite notifications alias alt_aliases join_rule allow ' +
  'history_visibility guest_access url info name topic m.topic creator room_version predecessor type m.federate ' +
  'additional_creators algorithm replacement_room m.relates_to m.new_content m.mentions body msgtype formatted_body redacts ' +
  'deny allow_ip_literals entity recommendation reason via suggested order device_keys one_time_keys fallback_keys ' +
  'master_key self_signing_key user_signing_key signatures keys failed timeout messages actions conditions pattern enabled ' +
  'default ignored_users default_action tags displayname avatar_url m.tz room account_data presence event_fields event_format ' +
  'lists extensions room_subscriptions conn_id third_party_signed third_party_invite is_direct public_key key_validity_url'
).split(' ')

const eventTypes = (() => {
  const all = [
    'm.room.member',
    'm.room.power_levels',
    'm.room.join_rules',
    'm.room.name',
    'm.room.topic',
    'm.room.avatar',
    'm.room.create',
    'm.room.canonical_alias',
    'm.room.history_visibility',
    'm.room.guest_access',
    'm.room.server_acl',
    'm.room.tombstone',
    'm.room.third_party_invite',
    'm.policy.rule.user',
    'm.space.child',
    'm.room.message',
    'm.room.encrypted',
    'm.reaction',
    'm.room.redaction',
    'm.room.encryption',
    'm.room.policy',
    'm.room.aliases',
  ]
  let at = 0
  return { next: () => all[at++ % all.length] ?? '' }
})()
