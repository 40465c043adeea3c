/**
 * Every operation that takes a body, given one whose fields hold what nobody expects. What the form of an operation does not
 * allow is refused; what it allows does no harm. Spec: client-server-api/#common-error-codes: M_BAD_JSON, M_MISSING_PARAM.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import * as v from 'valibot'

import type { Operation } from '../../../worker/operation.ts'
import { type Asker, newAsker, withBody } from './asker.ts'
import { ask, differing, isError, nameOf } from './table.ts'

let asker: Asker
let names = 0
beforeAll(async () => {
  asker = await newAsker(`fields-${(names += 1)}`)
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
        ({ op, body }) => ask(op, { token: asker.tokenFor(op), body, params: asker.paramsFor(op) }),
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
        (op) =>
          ask(op, {
            token: asker.tokenFor(op),
            body,
            params: { ...asker.paramsFor(op), eventType: eventTypes.next() },
          }),
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
