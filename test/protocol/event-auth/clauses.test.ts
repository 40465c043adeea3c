import { describe, expect, it } from 'vitest'
import { clauseNumber } from '#protocol/event-auth/clauses.ts'
import { roomVersions } from '#protocol/room-versions/rules.ts'
import { rulesFor } from '../signing/synapse-cases.ts'
import { numbers, since } from './numbers.ts'

describe.each(roomVersions)('the rules of room version %s', (version) => {
  const rules = rulesFor(version)
  const rule = numbers[version]

  it('have the numbers of its page', () => {
    const counted = {
      authEvents: clauseNumber(rules, 'authEvents'),
      federate: clauseNumber(rules, 'federate'),
      member: clauseNumber(rules, 'member'),
      join: clauseNumber(rules, 'member.join'),
      invite: clauseNumber(rules, 'member.invite'),
      leave: clauseNumber(rules, 'member.leave'),
      ban: clauseNumber(rules, 'member.ban'),
      unknownMembership: clauseNumber(rules, 'member.otherwise'),
      joined: clauseNumber(rules, 'joined'),
      thirdPartyInvite: clauseNumber(rules, 'thirdPartyInvite'),
      requiredLevel: clauseNumber(rules, 'requiredLevel'),
      stateKey: clauseNumber(rules, 'stateKey'),
      powerLevels: clauseNumber(rules, 'powerLevels'),
    }
    expect(rule).toMatchObject(counted)
    expect(clauseNumber(rules, 'create')).toBe('1')
  })

  it('that only some versions have are counted there alone', () => {
    if (since(version, 12)) expect(clauseNumber(rules, 'roomId')).toBe(rule.roomId)
    if (since(version, 7)) expect(clauseNumber(rules, 'member.knock')).toBe(rule.knock)
    if (!since(version, 6)) expect(clauseNumber(rules, 'aliases')).toBe(rule.aliases)
    if (!since(version, 3)) expect(clauseNumber(rules, 'redaction')).toBe(rule.redaction)
    if (since(version, 8)) expect(clauseNumber(rules, 'member.authoriser.unsigned')).toBe(`${rule.member}.2.1`)
    expect(clauseNumber(rules, 'member.join.otherwise')).toBe(`${rule.join}.${since(version, 8) ? 7 : 6}`)
  })
})
