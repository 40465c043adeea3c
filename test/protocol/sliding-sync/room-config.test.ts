/** What a client wants of a room, added up and compared. */
import { describe, expect, test } from 'vitest'

import {
  addedState,
  combineConfigs,
  isLazy,
  isWider,
  roomConfig,
  type RequiredState,
  wantsPlace,
} from '#protocol/sliding-sync/room-config.ts'

const me = '@me:test'
const other = '@other:test'

describe('wishes', () => {
  test('have one form, whatever their order', () => {
    const a = roomConfig(1, [
      ['b', ''],
      ['a', ''],
      ['b', ''],
    ])
    const b = roomConfig(1, [
      ['a', ''],
      ['b', ''],
    ])
    expect(JSON.stringify(a)).toBe(JSON.stringify(b))
  })

  test('add up', () => {
    const sum = combineConfigs(roomConfig(3, [['a', '']]), roomConfig(1, [['b', '$ME']]))
    expect(sum).toEqual(
      roomConfig(3, [
        ['a', ''],
        ['b', '$ME'],
      ]),
    )
  })

  test('are wider by a longer timeline or by more state, and by nothing else', () => {
    const sent = roomConfig(5, [
      ['a', ''],
      ['b', ''],
    ])
    expect(isWider(sent, sent)).toBe(false)
    expect(isWider(roomConfig(4, [['a', '']]), sent)).toBe(false)
    expect(isWider(roomConfig(6, []), sent)).toBe(true)
    expect(isWider(roomConfig(1, [['c', '']]), sent)).toBe(true)
    expect(
      addedState(
        roomConfig(1, [
          ['a', ''],
          ['c', ''],
        ]),
        sent,
      ),
    ).toEqual([['c', '']])
  })
})

describe('places of the state', () => {
  const cases: readonly (readonly [RequiredState, type: string, key: string, wanted: boolean])[] = [
    [[], 'm.room.name', '', false],
    [[['m.room.name', '']], 'm.room.name', '', true],
    [[['m.room.name', '']], 'm.room.name', 'x', false],
    [[['m.room.name', '*']], 'm.room.name', 'x', true],
    [[['*', '']], 'm.room.topic', '', true],
    [[['*', '']], 'm.room.member', me, false],
    [[['*', '*']], 'm.room.member', other, true],
    [[['m.room.member', '$ME']], 'm.room.member', me, true],
    [[['m.room.member', '$ME']], 'm.room.member', other, false],
    [[['*', '$ME']], 'org.own', me, true],
    [[['m.room.member', '$LAZY']], 'm.room.member', other, false],
    [
      [
        ['*', '*'],
        ['m.room.member', '$LAZY'],
      ],
      'm.room.member',
      other,
      false,
    ],
    [
      [
        ['*', '*'],
        ['m.room.member', '$LAZY'],
      ],
      'm.room.topic',
      '',
      true,
    ],
    [
      [
        ['m.room.member', '*'],
        ['m.room.member', '$LAZY'],
      ],
      'm.room.member',
      other,
      true,
    ],
    [[['m.room.name', '$LAZY']], 'm.room.name', '', false],
  ]
  test.each(cases)('of %j, %s|%s: %s', (required, type, key, wanted) => {
    expect(wantsPlace(required, type, key, me)).toBe(wanted)
  })

  test('are lazy for members only', () => {
    expect(isLazy(roomConfig(1, [['m.room.member', '$LAZY']]))).toBe(true)
    expect(isLazy(roomConfig(1, [['m.room.name', '$LAZY']]))).toBe(false)
  })
})
