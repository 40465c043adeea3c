/**
 * Joins.
 *
 * Spec: rooms/vN "Authorisation rules", rule 5.2 (v6, v7: 4.2; v8–v11: 4.3; v12: 5.3).
 */
import { authorisingUserOf } from '#protocol/events/fields.ts'
import { creatorOf } from '#protocol/power-levels.ts'
import { currentJoinRule, currentMembership, isJoined } from './current-state.ts'
import type { MembershipChange } from './membership-change.ts'
import { allow, reject } from './verdict.ts'
import type { Verdict } from './verdict.ts'

export function checkJoin(change: MembershipChange): Verdict {
  const { rules, pdu, target, create, state } = change

  // "If the only previous event is an m.room.create and the state_key is the creator, allow." In version 12 that is the
  // sender of the create event; additional creators join like everybody. The rule does not ask who the sender is.
  const isFirst = pdu.prev_events.length === 1 && pdu.prev_events[0] === create.event_id
  if (isFirst && target === creatorOf(rules, create)) return allow

  // "If the sender does not match state_key, reject."
  if (pdu.sender !== target) return reject(rules, 'member.join.sender', 'nobody joins for another')

  // "If the sender is banned, reject."
  const membership = currentMembership(state, target)
  if (membership === 'ban') return reject(rules, 'member.join.banned', 'the user is banned')

  const joinRule = currentJoinRule(state)
  const isInvited = membership === 'invite' || membership === 'join'

  // "If the join_rule is invite (v7+: or knock) then allow if membership state is invite or join."
  if ((joinRule === 'invite' || (rules.knocking && joinRule === 'knock')) && isInvited) return allow

  // v8+: "If the join_rule is restricted (v10+: or knock_restricted)".
  const isRestricted =
    (rules.restrictedJoins && joinRule === 'restricted') || (rules.knockRestricted && joinRule === 'knock_restricted')
  if (isRestricted) return checkRestrictedJoin(change, isInvited)

  // "If the join_rule is public, allow."
  if (joinRule === 'public') return allow

  // "Otherwise, reject."
  return reject(rules, 'member.join.otherwise', 'the user is not invited')
}

function checkRestrictedJoin({ rules, pdu, state, levels }: MembershipChange, isInvited: boolean): Verdict {
  // "If membership state is join or invite, allow."
  if (isInvited) return allow
  // "If the join_authorised_via_users_server key in content is not a user with sufficient permission to invite other users
  // or is not a joined member of the room, reject."
  const authoriser = authorisingUserOf(pdu)
  if (authoriser === undefined || !isJoined(state, authoriser) || !(levels.userLevel(authoriser) >= levels.invite)) {
    return reject(rules, 'member.join.restricted.authoriser', 'nobody who may invite has authorised the join')
  }
  // "Otherwise, allow."
  return allow
}
