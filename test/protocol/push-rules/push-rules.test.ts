import { conditionHolds, type PushContext } from '#protocol/push-rules/conditions.ts'
import { evaluatePushRules } from '#protocol/push-rules/evaluate.ts'
import { predefinedRules } from '#protocol/push-rules/predefined-rules.ts'
import { changeRule, deleteRule, putRule, type RuleSet } from '#protocol/push-rules/rule-set.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { describe, expect, it } from 'vitest'

const bob = '@bob:example.org'
const group: PushContext = {
  userId: bob,
  displayName: 'Bob',
  memberCount: 5,
  followsThread: undefined,
  senderMayNotify: () => false,
}
const pair: PushContext = { ...group, memberCount: 2 }
const message = (content: JsonObject, more: JsonObject = {}): JsonObject => ({
  type: 'm.room.message',
  sender: '@alice:example.org',
  room_id: '!room:example.org',
  content: { msgtype: 'm.text', body: 'hello', ...content },
  ...more,
})
const ring = (event: JsonObject, context = group, rules: RuleSet = predefinedRules(bob)) =>
  evaluatePushRules(rules, event, context)

describe('the predefined rules', () => {
  const quiet = { notify: false, highlight: false, tweaks: {} }
  const plain = { notify: true, highlight: false, tweaks: {} }
  const withSound = { notify: true, highlight: false, tweaks: { sound: 'default' } }
  it.each<[string, JsonObject, PushContext, object]>([
    ['a message in a group notifies', message({}), group, plain],
    ['a message in a room of two sounds', message({}), pair, withSound],
    ['an encrypted event in a group notifies', message({}, { type: 'm.room.encrypted' }), group, plain],
    ['an encrypted event in a room of two sounds', message({}, { type: 'm.room.encrypted' }), pair, withSound],
    ['a notice is silent', message({ msgtype: 'm.notice' }), pair, quiet],
    ['an edit is silent', message({ 'm.relates_to': { rel_type: 'm.replace' } }), pair, quiet],
    ['a reaction is silent', message({}, { type: 'm.reaction' }), pair, quiet],
    ['an ACL change is silent', message({}, { type: 'm.room.server_acl', state_key: '' }), pair, quiet],
    ['a join is silent', message({ membership: 'join' }, { type: 'm.room.member', state_key: '@x:y' }), pair, quiet],
    [
      'an invite of me sounds',
      message({ membership: 'invite' }, { type: 'm.room.member', state_key: bob }),
      group,
      withSound,
    ],
    [
      'an invite of another is silent',
      message({ membership: 'invite' }, { type: 'm.room.member', state_key: '@x:y' }),
      group,
      quiet,
    ],
    [
      'a call rings',
      message({}, { type: 'm.call.invite' }),
      group,
      { notify: true, highlight: false, tweaks: { sound: 'ring' } },
    ],
    ['a poll notifies', message({}, { type: 'org.matrix.msc3381.poll.start' }), group, plain],
    ['a vote is silent', message({}, { type: 'org.matrix.msc3381.poll.response' }), pair, quiet],
    [
      'a tombstone is highlighted',
      message({}, { type: 'm.room.tombstone', state_key: '' }),
      group,
      { notify: true, highlight: true, tweaks: { highlight: true } },
    ],
    ['a tombstone that is no state is nothing', message({}, { type: 'm.room.tombstone' }), group, quiet],
    [
      'a mention of me is highlighted and sounds',
      message({ 'm.mentions': { user_ids: [bob] } }),
      group,
      { notify: true, highlight: true, tweaks: { sound: 'default', highlight: true } },
    ],
    ['a mention of another is a message', message({ 'm.mentions': { user_ids: ['@x:y'] } }), group, plain],
    ['my name in the text is no mention', message({ body: 'hi Bob' }), group, plain],
    ['@room by somebody without the level is a message', message({ 'm.mentions': { room: true } }), group, plain],
    [
      '@room by somebody with it is highlighted',
      message({ 'm.mentions': { room: true } }),
      { ...group, senderMayNotify: (key) => key === 'room' },
      { notify: true, highlight: true, tweaks: { highlight: true } },
    ],
    ['what I send myself is silent', message({}, { sender: bob }), pair, quiet],
    ['an unknown event is silent', message({}, { type: 'org.example' }), pair, quiet],
  ])('%s', (_, event, context, verdict) => expect(ring(event, context)).toEqual(verdict))

  it('master silences everything, also what own rules would ring for', () => {
    const own = putRule(predefinedRules(bob), 'override', { rule_id: 'all', conditions: [], actions: ['notify'] }, {})
    const off = own.ok && changeRule(own.rules, 'override', '.m.rule.master', { enabled: true })
    expect(off && off.ok && ring(message({ 'm.mentions': { user_ids: [bob] } }), pair, off.rules)).toEqual(quiet)
  })
})

