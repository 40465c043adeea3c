/**
 * Single fields of events that many rules ask for. Each answers undefined where the field is absent or of another type,
 * and reads nothing else.
 */
import { parseUserId } from '#protocol/identifiers/user-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, own } from '#protocol/json/json.ts'
import type { JsonObject } from '#protocol/json/json.ts'

interface HasContent {
  readonly type: string
  readonly content: JsonObject
}

/** A string in an event's content. */
export function contentString(event: { readonly content: JsonObject }, key: string): string | undefined {
  const value = own(event.content, key)
  return typeof value === 'string' ? value : undefined
}

/** `membership` of an `m.room.member`; undefined for every other type. */
export function membershipOf(event: HasContent): string | undefined {
  return event.type === 'm.room.member' ? contentString(event, 'membership') : undefined
}

/** `join_rule` of an `m.room.join_rules`. */
export function joinRuleOf(event: HasContent): string | undefined {
  return event.type === 'm.room.join_rules' ? contentString(event, 'join_rule') : undefined
}

/** `history_visibility` of an `m.room.history_visibility`. */
export function historyVisibilityOf(event: HasContent): string | undefined {
  return event.type === 'm.room.history_visibility' ? contentString(event, 'history_visibility') : undefined
}

/** The room version that an `m.room.create` asks for: `1` when it names none. Undefined for other events and types. */
export function roomVersionOf(event: HasContent): string | undefined {
  if (event.type !== 'm.room.create') return undefined
  return own(event.content, 'room_version') === undefined ? '1' : contentString(event, 'room_version')
}

/** True for an invite that was made by third-party identifier and is now bound to a user. */
export function isThirdPartyInvite(event: HasContent): boolean {
  return membershipOf(event) === 'invite' && own(event.content, 'third_party_invite') !== undefined
}

/** `content.third_party_invite.signed` of an invite. */
export function thirdPartyInviteSigned(event: HasContent): JsonObject | undefined {
  if (!isThirdPartyInvite(event)) return undefined
  const invite = own(event.content, 'third_party_invite')
  const signed = isObject(invite) ? own(invite, 'signed') : undefined
  return isObject(signed) ? signed : undefined
}

/** The user by whose leave somebody joins a restricted room. */
export function authorisingUserOf(event: HasContent): UserId | undefined {
  return parseUserId(own(event.content, 'join_authorised_via_users_server'))
}

/** True for events that hold a place in the room's state. */
export function isStateEvent(event: { readonly state_key: string | undefined }): boolean {
  return event.state_key !== undefined
}
