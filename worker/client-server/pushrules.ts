/**
 * Push rules: what of the events of their rooms a user wants to be notified of.
 *
 * Spec: client-server-api/#push-rules-api, data/api/client-server/pushrules.yaml. The rules live in the user's object, whose
 * stream reports them as account data `m.push_rules`.
 */
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, type JsonObject, type JsonValue, own } from '#protocol/json/json.ts'
import {
  findRule,
  isAction,
  isRuleKind,
  type PushRule,
  type RuleFault,
  type RuleKind,
  type RuleSet,
} from '#protocol/push-rules/rule-set.ts'
import { type PushRuleEdit, pushRulesOf } from '#protocol/push-rules/stored-rules.ts'

import type { Env } from '../env.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { settingsOf } from '../settings.ts'
import { userSyncOf } from '../sync/user-sync.ts'
import { jsonObject } from './parameters.ts'

/** A rule is a few conditions. */
const maxBody = 16 * 1024
const maxRuleId = 255
const options = { auth: 'accessToken', r0: true } as const
const withBody = { ...options, body: jsonObject, maxBody } as const

/** Spec: client-server-api/#get_matrixclientv3pushrules */
export const getPushRules = operation(
  'GET /_matrix/client/v3/pushrules/',
  { ...options, id: 'getPushRules', aliases: ['/_matrix/client/v3/pushrules', '/_matrix/client/r0/pushrules'] },
  async ({ env, requester }) => ({ global: await rulesOf(env, requester.userId) }),
)

/** Spec: client-server-api/#get_matrixclientv3pushrulesglobal */
export const getPushRulesGlobal = operation(
  'GET /_matrix/client/v3/pushrules/global/',
  {
    ...options,
    id: 'getPushRulesGlobal',
    aliases: ['/_matrix/client/v3/pushrules/global', '/_matrix/client/r0/pushrules/global'],
  },
  ({ env, requester }) => rulesOf(env, requester.userId),
)

/** Spec: client-server-api/#get_matrixclientv3pushrulesglobalkindruleid */
export const getPushRule = operation(
  'GET /_matrix/client/v3/pushrules/global/:kind/:ruleId',
  { ...options, id: 'getPushRule' },
  ({ env, requester, path }) => ruleOf(env, requester.userId, path),
)

/** Spec: client-server-api/#put_matrixclientv3pushrulesglobalkindruleid */
export const setPushRule = operation(
  'PUT /_matrix/client/v3/pushrules/global/:kind/:ruleId',
  { ...withBody, id: 'setPushRule' },
  ({ env, requester, path, query, body }) => {
    const kind = kindOf(path.kind)
    const [before, after] = [query.get('before'), query.get('after')]
    const place = { ...(before === null ? {} : { before }), ...(after === null ? {} : { after }) }
    return edit(env, requester.userId, { edit: 'put', kind, rule: ruleFrom(kind, path.ruleId, body), place })
  },
)

/** Spec: client-server-api/#delete_matrixclientv3pushrulesglobalkindruleid */
export const deletePushRule = operation(
  'DELETE /_matrix/client/v3/pushrules/global/:kind/:ruleId',
  { ...options, id: 'deletePushRule' },
  ({ env, requester, path: { kind, ruleId } }) =>
    edit(env, requester.userId, { edit: 'delete', kind: kindOf(kind), ruleId }),
)

/** Spec: client-server-api/#get_matrixclientv3pushrulesglobalkindruleidenabled */
export const isPushRuleEnabled = operation(
  'GET /_matrix/client/v3/pushrules/global/:kind/:ruleId/enabled',
  { ...options, id: 'isPushRuleEnabled' },
  async ({ env, requester, path }) => ({ enabled: (await ruleOf(env, requester.userId, path)).enabled }),
)

/** Spec: client-server-api/#put_matrixclientv3pushrulesglobalkindruleidenabled */
export const setPushRuleEnabled = operation(
  'PUT /_matrix/client/v3/pushrules/global/:kind/:ruleId/enabled',
  { ...withBody, id: 'setPushRuleEnabled' },
  ({ env, requester, path: { kind, ruleId }, body }) => {
    const enabled = own(body, 'enabled')
    if (enabled === undefined) refuse('missing_param', 'enabled is missing')
    if (typeof enabled !== 'boolean') refuse('bad_json', 'enabled must be a boolean')
    return edit(env, requester.userId, { edit: 'change', kind: kindOf(kind), ruleId, change: { enabled } })
  },
)

