/** Positions and to-device tokens: what this server gave out is read again, and nothing else. */
import { describe, expect, test } from 'vitest'

import { formatPos, formatToDevice, parsePos, parseToDevice } from '#protocol/sliding-sync/tokens.ts'

describe('a position', () => {
  test('is read as it was written', () => {
    expect(parsePos(formatPos({ connection: 7, answer: 0 }, 'ab12'), 'ab12')).toEqual({ connection: 7, answer: 0 })
  })

  test.each([
    '',
    '7_0',
    '7_0_ab12 ',
    '07_0_ab12',
    '0_0_ab12',
    '-1_0_ab12',
    '7_1e3_ab12',
    '7_0_other',
    's1_2_3_ab12',
    '9'.repeat(20),
  ])('is none: %j', (text) => expect(parsePos(text, 'ab12')).toBe(undefined))
})

describe('a token for messages to devices', () => {
  const stream = { epoch: 'ab12', position: 10 }

  test('is read as it was written', () => {
    expect(parseToDevice(formatToDevice(10, 'ab12'), stream)).toBe(10)
  })

  test('proves nothing where it is of another stream, another server, or the future', () => {
    for (const text of ['5_other', '12345', '11_ab12']) expect(parseToDevice(text, stream)).toBe(0)
  })

  test.each(['', 'x', '5_', '_ab12', '5_AB12', '05_ab12', '-5'])('is none: %j', (text) => {
    expect(parseToDevice(text, stream)).toBe(undefined)
  })
})
