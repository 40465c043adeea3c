/** What a policy list bans. Its rules are written by strangers. */
import { expect, test } from 'vitest'

import type { JsonObject } from '#protocol/json/json.ts'
import { maxPatterns, parsePolicyRule, type PolicyKind, PolicyRules } from '#protocol/policy-rules.ts'

const ban = (entity: unknown, more: JsonObject = {}): JsonObject =>
  JSON.parse(JSON.stringify({ entity, recommendation: 'm.ban', ...more }))
const rule = (kind: PolicyKind, entity: string) => parsePolicyRule(`m.policy.rule.${kind}`, ban(entity))
const rules = (...list: (readonly [PolicyKind, string])[]) =>
  new PolicyRules(list.map(([kind, entity]) => rule(kind, entity)).filter((each) => each !== undefined))
const bans = (list: PolicyRules, kind: PolicyKind, text: string) => list.find({ kind, text }) !== undefined

test.each(['m.policy.rule.user', 'org.matrix.mjolnir.rule.user', 'm.room.rule.user'])('a rule of type %s', (type) => {
  const content = ban('@spam*:*', { reason: 'spam' })
  expect(parsePolicyRule(type, content)).toEqual({ kind: 'user', entity: '@spam*:*', reason: 'spam' })
  expect(parsePolicyRule(type, { ...content, recommendation: 'org.matrix.mjolnir.ban' })).toBeDefined()
})

test.each([
  {},
  { entity: '@a:b' },
  { recommendation: 'm.ban' },
  ban('@a:b', { recommendation: 'm.allow' }),
  ban('@a:b', { recommendation: ['m.ban'] }),
  ban(''),
  ban(7),
  ban(null),
  ban(['@a:b']),
  ban({ toString: '@a:b' }),
  ban('*'.repeat(256)),
  ban(`@${'a'.repeat(100_000)}:b`),
])('what is no rule: %j', (content) => {
  expect(parsePolicyRule('m.policy.rule.user', content)).toBeUndefined()
})

test.each(['m.policy.rule.constructor', 'm.policy.rule', '__proto__', 'm.room.member'])(
  'no type of rule: %s',
  (type) => {
    expect(parsePolicyRule(type, ban('@a:b'))).toBeUndefined()
  },
)

test('a reason of another type is left out, a long one cut', () => {
  expect(parsePolicyRule('m.policy.rule.user', ban('@a:b', { reason: 7 }))?.reason).toBeUndefined()
  expect(parsePolicyRule('m.policy.rule.user', ban('@a:b', { reason: 'x'.repeat(60_000) }))?.reason).toHaveLength(1000)
})

test('users, rooms and servers, by name or by glob', () => {
  const list = rules(
    ['user', '@bad:a.org'],
    ['user', '@spam*:*'],
    ['room', '!x:a.org'],
    ['room', '#*:b.org'],
    ['server', '*.evil.org'],
  )
  expect(bans(list, 'user', '@bad:a.org')).toBe(true)
  expect(bans(list, 'user', '@bad:a.orgs')).toBe(false)
  expect(bans(list, 'user', '@Bad:a.org')).toBe(false)
  expect(bans(list, 'user', '@spam17:anywhere.org')).toBe(true)
  expect(bans(list, 'user', '@nospam:anywhere.org')).toBe(false)
  expect(bans(list, 'room', '!x:a.org')).toBe(true)
  expect(bans(list, 'user', '!x:a.org')).toBe(false)
  expect(bans(list, 'room', '#any:b.org')).toBe(true)
  expect(bans(list, 'server', 'deep.evil.org')).toBe(true)
  expect(bans(list, 'server', 'evil.org')).toBe(false)
  expect(list.counts).toEqual({ user: 2, room: 2, server: 1 })
})

test('a server is meant whatever its port and its letters', () => {
  const list = rules(['server', 'Evil.org'], ['server', '[::1]'], ['server', 'one.org:8448'])
  expect(bans(list, 'server', 'evil.ORG:8448')).toBe(true)
  expect(bans(list, 'server', '[::1]:1')).toBe(true)
  expect(bans(list, 'server', 'one.org:8448')).toBe(true)
  expect(bans(list, 'server', 'one.org')).toBe(false)
  expect(bans(list, 'server', 'not a server')).toBe(false)
})

test('question marks and stars at both ends', () => {
  const list = rules(['user', '@?:b'], ['server', '*ab*ab*'])
  expect(bans(list, 'user', '@x:b')).toBe(true)
  expect(bans(list, 'user', '@:b')).toBe(false)
  expect(bans(list, 'server', 'ab')).toBe(false)
  expect(bans(list, 'server', 'abab')).toBe(true)
})

test('thousands of rules, the worst that can be built: the answer is right and comes', () => {
  const worst = `*${'a*'.repeat(127)}`
  const many = Array.from({ length: 2 * maxPatterns }, (_, at) => ['user', `${worst.slice(0, 200)}${at}`] as const)
  const names = Array.from({ length: 20_000 }, (_, at) => ['user', `@n${at}:x.org`] as const)
  const list = rules(...many, ...names, ['server', 'evil.org'])
  expect(bans(list, 'user', `@${'a'.repeat(250)}`)).toBe(false)
  expect(bans(list, 'user', '@n19999:x.org')).toBe(true)
  expect(bans(list, 'server', 'evil.org')).toBe(true)
  // Patterns beyond the most are not looked at; names are.
  const late = rules(...many.slice(0, maxPatterns), ['user', '@late*'], ['user', '@late:x'])
  expect(bans(late, 'user', '@later:x')).toBe(false)
  expect(bans(late, 'user', '@late:x')).toBe(true)
})
