import { expect, test } from 'vitest'

import { hashToken, looksLikeToken, makeToken, randomText } from '../../../worker/accounts/tokens.ts'
import { parseUserId } from '../../../worker/protocol/identifiers/user-id.ts'

const alice = parseUserId('@alice_1:test.local') ?? expect.fail()

test('a token names its kind and user and is never the same twice', () => {
  const token = makeToken('access', alice)
  expect(token).toMatch(/^hrt_YWxpY2VfMQ_[A-Za-z0-9]{32}_[a-z0-9]{7}$/)
  expect(makeToken('refresh', alice)).toMatch(/^hrr_/)
  expect(makeToken('access', alice)).not.toBe(token)
})

test('a token is told from what cannot be one', () => {
  const token = makeToken('access', alice)
  expect(looksLikeToken('access', token)).toBe(true)
  expect(looksLikeToken('refresh', token)).toBe(false)
  for (const wrong of ['', '_', 'hrt_', 'hrt__', token.slice(0, -1), `${token}0`, token.replace('hrt', 'HRT')]) {
    expect(looksLikeToken('access', wrong)).toBe(false)
  }
  expect(looksLikeToken('access', token.replace(/_.(?=[A-Za-z0-9]{31}_)/, '_!'))).toBe(false)
})

test('what is stored does not tell the token', () => {
  const token = makeToken('access', alice)
  expect(hashToken(token)).toMatch(/^[A-Za-z0-9_-]{43}$/)
  expect(hashToken(token)).not.toContain(token.slice(-8))
})

test('random text keeps to its alphabet and uses all of it', () => {
  const text = randomText(4000, 'abc')
  expect(text).toMatch(/^[abc]{4000}$/)
  for (const letter of 'abc') expect(text).toContain(letter)
})