/** Spec: client-server-api/#get_matrixclientv3pushrulesglobalkindruleidactions */
export const getPushRuleActions = operation(
  'GET /_matrix/client/v3/pushrules/global/:kind/:ruleId/actions',
  { ...options, id: 'getPushRuleActions' },
  async ({ env, requester, path }) => ({ actions: (await ruleOf(env, requester.userId, path)).actions }),
)

/** Spec: client-server-api/#put_matrixclientv3pushrulesglobalkindruleidactions */
export const setPushRuleActions = operation(
  'PUT /_matrix/client/v3/pushrules/global/:kind/:ruleId/actions',
  { ...withBody, id: 'setPushRuleActions' },
  ({ env, requester, path: { kind, ruleId }, body }) =>
    edit(env, requester.userId, { edit: 'change', kind: kindOf(kind), ruleId, change: { actions: actionsFrom(body) } }),
)

async function rulesOf(env: Env, userId: UserId): Promise<RuleSet> {
  return pushRulesOf(userId, await userSyncOf(env, userId).pushRules(), settingsOf(env).pushesEncrypted)
}

/** A rule of a kind that there is not does not exist either: reading knows no other error than 404. */
async function ruleOf(env: Env, userId: UserId, { kind, ruleId }: { kind: string; ruleId: string }): Promise<PushRule> {
  const rule = isRuleKind(kind) ? findRule(await rulesOf(env, userId), kind, ruleId) : undefined
  return rule ?? refuse('not_found', 'There is no such push rule')
}

async function edit(env: Env, userId: UserId, change: PushRuleEdit) {
  const edited = await userSyncOf(env, userId).changePushRules({ userId, edit: change })
  return edited.ok ? {} : refuseFault(edited.fault)
}

function refuseFault(fault: RuleFault): never {
  switch (fault) {
    case 'not_found':
      return refuse('not_found', 'There is no such push rule')
    case 'is_default':
      return refuse('invalid_param', 'Predefined rules can be disabled, not deleted')
    case 'bad_rule_id':
      return refuse('invalid_param', 'A rule ID must not begin with a dot nor have slashes')
    case 'unknown_anchor':
      return refuse('unknown_type', 'The rule named by before or after was not found')
    case 'too_many':
      return refuse('invalid_param', 'There are too many push rules')
  }
}

function kindOf(kind: string): RuleKind {
  return isRuleKind(kind) ? kind : refuse('invalid_param', `${JSON.stringify(kind.slice(0, 80))} is no kind of rule`)
}

/** A rule from a body, with nothing but what belongs to its kind. */
function ruleFrom(kind: RuleKind, ruleId: string, body: JsonObject): Omit<PushRule, 'default' | 'enabled'> {
  if (ruleId.length > maxRuleId) refuse('invalid_param', `A rule ID has at most ${maxRuleId} characters`)
  const rule = { rule_id: ruleId, actions: actionsFrom(body) }
  switch (kind) {
    case 'override':
    case 'underride':
      return { ...rule, conditions: conditionsFrom(own(body, 'conditions')) }
    case 'content': {
      const pattern = own(body, 'pattern')
      if (pattern === undefined) refuse('missing_param', 'A content rule needs a pattern')
      return {
        ...rule,
        pattern: typeof pattern === 'string' ? pattern : refuse('bad_json', 'pattern must be a string'),
      }
    }
    case 'room':
    case 'sender':
      return rule
    case 'postcontent':
      return refuse('invalid_param', "Rules of that kind are the server's alone")
  }
}

function actionsFrom(body: JsonObject): readonly JsonValue[] {
  const actions = own(body, 'actions')
  if (actions === undefined) refuse('missing_param', 'actions is missing')
  if (!Array.isArray(actions) || !actions.every(isAction)) {
    return refuse('bad_json', 'actions must be a list of words and of objects with set_tweak')
  }
  return actions
}

/** "A rule with no conditions always matches." Conditions of a kind that nobody knows are kept, and never hold. */
function conditionsFrom(conditions: JsonValue | undefined): readonly JsonObject[] {
  if (conditions === undefined) return []
  const isCondition = (condition: JsonValue): condition is JsonObject =>
    isObject(condition) && typeof own(condition, 'kind') === 'string'
  if (!Array.isArray(conditions) || !conditions.every(isCondition)) {
    return refuse('bad_json', 'conditions must be a list of objects with a kind')
  }
  return conditions
}
