/** Whatever somebody writes into an event, and into the state it is judged by, the answer is a verdict. */
import { anything, assert, constantFrom, dictionary, oneof, property, record } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkAuthRules } from '#protocol/event-auth/check-auth-rules.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { isObject } from '#protocol/json/json.ts'
import { roomVersions } from '#protocol/room-versions/rules.ts'
import { crypto, timeline } from '../../dsl/room-timeline.ts'
import { alice, bob, carol, dave } from '../../dsl/users.ts'

/** Half of the values are such as a rule could take for good. */
const value = oneof(
  constantFrom(
    'join',
    'invite',
    'leave',
    'ban',
    'knock',
    'public',
    'restricted',
    alice,
    dave,
    'token',
    0,
    50,
    '50',
    true,
  ),
  constantFrom(
    null,
    [],
    {},
    '',
    -1,
    Number.MAX_SAFE_INTEGER,
    { [alice]: 100 },
    { signed: { mxid: dave, token: 'token' } },
  ),
  anything({ maxDepth: 2, withNullPrototype: false }),
)
const keys = [
  'membership',
  'third_party_invite',
  'join_authorised_via_users_server',
  'join_rule',
  'users',
  'events',
  'ban',
  'users_default',
  'state_default',
  'notifications',
  'public_key',
  'public_keys',
  'creator',
  'm.federate',
  'additional_creators',
  'room_version',
  'redacts',
]
const content = dictionary(constantFrom(...keys), value, { maxKeys: 5 }).map(asJson)

/** What of it JSON can say. */
function asJson(raw: object): JsonObject {
  const text = JSON.stringify(raw, (_, item: unknown) => (typeof item === 'bigint' ? 1 : item))
  const parsed: unknown = JSON.parse(text)
  if (!isObject(parsed)) throw new Error('content is an object')
  return parsed
}

const types = [
  'm.room.create',
  'm.room.member',
  'm.room.power_levels',
  'm.room.join_rules',
  'm.room.third_party_invite',
  'm.room.aliases',
  'm.room.redaction',
  'm.room.message',
]

describe.each(roomVersions)('hostile content in version %s', (version) => {
  const room = timeline(version).publicChat({ creator: alice, moderator: bob, members: [carol] })
  const template = room.draft('m.room.message', undefined, {}, alice)

  it('leads to a verdict', () => {
    const someEvent = record({
      type: constantFrom(...types),
      state_key: constantFrom(undefined, '', alice, dave, 'token', '@', '__proto__'),
      sender: constantFrom(alice, bob, carol, dave),
      content,
    })
    const someState = dictionary(constantFrom(...types), content, { maxKeys: 3 })
    assert(
      property(someEvent, someState, (event, overrides) => {
        const pdu = { ...template, ...event, json: { ...template.json, ...event } }
        const verdict = checkAuthRules(
          room.rules,
          pdu,
          (type, stateKey) => {
            const current = room.stateLookup(type, stateKey)
            const override = Object.hasOwn(overrides, type) ? overrides[type] : undefined
            return current === undefined || override === undefined ? current : { ...current, content: override }
          },
          crypto,
        )
        expect(verdict.ok || /^\d+(\.\d+)*$/.test(verdict.rule)).toBe(true)
      }),
      { numRuns: 1500 },
    )
  })
})