describe('conditions', () => {
  const holds = (
    condition: JsonObject,
    event: JsonObject = message({
      body: 'An example event.',
      topic: 'Lunch plans',
      'm.federate': true,
      list: ['a', 1, null],
    }),
  ) => conditionHolds(condition, event, group)
  const match = (key: string, pattern: unknown) => holds({ kind: 'event_match', key, pattern: pattern as string })
  it('event_match takes the whole value, in any case', () => {
    expect([
      match('content.topic', 'lunc?*'),
      match('content.topic', 'LUNCH PLANS'),
      match('content.topic', 'lunch'),
    ]).toEqual([true, true, false])
    expect([
      match('content.list', '*'),
      match('content.nothing', '*'),
      match('content.topic', 7),
      match('content.topic.deeper', '*'),
    ]).toEqual([false, false, false, false])
  })
  it('but whole words of a body', () => {
    expect([
      match('content.body', 'ex*ple'),
      match('content.body', 'event'),
      match('content.body', 'even'),
      match('content.body', 'example event'),
    ]).toEqual([true, true, false, true])
  })
  it('event_property_is and _contains compare without casting', () => {
    expect(holds({ kind: 'event_property_is', key: 'content.m\\.federate', value: true })).toBe(true)
    expect(holds({ kind: 'event_property_is', key: 'content.m\\.federate', value: 'true' })).toBe(false)
    expect(holds({ kind: 'event_property_is', key: 'content.list', value: ['a', 1, null] })).toBe(false)
    expect(
      ['a', 1, null, 'b', 0].map((value) => holds({ kind: 'event_property_contains', key: 'content.list', value })),
    ).toEqual([true, true, true, false, false])
  })
  it.each([
    ['2', false],
    ['5', true],
    ['==5', true],
    ['<5', false],
    ['<6', true],
    ['>4', true],
    ['>=5', true],
    ['<=4', false],
    ['many', false],
    ['', false],
  ])('room_member_count %s of five members: %s', (is, expected) =>
    expect(holds({ kind: 'room_member_count', is })).toBe(expected),
  )
  it('contains_display_name finds the name as a word', () => {
    const text = (body: string) => holds({ kind: 'contains_display_name' }, message({ body }))
    expect([text('hey BOB!'), text('bobby'), text('')]).toEqual([true, false, false])
  })
  it.each([
    {},
    { kind: 'nonsense' },
    { kind: 'event_match' },
    { kind: 'room_member_count' },
    { kind: 'sender_notification_permission', key: 3 },
    { kind: 'event_match', key: '__proto__', pattern: '*' },
  ])('%j never holds', (condition) => expect(holds(condition)).toBe(false))
  it('a pattern made to explode is answered like any other', () => {
    expect(match('content.body', `${'*a'.repeat(500)}*b`)).toBe(false)
  })
})

