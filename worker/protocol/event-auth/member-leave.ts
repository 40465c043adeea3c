/**
 * Leaving, declining an invite, taking back a knock; kicking, taking back an invite, unbanning.
 *
 * Spec: rooms/vN "Authorisation rules", rule 5.4 (v6, v7: 4.4; v8–v11: 4.5; v12: 5.5).
 */
import { currentMembership, isJoined } from './current-state.ts'
import type { MembershipChange } from './membership-change.ts'
import { allow, reject } from './verdict.ts'
import type { Verdict } from './verdict.ts'

export function checkLeave({ rules, pdu, target, state, levels }: MembershipChange): Verdict {
  const membership = currentMembership(state, target)

  // "If the sender matches state_key, allow if and only if that user's current membership state is invite or join (v7+: or
  // knock)."
  if (pdu.sender === target) {
    const mayLeave = membership === 'invite' || membership === 'join' || (rules.knocking && membership === 'knock')
    return mayLeave ? allow : reject(rules, 'member.leave.own', 'the user is not in the room')
  }

  // "If the sender's current membership state is not join, reject."
  if (!isJoined(state, pdu.sender)) return reject(rules, 'member.leave.sender', 'the sender is not joined')

  // "If the target user's current membership state is ban, and the sender's power level is less than the ban level,
  // reject."
  const senderLevel = levels.userLevel(pdu.sender)
  if (membership === 'ban' && senderLevel < levels.ban) {
    return reject(rules, 'member.leave.unban', 'the sender may not unban')
  }

  // "If the sender's power level is greater than or equal to the kick level, and the target user's power level is less
  // than the sender's power level, allow."
  if (senderLevel >= levels.kick && levels.userLevel(target) < senderLevel) return allow

  // "Otherwise, reject."
  return reject(rules, 'member.leave.otherwise', 'the sender may not kick the target')
}
