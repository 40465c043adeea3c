/** What of account data follows a room to its replacement. */
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import { succeedInDirect, succeedInPushRules } from '#protocol/succeed-room.ts'
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

describe('m.push_rules', () => {
  const rule = (rule_id: string) => ({ rule_id, actions: ['dont_notify'], enabled: true, default: false })
  it.each([
    [{ global: { room: [rule(from)] } }, { global: { room: [rule(from), rule(to)] } }],
    [
      { device: {}, global: { override: [rule('.m.x')], room: [rule('!x:b'), rule(from)] } },
      { device: {}, global: { override: [rule('.m.x')], room: [rule('!x:b'), rule(from), rule(to)] } },
    ],
    [{ global: { room: [rule(from), rule(to)] } }, undefined],
    [{ global: { room: [rule('!x:b')] } }, undefined],
    [{ global: { room: [null, 7, 'rule'] } }, undefined],
    [{ global: { room: {} } }, undefined],
    [{ global: [] }, undefined],
    [{}, undefined],
  ])('%j becomes %j', (content, expected) => {
    expect(succeedInPushRules(content, from, to)).toEqual(expected)
  })
})