describe('changing rules', () => {
  const ids = (rules: RuleSet) => rules.override.map(({ rule_id }) => rule_id).slice(0, 4)
  const add = (rules: RuleSet, rule_id: string, place = {}) => {
    const result = putRule(rules, 'override', { rule_id, actions: [], conditions: [] }, place)
    if (!result.ok) throw new Error(result.fault)
    return result.rules
  }
  const three = add(add(add(predefinedRules(bob), 'c'), 'b'), 'a')
  it('a new rule comes first, below master alone', () => expect(ids(three)).toEqual(['.m.rule.master', 'a', 'b', 'c']))
  it('before and after move it', () => {
    expect(ids(add(three, 'c', { before: 'a' }))).toEqual(['.m.rule.master', 'c', 'a', 'b'])
    expect(ids(add(three, 'a', { after: 'b' }))).toEqual(['.m.rule.master', 'b', 'a', 'c'])
  })
  it('a replaced rule keeps place and switch', () => {
    const off = changeRule(three, 'override', 'b', { enabled: false })
    const again = off.ok ? add(off.rules, 'b') : three
    expect(ids(again)).toEqual(['.m.rule.master', 'a', 'b', 'c'])
    expect(again.override[2]?.enabled).toBe(false)
  })
  it.each([
    ['a server-default name', putRule(three, 'override', { rule_id: '.mine', actions: [] }, {}), 'bad_rule_id'],
    ['a slash in the name', putRule(three, 'override', { rule_id: 'a/b', actions: [] }, {}), 'bad_rule_id'],
    [
      'an anchor that is not there',
      putRule(three, 'override', { rule_id: 'd', actions: [] }, { before: 'z' }),
      'unknown_anchor',
    ],
    [
      'a server-default anchor',
      putRule(three, 'override', { rule_id: 'd', actions: [] }, { before: '.m.rule.master' }),
      'unknown_anchor',
    ],
    ['deleting a server-default rule', deleteRule(three, 'override', '.m.rule.master'), 'is_default'],
    ['deleting what is not there', deleteRule(three, 'override', 'z'), 'not_found'],
  ])('refuses %s', (_, result, fault) => expect(result).toEqual({ ok: false, fault }))
  it('deleting takes one away', () => {
    const result = deleteRule(three, 'override', 'b')
    expect(result.ok && ids(result.rules).slice(0, 3)).toEqual(['.m.rule.master', 'a', 'c'])
  })
})

describe('invites to calls (MSC4075)', () => {
  const mentioned = { 'm.mentions': { user_ids: [bob] } }
  const everybody = { 'm.mentions': { room: true } }
  const call = (content: JsonObject) => message(content, { type: 'org.matrix.msc4075.rtc.invite' })
  const senior = { ...group, senderMayNotify: () => true }
  const ringing = { notify: true, highlight: false, tweaks: { sound: 'ring' } }
  const quiet = { notify: false, highlight: false, tweaks: {} }
  it.each<[string, JsonObject, PushContext, object]>([
    ['one for me rings', call(mentioned), group, ringing],
    ['one for all rings', call(everybody), senior, ringing],
    ['one for all by somebody who may not call all is silent', call(everybody), group, quiet],
    ['one for somebody else is silent', call({ 'm.mentions': { user_ids: ['@x:y'] } }), senior, quiet],
  ])('%s', (_, event, context, verdict) => expect(ring(event, context)).toEqual(verdict))

  it('other mentions can be silent and calls ring, and the other way round', () => {
    const set = (rules: RuleSet, id: string) => {
      const changed = changeRule(rules, 'override', id, { actions: [] })
      return changed.ok ? changed.rules : expect.fail(changed.fault)
    }
    const calls = set(predefinedRules(bob), '.m.rule.is_user_mention')
    expect([ring(call(mentioned), group, calls), ring(message(mentioned), group, calls)]).toEqual([ringing, quiet])
    const others = set(predefinedRules(bob), '.org.matrix.msc4075.rule.rtc.invite_for_me')
    expect(ring(call(mentioned), group, others)).toEqual(quiet)
    expect(ring(message(mentioned), group, others)).toMatchObject({ notify: true, highlight: true })
  })
})

