/**
 * Bans. The target's membership does not matter: who was never here can be banned.
 *
 * Spec: rooms/vN "Authorisation rules", rule 5.5 (v6, v7: 4.5; v8–v11: 4.6; v12: 5.6).
 */
import { isJoined } from './current-state.ts'
import type { MembershipChange } from './membership-change.ts'
import { allow, reject } from './verdict.ts'
import type { Verdict } from './verdict.ts'

export function checkBan({ rules, pdu, target, state, levels }: MembershipChange): Verdict {
  // "If the sender's current membership state is not join, reject."
  if (!isJoined(state, pdu.sender)) return reject(rules, 'member.ban.sender', 'the sender is not joined')

  // "If the sender's power level is greater than or equal to the ban level, and the target user's power level is less than
  // the sender's power level, allow."
  const senderLevel = levels.userLevel(pdu.sender)
  if (senderLevel >= levels.ban && levels.userLevel(target) < senderLevel) return allow

  // "Otherwise, reject."
  return reject(rules, 'member.ban.otherwise', 'the sender may not ban the target')
}
