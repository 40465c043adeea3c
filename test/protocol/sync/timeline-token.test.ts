/** Tokens of a room's timeline come back as they were; nothing else is taken for one. */
import { formatTimelineToken, parseTimelineToken, type TimelineToken } from '#protocol/sync/timeline-token.ts'
import { describe, expect, it } from 'vitest'

const tokens: readonly [string, TimelineToken][] = [
  ['p0', { kind: 'live', pos: 0 }],
  ['p123', { kind: 'live', pos: 123 }],
  ['t0-0', { kind: 'history', at: { depth: 0, nid: 0 } }],
  ['t7-12', { kind: 'history', at: { depth: 7, nid: 12 } }],
  ['t9007199254740991-4', { kind: 'history', at: { depth: Number.MAX_SAFE_INTEGER, nid: 4 } }],
  ['t7-12_b30', { kind: 'history', at: { depth: 7, nid: 12 }, bound: { dir: 'b', pos: 30 } }],
  ['t7-12_f30', { kind: 'history', at: { depth: 7, nid: 12 }, bound: { dir: 'f', pos: 30 } }],
]

describe.each(tokens)('%s', (text, token) => {
  it('is written and read', () => {
    expect(formatTimelineToken(token)).toBe(text)
    expect(parseTimelineToken(text)).toEqual(token)
  })
})

it.each([
  '',
  'p',
  'p-1',
  'p1.5',
  'p1 ',
  'P1',
  't1',
  't-1-2',
  't1-2_',
  't1-2_x3',
  't1-2_b',
  's1_2_3_abc',
  't9007199254740992-1',
  'p1234567890123456',
  `p${'1'.repeat(10_000)}`,
  't1-2_b3\n',
])('%j is no token', (text) => {
  expect(parseTimelineToken(text)).toBeUndefined()
})
