/** Telling how deep JSON text nests. */
import { nestsDeeperThan } from '#protocol/json/nesting.ts'
import { expect, it } from 'vitest'

it.each([
  ['[[[]]]', 3, false],
  ['[[[]]]', 2, true],
  ['{"a":{"b":{}}}', 3, false],
  ['{"a":{"b":{}}}', 2, true],
  ['[[],[],[],[{}]]', 3, false],
  ['["[[[[[["]', 1, false],
  [String.raw`["\"[[[[","\\",[1]]`, 2, false],
  [String.raw`["\\",[[1]]]`, 2, true],
  ['["[[[', 1, false],
  ['[[[', 2, true],
])('%s deeper than %d: %s', (text, limit, expected) => {
  expect(nestsDeeperThan(text, limit)).toBe(expected)
})
