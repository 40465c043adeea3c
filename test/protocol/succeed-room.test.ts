/** What of account data follows a room to its replacement. */
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import { succeedInDirect } from '#protocol/succeed-room.ts'
import { describe, expect, it } from 'vitest'

const from = parseRoomId('!old:example.org') ?? expect.fail()
const to = parseRoomId('!new:example.org') ?? expect.fail()

describe('m.direct', () => {
  it.each([
    [{ '@bob:b': [from] }, { '@bob:b': [from, to] }],
    [
      { '@bob:b': ['!x:b', from], '@carol:c': ['!y:c'] },
      { '@bob:b': ['!x:b', from, to], '@carol:c': ['!y:c'] },
    ],
    [{ '@bob:b': [from, to] }, undefined],
    [{ '@bob:b': ['!x:b'] }, undefined],
    [{ '@bob:b': from, '@carol:c': null }, undefined],
    [{}, undefined],
  ])('%j becomes %j', (content, expected) => {
    expect(succeedInDirect(content, from, to)).toEqual(expected)
  })
})
