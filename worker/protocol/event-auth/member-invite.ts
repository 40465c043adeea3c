/**
 * Invites.
 *
 * Spec: rooms/vN "Authorisation rules", rule 5.3 (v6, v7: 4.3; v8–v11: 4.4; v12: 5.4).
 */
import { isThirdPartyInvite } from '#protocol/events/fields.ts'
import type { Crypto } from '#protocol/signing/crypto.ts'
import { currentMembership, isJoined } from './current-state.ts'
import { checkInviteByThirdParty } from './member-third-party-invite.ts'
import type { MembershipChange } from './membership-change.ts'
import { allow, reject } from './verdict.ts'
import type { Verdict } from './verdict.ts'

export function checkInvite(change: MembershipChange, crypto: Crypto): Verdict {
  const { rules, pdu, target, state, levels } = change

  // "If content has a third_party_invite property".
  if (isThirdPartyInvite(pdu)) return checkInviteByThirdParty(change, crypto)

  // "If the sender's current membership state is not join, reject."
  if (!isJoined(state, pdu.sender)) return reject(rules, 'member.invite.sender', 'the sender is not joined')

  // "If target user's current membership state is join or ban, reject."
  const membership = currentMembership(state, target)
  if (membership === 'join' || membership === 'ban') {
    return reject(rules, 'member.invite.target', `the target's membership is ${membership}`)
  }

  // "If the sender's power level is greater than or equal to the invite level, allow."
  if (levels.userLevel(pdu.sender) >= levels.invite) return allow

  // "Otherwise, reject."
  return reject(rules, 'member.invite.otherwise', 'the sender may not invite')
}
