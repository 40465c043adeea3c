/** What is kept of a user's push rules, and what becomes of it when the server's own rules change. */
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import { predefinedRules } from '#protocol/push-rules/predefined-rules.ts'
import { findRule, ruleKinds, type RuleSet } from '#protocol/push-rules/rule-set.ts'
import {
  editPushRules,
  type PushRuleEdit,
  pushRulesOf,
  storedPushRules,
  succeedInPushRules,
  withFollowed,
} from '#protocol/push-rules/stored-rules.ts'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'

const bob = '@bob:example.org'

function edited(rules: RuleSet, ...edits: PushRuleEdit[]): RuleSet {
  return edits.reduce((before, edit) => {
    const change = editPushRules(before, edit)
    return change.ok ? change.rules : before
  }, rules)
}

const names = ['a', 'b', 'c', '.m.rule.master', '.m.rule.message', '.m.rule.call']
const edits: fc.Arbitrary<PushRuleEdit> = fc.oneof(
  fc.record({
    edit: fc.constant('put' as const),
    kind: fc.constantFrom(...ruleKinds),
    rule: fc.record({ rule_id: fc.constantFrom(...names), actions: fc.constantFrom([], ['notify']) }),
    place: fc.oneof(
      fc.constant({}),
      fc.record({ before: fc.constantFrom(...names) }),
      fc.record({ after: fc.constantFrom(...names) }),
    ),
  }),
  fc.record({
    edit: fc.constant('delete' as const),
    kind: fc.constantFrom(...ruleKinds),
    ruleId: fc.constantFrom(...names),
  }),
  fc.record({
    edit: fc.constant('change' as const),
    kind: fc.constantFrom(...ruleKinds),
    ruleId: fc.constantFrom(...names),
    change: fc.oneof(
      fc.record({ enabled: fc.boolean() }),
      fc.record({ actions: fc.constantFrom<string[]>([], ['notify']) }),
    ),
  }),
)

describe('what is kept of push rules', () => {
  it('is nothing for a user who changed nothing', () => {
    expect(storedPushRules(bob, predefinedRules(bob))).toEqual({})
    expect(pushRulesOf(bob, {})).toEqual(predefinedRules(bob))
  })

  it('makes the same rules again, whatever was changed', () => {
    fc.assert(
      fc.property(fc.array(edits, { maxLength: 20 }), (changes) => {
        const rules = edited(predefinedRules(bob), ...changes)
        expect(pushRulesOf(bob, storedPushRules(bob, rules))).toEqual(rules)
      }),
    )
  })

  it('is nothing again once a change was taken back', () => {
    const change = (enabled: boolean): PushRuleEdit => ({
      edit: 'change',
      kind: 'underride',
      ruleId: '.m.rule.message',
      change: { enabled },
    })
    const off = edited(predefinedRules(bob), change(false))
    expect(storedPushRules(bob, off)).toEqual({
      changed: { '.m.rule.message': { enabled: false, actions: ['notify'] } },
    })
    expect(storedPushRules(bob, edited(off, change(true)))).toEqual({})
  })

  it('says nothing of predefined rules that are no more', () => {
    const stored = { changed: { '.m.rule.gone': { enabled: false, actions: [] } } }
    expect(pushRulesOf(bob, stored)).toEqual(predefinedRules(bob))
  })
})

describe('a room’s own rule', () => {
  const from = parseRoomId('!old:example.org') ?? expect.fail()
  const to = parseRoomId('!new:example.org') ?? expect.fail()
  const rule = (rule_id: string) => ({ rule_id, default: false, enabled: false, actions: [] })

  it('holds for the room that replaces it', () => {
    const stored = succeedInPushRules({ own: { room: [rule('!x:b'), rule(from)] } }, from, to)
    expect(stored).toEqual({ own: { room: [rule('!x:b'), rule(from), rule(to)] } })
    expect(findRule(pushRulesOf(bob, stored ?? {}), 'room', to)).toEqual(rule(to))
  })

  it('is not copied where there is none, or one already', () => {
    expect(succeedInPushRules({}, from, to)).toBeUndefined()
    expect(succeedInPushRules({ own: { room: [rule('!x:b')], sender: [rule(from)] } }, from, to)).toBeUndefined()
    expect(succeedInPushRules({ own: { room: [rule(from), rule(to)] } }, from, to)).toBeUndefined()
  })

  it('keeps that threads are followed, and what was changed of the rules for them', () => {
    const stored = { followsThreads: true } as const
    expect(pushRulesOf(bob, stored)).toEqual(predefinedRules(bob, { followsThreads: true }))
    expect(storedPushRules(bob, pushRulesOf(bob, stored), { followsThreads: true })).toEqual(stored)
    const off = {
      changed: { '.io.element.msc4306.rule.unsubscribed_thread': { enabled: false, actions: [] } },
      ...stored,
    }
    expect(storedPushRules(bob, pushRulesOf(bob, off), { followsThreads: true })).toEqual(off)
  })

  it('keeps what was changed of a rule that the server may have or not', () => {
    const id = '.org.matrix.msc4028.encrypted_event'
    const stored = { changed: { [id]: { enabled: false, actions: ['notify'] } } }
    const rules = pushRulesOf(bob, stored, true)
    expect(findRule(rules, 'override', id)).toMatchObject({ enabled: false })
    expect(storedPushRules(bob, rules, { pushesEncrypted: true })).toEqual(stored)
    expect(findRule(pushRulesOf(bob, stored), 'override', id)).toBeUndefined()
  })

  it('a room gets its own threads alone', () => {
    const [a, b] = [parseRoomId('!a:x') ?? expect.fail(), parseRoomId('!b:x') ?? expect.fail()]
    expect(withFollowed({}, { [a]: ['$1'] }, a)).toEqual({ followed: ['$1'] })
    expect(withFollowed({}, { [a]: ['$1'] }, b)).toEqual({})
  })
})
