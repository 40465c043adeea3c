/** Presence as it is written, and what another server may say of whom. */
import { expect, test } from 'vitest'

import { busy, parsePresenceEdu, presenceContent, presenceEdu, strongest } from '#protocol/presence/presence.ts'
import { parseUserId } from '#protocol/identifiers/user-id.ts'

const alice = parseUserId('@alice:there')

test('a user is what the liveliest of their devices is', () => {
  expect(strongest(['offline', 'online', 'unavailable'])).toBe('online')
  expect(strongest(['unavailable', 'offline'])).toBe('unavailable')
  expect(strongest([])).toBe('offline')
  expect(strongest(['online', busy, 'offline'])).toBe(busy)
})

test('the time of the last activity goes out as an age', () => {
  expect(presenceContent({ presence: 'unavailable', lastActive: 400, statusMsg: 'x' }, 1000)).toEqual({
    presence: 'unavailable',
    last_active_ago: 600,
    status_msg: 'x',
  })
  expect(presenceContent({ presence: 'online', lastActive: 2000, statusMsg: undefined }, 1000)).toEqual({
    presence: 'online',
    last_active_ago: 0,
    currently_active: true,
  })
})

test('what is sent is read the same', () => {
  if (!alice) throw new Error('not a user ID')
  const presence = { presence: 'online', lastActive: 700, statusMsg: 'here' } as const
  const { edu_type, content } = presenceEdu(alice, presence, 1000)
  expect(edu_type).toBe('m.presence')
  expect(parsePresenceEdu('there', JSON.parse(JSON.stringify(content)), 1000)).toEqual([[alice, presence]])
})

test('who is busy is so elsewhere (MSC3026)', () => {
  if (!alice) throw new Error('not a user ID')
  const presence = { presence: busy, lastActive: 700, statusMsg: undefined } as const
  const { content } = presenceEdu(alice, presence, 1000)
  expect(content).toEqual({ push: [{ user_id: alice, presence: busy, last_active_ago: 300 }] })
  expect(parsePresenceEdu('there', JSON.parse(JSON.stringify(content)), 1000)).toEqual([[alice, presence]])
})

test('a server speaks for its own users only, and nonsense is dropped alone', () => {
  const good = { user_id: '@alice:there', presence: 'online', last_active_ago: 5 }
  const push = [
    { ...good, user_id: '@bob:elsewhere' },
    { ...good, user_id: '@bob:here' },
    { ...good, user_id: 7 },
    { ...good, presence: 'busy' },
    null,
    'x',
    good,
  ]
  expect(parsePresenceEdu('there', { push }, 1000)).toEqual([
    [alice, { presence: 'online', lastActive: 995, statusMsg: undefined }],
  ])
  for (const odd of [undefined, {}, 'x', 5, null])
    expect(parsePresenceEdu('there', { push: odd ?? null }, 0)).toEqual([])
})

test('ages and messages that are none are as if they were not there, long ones are cut', () => {
  const of = (more: object) =>
    parsePresenceEdu('there', { push: [{ user_id: '@alice:there', presence: 'online', ...more }] }, 1000)
  expect(of({ last_active_ago: -1, status_msg: 5 })).toEqual([
    [alice, { presence: 'online', lastActive: undefined, statusMsg: undefined }],
  ])
  expect(of({ status_msg: 'x'.repeat(5000) })[0]?.[1].statusMsg).toHaveLength(1000)
  expect(of({ last_active_ago: 1e300 })[0]?.[1].lastActive).toBe(0)
})

test('one EDU tells of a hundred users at most', () => {
  const push = Array.from({ length: 500 }, (_, n) => ({ user_id: `@u${n}:there`, presence: 'offline' }))
  expect(parsePresenceEdu('there', { push }, 0)).toHaveLength(100)
})
