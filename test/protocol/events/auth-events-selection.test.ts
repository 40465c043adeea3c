import { describe, expect, it } from 'vitest'
import { authEventKeys } from '#protocol/events/auth-events-selection.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { roomVersions } from '#protocol/room-versions/rules.ts'
import { rulesFor } from '../signing/synapse-cases.ts'

const alice = '@alice:a'
const bob = '@bob:b'
const carol = '@carol:c'

describe.each(roomVersions)('auth events in room version %s', (version) => {
  const rules = rulesFor(version)
  const create = rules.roomIdIsCreateHash ? [] : [['m.room.create', '']]
  const base = [...create, ['m.room.power_levels', ''], ['m.room.member', alice]]
  const member = (content: JsonObject, state_key: string = bob) =>
    authEventKeys(rules, { type: 'm.room.member', state_key, sender: alice, content })

  it('of the create event: none', () => {
    expect(authEventKeys(rules, { type: 'm.room.create', state_key: '', sender: alice, content: {} })).toEqual([])
  })

  it('of most events: create (but in v12), power levels, the sender', () => {
    for (const [type, state_key] of [
      ['m.room.message', undefined],
      ['m.room.topic', ''],
      ['m.room.power_levels', ''],
      ['m.room.third_party_invite', 't'],
    ] as const) {
      expect(authEventKeys(rules, { type, state_key, sender: alice, content: { membership: 'join' } })).toEqual(base)
    }
  })

  it.each(['join', 'invite', 'knock'])(
    'of a member event with %s: also the target and the join rules',
    (membership) => {
      expect(member({ membership })).toEqual([...base, ['m.room.member', bob], ['m.room.join_rules', '']])
      expect(member({ membership }, alice)).toEqual([...base, ['m.room.join_rules', '']])
    },
  )

  it.each(['leave', 'ban', 'unknown', undefined, 1, null])('of one with %j: also the target', (membership) => {
    const content = membership === undefined ? {} : { membership }
    expect(member(content)).toEqual([...base, ['m.room.member', bob]])
    expect(member(content, alice)).toEqual(base)
  })

  it('of one without state key: the sender', () => {
    expect(authEventKeys(rules, { type: 'm.room.member', sender: alice, content: { membership: 'leave' } })).toEqual(
      base,
    )
  })

  it('of an invite by third-party identifier: also the event with its token', () => {
    const invite = { third_party_invite: { signed: { token: 't' } } }
    expect(member({ membership: 'invite', ...invite })).toEqual([
      ...base,
      ['m.room.member', bob],
      ['m.room.join_rules', ''],
      ['m.room.third_party_invite', 't'],
    ])
    expect(member({ membership: 'leave', ...invite })).toEqual([...base, ['m.room.member', bob]])
  })

  it.each([1, 'x', null, [], {}, { signed: 1 }, { signed: {} }, { signed: { token: 1 } }])(
    'of an invite by a third-party identifier like %j: no such event',
    (third_party_invite) => {
      expect(member({ membership: 'invite', third_party_invite })).toEqual([
        ...base,
        ['m.room.member', bob],
        ['m.room.join_rules', ''],
      ])
    },
  )

  it('of a restricted join: also who let the user in, from v8 on', () => {
    const via = (membership: string, user: string | number) =>
      member({ membership, join_authorised_via_users_server: user }, alice).slice(base.length)
    const joinRules = ['m.room.join_rules', '']
    expect(via('join', carol)).toEqual(Number(version) >= 8 ? [joinRules, ['m.room.member', carol]] : [joinRules])
    expect(via('join', alice)).toEqual([joinRules])
    expect(via('join', 1)).toEqual([joinRules])
    expect(via('invite', carol)).toEqual([joinRules])
    expect(via('leave', carol)).toEqual([])
  })
})
