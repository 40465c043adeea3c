/**
 * Authorisation of `m.room.third_party_invite`, which invites whoever can prove to be an email address. The invite that
 * comes of it is an `m.room.member`: see `member-third-party-invite.ts`.
 *
 * Spec: rooms/vN "Authorisation rules", rule 7 (v6–v11: 6). That the sender is joined was checked before.
 */
import type { Pdu } from '#protocol/events/pdu.ts'
import type { PowerLevels } from '#protocol/power-levels.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'
import { allow, reject } from './verdict.ts'
import type { Verdict } from './verdict.ts'

export function checkThirdPartyInvite(rules: RoomVersionRules, pdu: Pdu, levels: PowerLevels): Verdict {
  // "Allow if and only if sender's current power level is greater than or equal to the invite level."
  if (levels.userLevel(pdu.sender) >= levels.invite) return allow
  return reject(rules, 'thirdPartyInvite.level', 'the sender may not invite')
}
