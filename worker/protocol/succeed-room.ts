/**
 * What of a user's account data follows a room to the room that replaces it.
 *
 * Spec: client-server-api/#room-upgrades: "When a user joins the new room, the server should automatically
 * transfer/replicate some of the user's personalized settings such as notifications, tags, etc."
 */
import type { RoomId } from './identifiers/room-id.ts'
import { isObject, type JsonObject, own } from './json/json.ts'

/** `m.direct` with the new room beside the old one, or undefined when the old one is not in it or the new one is. */
export function succeedInDirect(content: JsonObject, from: RoomId, to: RoomId): JsonObject | undefined {
  let changed = false
  const entries = Object.entries(content).map(([user, rooms]) => {
    if (!Array.isArray(rooms) || !rooms.includes(from) || rooms.includes(to)) return [user, rooms]
    changed = true
    return [user, [...rooms, to]]
  })
  return changed ? Object.fromEntries(entries) : undefined
}

/** `m.push_rules` with a copy of the old room's own rule for the new room, or undefined when there is nothing to copy. */
export function succeedInPushRules(content: JsonObject, from: RoomId, to: RoomId): JsonObject | undefined {
  const global = own(content, 'global')
  const rules = isObject(global) ? own(global, 'room') : undefined
  if (!isObject(global) || !Array.isArray(rules)) return undefined
  const ruleOf = (roomId: RoomId) => rules.filter(isObject).find((rule) => own(rule, 'rule_id') === roomId)
  const rule = ruleOf(from)
  if (!rule || ruleOf(to)) return undefined
  return { ...content, global: { ...global, room: [...rules, { ...rule, rule_id: to }] } }
}
