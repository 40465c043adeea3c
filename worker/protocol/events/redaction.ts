/**
 * Redaction: what is left of an event when everything goes that authorisation and the room's graph can do without.
 *
 * Spec: client-server-api/#redactions, rooms/v1, v6, v8, v9, v11 "Redactions". Signatures and event IDs are taken of this
 * form, so a key too many or too few here splits a room from the rest of the federation.
 */
import { isObject, own } from '#protocol/json/json.ts'
import type { JsonObject, JsonValue } from '#protocol/json/json.ts'
import type { RedactionRules, RoomVersionRules } from '#protocol/room-versions/rules.ts'

const topLevelKeys = [
  'event_id',
  'type',
  'room_id',
  'sender',
  'state_key',
  'hashes',
  'signatures',
  'depth',
  'prev_events',
  'auth_events',
  'origin_server_ts',
] as const
/** Kept up to room version 10. */
const topLevelKeysBeforeV11 = [...topLevelKeys, 'prev_state', 'origin', 'membership'] as const

const powerLevelKeys = [
  'ban',
  'events',
  'events_default',
  'kick',
  'redact',
  'state_default',
  'users',
  'users_default',
] as const

/**
 * The redacted form, a new object; values are shared with the original. `unsigned` goes, `content` is always there.
 * Never throws: fields of the wrong type are kept or dropped by name alone.
 */
export function redact(rules: RoomVersionRules, json: JsonObject): JsonObject {
  const redacted = pick(json, rules.redaction.v11 ? topLevelKeys : topLevelKeysBeforeV11)
  const type = own(json, 'type')
  const content = own(json, 'content')
  redacted['content'] =
    typeof type === 'string' && isObject(content) ? redactContent(rules.redaction, type, content) : {}
  // Room version 12: the create event's room ID is its own hash, so it cannot be part of what is hashed.
  if (rules.roomIdIsCreateHash && type === 'm.room.create') delete redacted['room_id']
  return redacted
}

function redactContent(rules: RedactionRules, type: string, content: JsonObject): JsonObject {
  switch (type) {
    case 'm.room.member':
      return redactMember(rules, content)
    case 'm.room.create':
      return rules.v11 ? content : pick(content, ['creator'])
    case 'm.room.join_rules':
      return pick(content, rules.keepsJoinRuleAllow ? ['join_rule', 'allow'] : ['join_rule'])
    case 'm.room.power_levels':
      return pick(content, rules.v11 ? [...powerLevelKeys, 'invite'] : powerLevelKeys)
    case 'm.room.aliases':
      return rules.keepsAliases ? pick(content, ['aliases']) : {}
    case 'm.room.history_visibility':
      return pick(content, ['history_visibility'])
    case 'm.room.redaction':
      return rules.v11 ? pick(content, ['redacts']) : {}
    default:
      return {}
  }
}

function redactMember(rules: RedactionRules, content: JsonObject): JsonObject {
  const kept = pick(
    content,
    rules.keepsAuthorisingServer ? ['membership', 'join_authorised_via_users_server'] : ['membership'],
  )
  const invite = own(content, 'third_party_invite')
  // Of an object without `signed` an empty one is left; anything that is no object goes.
  if (rules.v11 && isObject(invite)) kept['third_party_invite'] = pick(invite, ['signed'])
  return kept
}

function pick(object: JsonObject, keys: readonly string[]): Record<string, JsonValue> {
  const picked: Record<string, JsonValue> = {}
  for (const key of keys) {
    const value = own(object, key)
    if (value !== undefined) picked[key] = value
  }
  return picked
}
