/**
 * Knocks.
 *
 * Spec: rooms/v7 "Authorisation rules", rule 4.6 (v8–v11: 4.7; v12: 5.7).
 */
import { currentJoinRule, currentMembership } from './current-state.ts'
import type { MembershipChange } from './membership-change.ts'
import { allow, reject } from './verdict.ts'
import type { Verdict } from './verdict.ts'

export function checkKnock({ rules, pdu, target, state }: MembershipChange): Verdict {
  // "If the join_rule is anything other than knock (v10+: or knock_restricted), reject."
  const joinRule = currentJoinRule(state)
  if (joinRule !== 'knock' && !(rules.knockRestricted && joinRule === 'knock_restricted')) {
    return reject(rules, 'member.knock.joinRule', 'the room takes no knocks')
  }

  // "If sender does not match state_key, reject."
  if (pdu.sender !== target) return reject(rules, 'member.knock.sender', 'nobody knocks for another')

  // "If the sender's current membership is not ban, invite, or join, allow."
  const membership = currentMembership(state, pdu.sender)
  if (membership !== 'ban' && membership !== 'invite' && membership !== 'join') return allow

  // "Otherwise, reject."
  return reject(rules, 'member.knock.otherwise', `the membership is ${membership}`)
}
