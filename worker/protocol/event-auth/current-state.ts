/**
 * What the rules ask of the room's current state besides power levels: memberships and the join rule.
 *
 * Spec: rooms/vN "Authorisation rules", client-server-api/#mroommember, #mroomjoin_rules.
 */
import { joinRuleOf, membershipOf } from '#protocol/events/fields.ts'
import type { StateLookup } from '#protocol/events/pdu.ts'

/** The user's current membership; undefined for somebody who never was here, or whose event has none. */
export function currentMembership(state: StateLookup, userId: string): string | undefined {
  const event = state('m.room.member', userId)
  return event === undefined ? undefined : membershipOf(event)
}

export function isJoined(state: StateLookup, userId: string): boolean {
  return currentMembership(state, userId) === 'join'
}

/**
 * The current join rule. A room without `m.room.join_rules` is for those who are invited; one whose event cannot be read
 * is for nobody.
 */
export function currentJoinRule(state: StateLookup): string | undefined {
  const event = state('m.room.join_rules', '')
  return event === undefined ? 'invite' : joinRuleOf(event)
}
