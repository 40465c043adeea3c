/**
 * What should ring: the actions of the first rule that matches an event. Pure.
 *
 * Spec: client-server-api/#push-rules. Kinds are tried in order, rules of a kind in theirs; the first that is enabled and
 * matches decides. A user's own events never notify.
 */
import { isObject, own, type JsonObject, type JsonValue } from '#protocol/json/json.ts'

import { conditionHolds, eventMatches, type PushContext } from './conditions.ts'
import { ruleKinds, type PushRule, type RuleKind, type RuleSet } from './rule-set.ts'

export interface PushVerdict {
  readonly notify: boolean
  readonly highlight: boolean
  /** Tweaks by name, as they are passed on to a push gateway. */
  readonly tweaks: JsonObject
}

const silent: PushVerdict = { notify: false, highlight: false, tweaks: {} }

export function evaluatePushRules(rules: RuleSet, event: JsonObject, context: PushContext): PushVerdict {
  if (own(event, 'sender') === context.userId) return silent
  for (const kind of ruleKinds) {
    const rule = rules[kind].find((candidate) => candidate.enabled && ruleMatches(kind, candidate, event, context))
    if (rule) return verdictOf(rule.actions)
  }
  return silent
}

function ruleMatches(kind: RuleKind, rule: PushRule, event: JsonObject, context: PushContext): boolean {
  switch (kind) {
    case 'override':
    case 'postcontent':
    case 'underride':
      return (rule.conditions ?? []).every((condition) => conditionHolds(condition, event, context))
    case 'content':
      return eventMatches(event, 'content.body', rule.pattern)
    case 'room':
      return own(event, 'room_id') === rule.rule_id
    case 'sender':
      return own(event, 'sender') === rule.rule_id
  }
}

/** `dont_notify` and `coalesce` of older versions mean nothing. A `highlight` tweak without a value means true. */
function verdictOf(actions: readonly JsonValue[]): PushVerdict {
  if (!actions.includes('notify')) return silent
  const tweaks: Record<string, JsonValue> = {}
  for (const action of actions) {
    const name = isObject(action) ? own(action, 'set_tweak') : undefined
    if (!isObject(action) || typeof name !== 'string' || name === '__proto__') continue
    tweaks[name] = own(action, 'value') ?? (name === 'highlight' ? true : null)
  }
  return { notify: true, highlight: tweaks['highlight'] === true, tweaks }
}
