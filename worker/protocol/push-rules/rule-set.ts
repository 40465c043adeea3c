/**
 * A user's push rules: what they are made of, and how one is added, moved, changed or taken away. Pure.
 *
 * Spec: client-server-api/#push-rules. Rules of a kind stand in the order of their priority; server-default ones
 * (`rule_id` begins with a dot) below all of the user's own, but for `.m.rule.master` above everything.
 */
import { isObject, own, type JsonObject, type JsonValue } from '#protocol/json/json.ts'

/** In the order in which they are tried. MSC4306 (unstable) has `postcontent`, whose rules are the server's alone. */
export const ruleKinds = ['override', 'content', 'postcontent', 'room', 'sender', 'underride'] as const
export type RuleKind = (typeof ruleKinds)[number]

// A type alias, since an interface has no index signature and so is no JSON.
export type PushRule = {
  readonly rule_id: string
  readonly default: boolean
  readonly enabled: boolean
  readonly actions: readonly JsonValue[]
  /** `override`, `postcontent` and `underride` only. */
  readonly conditions?: readonly JsonObject[]
  /** `content` only. */
  readonly pattern?: string
}
export type RuleSet = Readonly<Record<RuleKind, readonly PushRule[]>>

export const maxRulesPerKind = 1_000

export type RuleFault = 'not_found' | 'is_default' | 'bad_rule_id' | 'unknown_anchor' | 'too_many'
export type RuleChange =
  | { readonly ok: true; readonly rules: RuleSet }
  | { readonly ok: false; readonly fault: RuleFault }

export function isRuleKind(kind: string): kind is RuleKind {
  return ruleKinds.some((known) => known === kind)
}

export function findRule(rules: RuleSet, kind: RuleKind, ruleId: string): PushRule | undefined {
  return rules[kind].find(({ rule_id }) => rule_id === ruleId)
}

/**
 * Adds or replaces a rule of the user's own. `before` and `after` name another of their own rules; without them a new rule
 * comes first and an old one keeps its place. A replaced rule stays enabled or disabled.
 *
 * Spec: client-server-api/#put_matrixclientv3pushrulesglobalkindruleid
 */
export function putRule(
  rules: RuleSet,
  kind: RuleKind,
  rule: Omit<PushRule, 'default' | 'enabled'>,
  place: { readonly before?: string; readonly after?: string },
): RuleChange {
  if (rule.rule_id === '' || rule.rule_id.startsWith('.') || /[/\\]/.test(rule.rule_id)) return no('bad_rule_id')
  const list = rules[kind]
  const index = list.findIndex(({ rule_id }) => rule_id === rule.rule_id)
  const made: PushRule = { ...rule, default: false, enabled: list[index]?.enabled ?? true }
  const anchor = place.before ?? place.after
  if (anchor === undefined && index !== -1) return yes(rules, kind, list.with(index, made))
  const others = list.filter(({ rule_id }) => rule_id !== rule.rule_id)
  if (others.length >= maxRulesPerKind) return no('too_many')
  if (anchor === undefined) return yes(rules, kind, insertAt(others, firstOwnIndex(others), made))
  const at = others.findIndex(({ rule_id, default: isDefault }) => rule_id === anchor && !isDefault)
  if (at === -1) return no('unknown_anchor')
  return yes(rules, kind, insertAt(others, place.before === undefined ? at + 1 : at, made))
}

/** Takes a rule of the user's own away. Server-default ones can only be disabled. */
export function deleteRule(rules: RuleSet, kind: RuleKind, ruleId: string): RuleChange {
  const rule = findRule(rules, kind, ruleId)
  if (!rule) return no('not_found')
  if (rule.default) return no('is_default')
  return yes(
    rules,
    kind,
    rules[kind].filter((other) => other !== rule),
  )
}

/** Changes `enabled` or `actions` of any rule. */
export function changeRule(
  rules: RuleSet,
  kind: RuleKind,
  ruleId: string,
  change: Partial<Pick<PushRule, 'enabled' | 'actions'>>,
): RuleChange {
  const rule = findRule(rules, kind, ruleId)
  if (!rule) return no('not_found')
  return yes(
    rules,
    kind,
    rules[kind].map((other) => (other === rule ? { ...rule, ...change } : other)),
  )
}

/** True for an action a client may set: a word, or a tweak with its name. Spec: "Actions". */
export function isAction(action: JsonValue): boolean {
  return typeof action === 'string' || (isObject(action) && typeof own(action, 'set_tweak') === 'string')
}

/** `.m.rule.master` is the one server-default rule above the user's own. */
function firstOwnIndex(list: readonly PushRule[]): number {
  return list[0]?.rule_id === '.m.rule.master' ? 1 : 0
}

function insertAt(list: readonly PushRule[], at: number, rule: PushRule): PushRule[] {
  return [...list.slice(0, at), rule, ...list.slice(at)]
}

function yes(rules: RuleSet, kind: RuleKind, list: readonly PushRule[]): RuleChange {
  return { ok: true, rules: { ...rules, [kind]: list } }
}
function no(fault: RuleFault): RuleChange {
  return { ok: false, fault }
}
