/**
 * Every operation that takes a body, given one that it cannot take: no JSON, no object, too much, too deep. Spec:
 * client-server-api/#common-error-codes: M_NOT_JSON, M_BAD_JSON, M_TOO_LARGE.
 */
import { beforeAll, describe, expect, test } from 'vitest'

import { type Asker, newAsker, withBody } from './asker.ts'
import { verdict } from './table.ts'

let asker: Asker
let names = 0
beforeAll(async () => {
  asker = await newAsker(`bodies-${(names += 1)}`)
})

test('there are many', () => {
  expect(withBody.length).toBeGreaterThan(90)
})

describe('a body', () => {
  test.each(['{"a":1', '{"a":1}x', "{'a':1}", '\u0000'])('that is no JSON: %j', async (body) => {
    expect(await asker.asked(body, (answer) => verdict(answer) === '400 M_NOT_JSON')).toEqual({})
  })

  test.each(['[]', '[{}]', '"text"', 'null'])('that is no object: %s', async (body) => {
    expect(await asker.asked(body, (answer) => verdict(answer) === '400 M_BAD_JSON')).toEqual({})
  })

  test('that is missing', async () => {
    const needed = withBody.filter(({ options }) => !options.bodyOptional)
    expect(await asker.asked('', (answer) => verdict(answer) === '400 M_NOT_JSON', needed)).toEqual({})
  })

  test('that nests too deep', async () => {
    const body = `${'{"a":'.repeat(2000)}1${'}'.repeat(2000)}`
    expect(await asker.asked(body, (answer) => verdict(answer) === '400 M_BAD_JSON')).toEqual({})
  })

  test('that is too large', async () => {
    const body = JSON.stringify({ a: 'x'.repeat(17_000_000) })
    expect(await asker.asked(body, (answer) => verdict(answer) === '413 M_TOO_LARGE')).toEqual({})
  })
})