describe('encrypted events (MSC4028)', () => {
  const encrypted = message({}, { type: 'm.room.encrypted' })
  const ids = (rules: RuleSet) => rules.override.map(({ rule_id }) => rule_id)
  const told = { notify: true, highlight: false, tweaks: {} }
  const quiet = { notify: false, highlight: false, tweaks: {} }
  const mentionsOnly = (rules: RuleSet): RuleSet => ({
    ...rules,
    room: [{ rule_id: '!room:example.org', default: false, enabled: true, actions: [] }],
  })
  const muted = (rules: RuleSet): RuleSet => {
    const conditions = [{ kind: 'event_match', key: 'room_id', pattern: '!room:example.org' }]
    const put = putRule(rules, 'override', { rule_id: '!room:example.org', conditions, actions: [] }, {})
    return put.ok ? put.rules : expect.fail(put.fault)
  }

  it('are told of where only mentions are wanted, so that the device finds them, but not where nothing is', () => {
    const rules = predefinedRules(bob, { pushesEncrypted: true })
    expect(ids(rules).slice(0, 2)).toEqual(['.m.rule.master', '.org.matrix.msc4028.encrypted_event'])
    expect(ring(encrypted, group, mentionsOnly(rules))).toEqual(told)
    expect(ring(message({}), group, mentionsOnly(rules))).toEqual(quiet)
    expect(ring(encrypted, group, muted(rules))).toEqual(quiet)
  })

  it('are not unless the owner of the server wants it', () => {
    expect(ring(encrypted, group, mentionsOnly(predefinedRules(bob)))).toEqual(quiet)
    expect(ids(predefinedRules(bob))).not.toContain('.org.matrix.msc4028.encrypted_event')
  })
})

describe('threads (MSC4306)', () => {
  const following = predefinedRules(bob, { followsThreads: true })
  const followed = { ...group, followsThread: true }
  const passedBy = { ...group, followsThread: false }
  const mention: JsonObject = { 'm.mentions': { user_ids: [bob] } }
  const quiet = { notify: false, highlight: false, tweaks: {} }
  const loud = { notify: true, highlight: false, tweaks: { sound: 'default' } }
  it.each<[string, JsonObject, PushContext, RuleSet, object]>([
    ['what is followed rings', message({}), followed, following, loud],
    ['encrypted too', message({}, { type: 'm.room.encrypted' }), followed, following, loud],
    ['what is not followed is silent', message({}), passedBy, following, quiet],
    [
      'but for a mention',
      message(mention),
      passedBy,
      following,
      { notify: true, highlight: true, tweaks: { sound: 'default', highlight: true } },
    ],
    [
      'outside of threads nothing changes',
      message({}),
      group,
      following,
      { notify: true, highlight: false, tweaks: {} },
    ],
    [
      'an edit in a followed thread is silent',
      message({ 'm.relates_to': { rel_type: 'm.replace' } }),
      followed,
      following,
      quiet,
    ],
    [
      'who never followed any is told as ever',
      message({}),
      passedBy,
      predefinedRules(bob),
      { notify: true, highlight: false, tweaks: {} },
    ],
  ])('%s', (_, event, context, rules, verdict) => {
    expect(ring(event, context, rules)).toEqual(verdict)
  })

  it('the rules stand after those of content and before those of rooms', () => {
    const muted: RuleSet = {
      ...following,
      content: [{ rule_id: 'cake', default: false, enabled: true, actions: ['notify'], pattern: 'hello' }],
      room: [{ rule_id: '!room:example.org', default: false, enabled: true, actions: [] }],
    }
    expect(ring(message({}), passedBy, muted)).toEqual({ notify: true, highlight: false, tweaks: {} })
    expect(ring(message({ body: 'bye' }), followed, muted)).toEqual(loud)
    expect(ring(message({ body: 'bye' }), group, muted)).toEqual(quiet)
  })

  it.each([undefined, null, 'true', 1])('a condition with "subscribed": %s holds never', (subscribed) => {
    const condition: JsonObject = {
      kind: 'io.element.msc4306.thread_subscription',
      ...(subscribed === undefined ? {} : { subscribed }),
    }
    for (const context of [followed, passedBy, group])
      expect(conditionHolds(condition, message({}), context)).toBe(false)
  })
})
