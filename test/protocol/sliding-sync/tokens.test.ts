/** Positions and to-device tokens: what this server gave out is read again, and nothing else. */
import { describe, expect, test } from 'vitest'

import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import {
  formatPos,
  formatSticky,
  formatToDevice,
  parsePos,
  parseSticky,
  parseToDevice,
} from '#protocol/sliding-sync/tokens.ts'

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

describe('a token for sticky events', () => {
  const stream = { epoch: 'ab12', position: 10 }

  test.each(['!room:here.test', '!room:[::1]:8448', '!sp ace_5_ab12:here.test', `!${'a'.repeat(43)}`])(
    'is read as it was written, also in the midst of %s',
    (id) => {
      const roomId = parseRoomId(id)
      if (!roomId) throw new TypeError(id)
      expect(parseSticky(formatSticky({ at: 10 }, 'ab12'), stream)).toEqual({ at: 10 })
      const position = { at: 2, round: { upTo: 9, roomId, after: 70 } }
      expect(parseSticky(formatSticky(position, 'ab12'), stream)).toEqual(position)
    },
  )

  test('proves nothing where it is of another stream, another server, or the future', () => {
    for (const text of ['5_other', 'sticky_123', '11_ab12', '5_6_3_other_!r:here.test', '5_11_3_ab12_!r:here.test']) {
      expect(parseSticky(text, stream)).toEqual({ at: 0 })
    }
  })

  const odd = [
    '5_6_3_ab12',
    '5_ab12_!r:here.test',
    '5_6_3_ab12_@r:here.test',
    '5_6_3_ab12_!',
    '5_4_3_ab12_!r:here.test',
  ]
  test.each(['', 'x', '5', '5_', '05_ab12', 'sticky_', ...odd])('is none: %j', (text) => {
    expect(parseSticky(text, stream)).toBe(undefined)
  })
})
