import { describe, expect, test } from 'vitest'

import { parseEmailAddress } from '#protocol/identifiers/email-address.ts'

describe('e-mail addresses', () => {
  test.each([
    ['alice@example.org', 'alice@example.org'],
    ['Alice.Smith+x@EXAMPLE.org', 'alice.smith+x@example.org'],
    ["o'neil!#$%&*/=?^_`{|}~-@x.example.org", "o'neil!#$%&*/=?^_`{|}~-@x.example.org"],
    ['dörte@bücher.example', 'dörte@bücher.example'],
    // Two ways to write ö are one.
    ['do\u0308rte@example.org', 'd\u00f6rte@example.org'],
  ])('%j is %j', (text, address) => {
    expect(parseEmailAddress(text)).toBe(address)
  })

  test('letters that only look alike, or fold to ASCII ones, stay what they are', () => {
    // Long s, dotless i: a case folding would make other people of them.
    for (const text of ['u\u017fer@example.org', 'm\u0131ke@example.org']) {
      const parsed = parseEmailAddress(text)
      expect(parsed).toBe(text)
    }
    // The Kelvin sign, which normalisation makes a K.
    expect(parseEmailAddress('mi\u212ae@example.org')).toBeUndefined()
  })

  test.each([
    '',
    'alice',
    '@example.org',
    'alice@',
    'alice@localhost',
    'a@b@example.org',
    'a b@example.org',
    ' a@example.org',
    'a@example.org\n',
    'a\0@example.org',
    '.a@example.org',
    'a.@example.org',
    'a..b@example.org',
    '"a"@example.org',
    'a,b@example.org',
    'a@-example.org',
    'a@example-.org',
    'a@exa_mple.org',
    'a@[127.0.0.1]',
    '<a@example.org>',
    'a@example.org>',
    'a\u202e@example.org',
    '\ud800@example.org',
    `${'x'.repeat(65)}@example.org`,
    `a@${'x'.repeat(250)}.org`,
    7,
    null,
    undefined,
    {},
    ['a@example.org'],
  ])('%j is none', (value) => {
    expect(parseEmailAddress(value)).toBeUndefined()
  })

  test('a hostile address is judged at once', () => {
    expect(parseEmailAddress(`a@${'a-'.repeat(120)}`)).toBeUndefined()
    expect(parseEmailAddress(`a@${'a.'.repeat(1_000_000)}`)).toBeUndefined()
  })
})
