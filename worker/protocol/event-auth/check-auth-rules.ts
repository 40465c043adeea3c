/**
 * The authorisation rules, in the spec's order: may this event be sent in a room with this state?
 *
 * Spec: rooms/vN "Authorisation rules". An event is asked about several times, against several states (on receipt, in
 * state resolution); the rules about its own `auth_events` stand apart in `auth-events.ts`. Signatures and hashes were
 * checked before.
 *
 * Everything fails closed. A field that a rule mentions and that has the wrong type rejects; a field that no rule
 * mentions is not looked at. An exception (only `state` can throw one) accepts nothing.
 */
import type { Pdu, StateLookup } from '#protocol/events/pdu.ts'
import { serverNameOf } from '#protocol/identifiers/user-id.ts'
import { own } from '#protocol/json/json.ts'
import { powerLevelsOf } from '#protocol/power-levels.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'
import type { Crypto } from '#protocol/signing/crypto.ts'
import { checkAliases } from './aliases.ts'
import { checkCreate } from './create.ts'
import { isJoined } from './current-state.ts'
import { checkMember } from './member.ts'
import { checkPowerLevels } from './power-levels.ts'
import { checkRedaction } from './redaction.ts'
import { mayUseStateKey } from './state-key.ts'
import { checkThirdPartyInvite } from './third-party-invite.ts'
import { allow, reject } from './verdict.ts'
import type { Verdict } from './verdict.ts'

/**
 * Judges an event against a state. `crypto` verifies the signature of an identity server on third-party invites.
 * Rejections carry the number of the rule in the room version.
 */
export function checkAuthRules(rules: RoomVersionRules, pdu: Pdu, state: StateLookup, crypto: Crypto): Verdict {
  // 1. "If type is m.room.create".
  if (pdu.type === 'm.room.create') return checkCreate(rules, pdu)

  // Without a create event there is no room. Rule 2 has seen to it for the auth events; a state without one is no better.
  const create = state('m.room.create', '')
  if (create === undefined) {
    return reject(rules, rules.roomIdIsCreateHash ? 'roomId' : 'authEvents.noCreate', 'the room has no create event')
  }

  // 3 (v12: 4). "If the content of the m.room.create event in the room state has the property m.federate set to false,
  // and the sender domain of the event does not match the sender domain of the create event, reject." What is not a
  // boolean closes the room as well.
  const federate = own(create.content, 'm.federate')
  if (federate !== undefined && federate !== true && serverNameOf(pdu.sender) !== serverNameOf(create.sender)) {
    return reject(rules, 'federate', 'the room is not federated')
  }

  // 4 (v1–v5). "If type is m.room.aliases".
  if (rules.specialAliasesRule && pdu.type === 'm.room.aliases') return checkAliases(rules, pdu)

  // 5 (v6–v11: 4). "If type is m.room.member".
  if (pdu.type === 'm.room.member') return checkMember(rules, pdu, create, state, crypto)

  // 6 (v6–v11: 5). "If the sender's current membership state is not join, reject."
  if (!isJoined(state, pdu.sender)) return reject(rules, 'joined', 'the sender is not joined')

  const levels = powerLevelsOf(rules, state)

  // 7 (v6–v11: 6). "If type is m.room.third_party_invite".
  if (pdu.type === 'm.room.third_party_invite') return checkThirdPartyInvite(rules, pdu, levels)

  // 8 (v6–v11: 7). "If the event type's required power level is greater than the sender's power level, reject."
  const senderLevel = levels.userLevel(pdu.sender)
  const requiredLevel = levels.eventLevel(pdu.type, pdu.state_key !== undefined)
  if (requiredLevel > senderLevel) {
    return reject(rules, 'requiredLevel', `${pdu.type} takes level ${requiredLevel}, the sender has ${senderLevel}`)
  }

  // 9 (v6–v11: 8). "If the event has a state_key that starts with an @ and does not match the sender, reject."
  if (!mayUseStateKey(rules, pdu, levels)) return reject(rules, 'stateKey', 'the state key is another user')

  // 10 (v6–v11: 9). "If type is m.room.power_levels".
  if (pdu.type === 'm.room.power_levels') return checkPowerLevels(rules, pdu, create, state, senderLevel)

  // 11 (v1, v2). "If type is m.room.redaction".
  if (rules.specialRedactionRule && pdu.type === 'm.room.redaction') return checkRedaction(rules, pdu, levels)

  // 12 (v3–v5, v12: 11; v6–v11: 10). "Otherwise, allow."
  return allow
}
