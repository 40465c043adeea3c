/** Whose invites a user takes. Spec: client-server-api/#invite-permission; MSC4155 (unstable). */
import { parseUserId } from '#protocol/identifiers/user-id.ts'
import { inviteVerdict } from '#protocol/invite-permission.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { expect, test } from 'vitest'

const verdict = (lists: JsonObject | undefined, permission?: JsonObject) =>
  inviteVerdict(permission, lists, parseUserId('@bob:evil.example') ?? expect.fail())

test.each([
  [undefined, 'allow'],
  [{}, 'allow'],
  [{ blocked_users: ['@bob:evil.example'] }, 'block'],
  [{ ignored_users: ['@bob:*'] }, 'ignore'],
  [{ blocked_users: ['@b?b:evil.*'] }, 'block'],
  [{ blocked_users: ['bob'] }, 'allow'],
  [{ blocked_servers: ['evil.example'] }, 'block'],
  [{ ignored_servers: ['*.example'] }, 'ignore'],
  [{ allowed_users: ['@bob:evil.example'], blocked_servers: ['*'] }, 'allow'],
  [{ blocked_users: ['@bob:evil.example'], allowed_servers: ['evil.example'] }, 'block'],
  [{ allowed_users: ['@bob:*'], ignored_users: ['@bob:*'], blocked_users: ['@bob:*'] }, 'allow'],
  [{ ignored_users: ['@bob:*'], blocked_users: ['@bob:*'] }, 'ignore'],
  [{ enabled: false, blocked_users: ['*'] }, 'allow'],
  [{ enabled: true, blocked_users: ['*'] }, 'block'],
  [{ allowed_users: null, blocked_users: null, blocked_servers: null }, 'allow'],
  [{ blocked_users: 'all', ignored_servers: { a: 1 } }, 'allow'],
  [{ blocked_users: [7, null, '*'.repeat(300)], blocked_servers: ['evil.example'] }, 'block'],
] as const)('%j: %s', (lists, expected) => {
  expect(verdict(lists)).toBe(expected)
})

test('who blocks everybody takes those who are listed', () => {
  expect(verdict(undefined, { default_action: 'block' })).toBe('block')
  expect(verdict(undefined, { default_action: 'allow' })).toBe('allow')
  expect(verdict({ allowed_servers: ['evil.example'] }, { default_action: 'block' })).toBe('allow')
  expect(verdict({ allowed_servers: ['other.example'] }, { default_action: 'block' })).toBe('block')
})
