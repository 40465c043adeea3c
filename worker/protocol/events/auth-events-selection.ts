/**
 * Which state events give the sender permission to send an event: its `auth_events`.
 *
 * Spec: server-server-api/#auth-events-selection; rooms/v12 rule 3.2 for the create event.
 */
import { own } from '#protocol/json/json.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'
import { contentString, membershipOf, thirdPartyInviteSigned } from './fields.ts'

/** As much of an event as the selection looks at: a PDU, or what will become one. */
export interface EventToAuthorise {
  readonly type: string
  readonly state_key?: string | undefined
  readonly sender: string
  readonly content: JsonObject
}

/** The places of the room's state to take auth events from, each once. Those that hold no event are left out by the caller. */
export function authEventKeys(rules: RoomVersionRules, event: EventToAuthorise): [type: string, stateKey: string][] {
  if (event.type === 'm.room.create') return []
  const keys: [type: string, stateKey: string][] = []
  // The create event, where the room ID does not name it already.
  if (!rules.roomIdIsCreateHash) keys.push(['m.room.create', ''])
  keys.push(['m.room.power_levels', ''], ['m.room.member', event.sender])
  if (event.type === 'm.room.member') addMembershipKeys(rules, event, keys)
  return keys
}

function addMembershipKeys(rules: RoomVersionRules, event: EventToAuthorise, keys: [string, string][]): void {
  const membership = membershipOf(event)
  const addMember = (userId: string) => {
    if (!keys.some(([type, stateKey]) => type === 'm.room.member' && stateKey === userId)) {
      keys.push(['m.room.member', userId])
    }
  }
  // The target's current member event.
  if (event.state_key !== undefined) addMember(event.state_key)
  // For a join, an invite or a knock the join rules.
  if (membership === 'join' || membership === 'invite' || membership === 'knock') keys.push(['m.room.join_rules', ''])
  // For an invite by third-party identifier the event with its token.
  if (membership === 'invite') {
    const signed = thirdPartyInviteSigned(event)
    const token = signed === undefined ? undefined : own(signed, 'token')
    if (typeof token === 'string') keys.push(['m.room.third_party_invite', token])
  }
  // For a restricted join the member event of whoever let the user in.
  if (membership === 'join' && rules.restrictedJoins) {
    const authoriser = contentString(event, 'join_authorised_via_users_server')
    if (authoriser !== undefined) addMember(authoriser)
  }
}
