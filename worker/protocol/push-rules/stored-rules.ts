/**
 * A user's push rules as they are kept: what is their own, and what they changed of the predefined ones. Pure.
 *
 * Spec: client-server-api/#push-rules. A predefined rule that is not in the storage is as the server has it now: a new one
 * appears by itself, and one that is no more goes away with what was changed of it.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { JsonValue } from '#protocol/json/json.ts'

import { predefinedRules, type PushCircumstances } from './predefined-rules.ts'
import {
  changeRule,
  deleteRule,
  findRule,
  type PushRule,
  putRule,
  type RuleChange,
  type RuleKind,
  ruleKinds,
  type RuleSet,
} from './rule-set.ts'

/** Empty for a user who never changed anything. */
export interface StoredPushRules {
  /** The user's own, in order. */
  readonly own?: { readonly [Kind in RuleKind]?: readonly PushRule[] }
  /** What differs from the predefined rules, by rule ID. */
  readonly changed?: Readonly<Record<string, Pick<PushRule, 'enabled' | 'actions'>>>
  /** A client of the user has followed a thread: the rules for threads hold. */
  readonly followsThreads?: true
}

/** What a room needs to judge its events by. */
export interface RoomPushRules extends StoredPushRules {
  /** The roots of the room's threads that the user follows. */
  readonly followed?: readonly string[]
}

/** The threads that a user follows, by room. */
export type FollowedThreads = Readonly<Record<string, readonly string[]>>

/** The rules as a room gets them. */
export function withFollowed(rules: StoredPushRules, followed: FollowedThreads, roomId: RoomId): RoomPushRules {
  const here = Object.hasOwn(followed, roomId) ? followed[roomId] : undefined
  return here ? { ...rules, followed: here } : rules
}

/** One change that a client asks for. */
export type PushRuleEdit =
  | {
      readonly edit: 'put'
      readonly kind: RuleKind
      readonly rule: Omit<PushRule, 'default' | 'enabled'>
      readonly place: { readonly before?: string; readonly after?: string }
    }
  | { readonly edit: 'delete'; readonly kind: RuleKind; readonly ruleId: string }
  | {
      readonly edit: 'change'
      readonly kind: RuleKind
      readonly ruleId: string
      readonly change: { readonly enabled?: boolean; readonly actions?: readonly JsonValue[] }
    }

/** All rules of a user. `pushesEncrypted` is this server's setting. */
export function pushRulesOf(userId: string, stored: StoredPushRules, pushesEncrypted = false): RuleSet {
  const predefined = predefinedRules(userId, { followsThreads: stored.followsThreads === true, pushesEncrypted })
  const changed = new Map(Object.entries(stored.changed ?? {}))
  const all = (kind: RuleKind): PushRule[] => {
    const rules = predefined[kind].map((rule) => ({ ...rule, ...changed.get(rule.rule_id) }))
    // "`.m.rule.master` … always has a higher priority than user-defined rules", which all others have not.
    const first = rules[0]?.rule_id === '.m.rule.master' ? 1 : 0
    return [...rules.slice(0, first), ...(stored.own?.[kind] ?? []), ...rules.slice(first)]
  }
  return {
    override: all('override'),
    content: all('content'),
    postcontent: all('postcontent'),
    room: all('room'),
    sender: all('sender'),
    underride: all('underride'),
  }
}

/** What has to be kept of the rules: `pushRulesOf` makes the same of it. */
export function storedPushRules(
  userId: string,
  rules: RuleSet,
  circumstances: PushCircumstances = {},
): StoredPushRules {
  const predefined = predefinedRules(userId, circumstances)
  const own: { [Kind in RuleKind]?: PushRule[] } = {}
  const changed: Record<string, Pick<PushRule, 'enabled' | 'actions'>> = {}
  for (const kind of ruleKinds) {
    const mine = rules[kind].filter((rule) => !rule.default)
    if (mine.length > 0) own[kind] = mine
    for (const rule of rules[kind]) {
      const usual = rule.default ? findRule(predefined, kind, rule.rule_id) : undefined
      const { enabled, actions } = rule
      if (usual && JSON.stringify([usual.enabled, usual.actions]) !== JSON.stringify([enabled, actions])) {
        changed[rule.rule_id] = { enabled, actions }
      }
    }
  }
  return {
    ...(Object.keys(own).length > 0 ? { own } : {}),
    ...(Object.keys(changed).length > 0 ? { changed } : {}),
    ...(circumstances.followsThreads ? { followsThreads: true } : {}),
  }
}

/** The rules with one change made. */
export function editPushRules(rules: RuleSet, edit: PushRuleEdit): RuleChange {
  switch (edit.edit) {
    case 'put':
      return putRule(rules, edit.kind, edit.rule, edit.place)
    case 'delete':
      return deleteRule(rules, edit.kind, edit.ruleId)
    case 'change':
      return changeRule(rules, edit.kind, edit.ruleId, edit.change)
  }
}

/**
 * The storage with a copy of a room's own rule for the room that replaces it; undefined when there is nothing to copy.
 * Spec: client-server-api/#room-upgrades.
 */
export function succeedInPushRules(stored: StoredPushRules, from: RoomId, to: RoomId): StoredPushRules | undefined {
  const rooms = stored.own?.room ?? []
  const rule = rooms.find(({ rule_id }) => rule_id === from)
  if (!rule || rooms.some(({ rule_id }) => rule_id === to)) return undefined
  return { ...stored, own: { ...stored.own, room: [...rooms, { ...rule, rule_id: to }] } }
}
