/**
 * Authorisation of `m.room.member`: what all memberships share. Each membership has a file of its own.
 *
 * Spec: rooms/vN "Authorisation rules", rule 5 (v6–v11: 4).
 */
import { authorisingUserOf, membershipOf } from '#protocol/events/fields.ts'
import type { Pdu, StateLookup } from '#protocol/events/pdu.ts'
import { parseUserId, serverNameOf } from '#protocol/identifiers/user-id.ts'
import { own } from '#protocol/json/json.ts'
import { powerLevelsOf } from '#protocol/power-levels.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'
import type { Crypto } from '#protocol/signing/crypto.ts'
import { signatureKeyIds } from '#protocol/signing/sign-json.ts'
import { checkBan } from './member-ban.ts'
import type { MembershipChange } from './membership-change.ts'
import { checkInvite } from './member-invite.ts'
import { checkJoin } from './member-join.ts'
import { checkKnock } from './member-knock.ts'
import { checkLeave } from './member-leave.ts'
import { reject } from './verdict.ts'
import type { Verdict } from './verdict.ts'

export function checkMember(
  rules: RoomVersionRules,
  pdu: Pdu,
  create: Pdu,
  state: StateLookup,
  crypto: Crypto,
): Verdict {
  // "If there is no state_key property, or no membership property in content, reject." The target user is "the user given
  // by the state_key", so there has to be one.
  const target = parseUserId(pdu.state_key)
  if (target === undefined) return reject(rules, 'member.envelope', 'the state key is not a user ID')
  const membership = membershipOf(pdu)
  if (membership === undefined) return reject(rules, 'member.envelope', 'there is no membership')

  // v8+: "If content has a join_authorised_via_users_server property: if the event is not validly signed by the homeserver
  // of the user ID denoted by the key, reject." Whether a signature holds was checked on receipt, by `requiredSigners`,
  // with keys that are not at hand here; that there is one still has to hold.
  if (rules.restrictedJoins && own(pdu.content, 'join_authorised_via_users_server') !== undefined) {
    const authoriser = authorisingUserOf(pdu)
    if (authoriser === undefined || signatureKeyIds(pdu.json, serverNameOf(authoriser)).length === 0) {
      return reject(rules, 'member.authoriser.unsigned', 'the authorising server has not signed')
    }
  }

  const change: MembershipChange = { rules, pdu, target, create, state, levels: powerLevelsOf(rules, state) }
  switch (membership) {
    case 'join':
      return checkJoin(change)
    case 'invite':
      return checkInvite(change, crypto)
    case 'leave':
      return checkLeave(change)
    case 'ban':
      return checkBan(change)
    case 'knock':
      // Before version 7 nobody knows of it.
      if (rules.knocking) return checkKnock(change)
      break
  }
  // "Otherwise, the membership is unknown. Reject."
  return reject(rules, 'member.otherwise', 'unknown membership')
}
