/**
 * Authorisation of `m.room.create`. The room's state is not asked.
 *
 * Spec: rooms/vN "Authorisation rules", rule 1. Up to version 11 any number of create events can pass for one room ID:
 * that a room has one is for the room to see to.
 */
import type { Pdu } from '#protocol/events/pdu.ts'
import { serverNameOfRoomId } from '#protocol/identifiers/room-id.ts'
import { parseUserId, serverNameOf } from '#protocol/identifiers/user-id.ts'
import { own } from '#protocol/json/json.ts'
import { rulesOf } from '#protocol/room-versions/rules.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'
import { allow, reject } from './verdict.ts'
import type { Verdict } from './verdict.ts'

export function checkCreate(rules: RoomVersionRules, pdu: Pdu): Verdict {
  // "If it has any prev_events, reject."
  if (pdu.prev_events.length > 0) return reject(rules, 'create.prevEvents', 'the create event has prev_events')

  if (rules.roomIdIsCreateHash) {
    // v12: "If the event has a room_id, reject." The PDU has one always, hence the wire form is asked.
    if (own(pdu.json, 'room_id') !== undefined) return reject(rules, 'create.roomId', 'the create event has a room_id')
  } else if (serverNameOfRoomId(pdu.room_id) !== serverNameOf(pdu.sender)) {
    // v1–v11: "If the domain of the room_id does not match the domain of the sender, reject."
    return reject(rules, 'create.roomId', "the room ID is not of the sender's server")
  }

  // "If content.room_version is present and is not a recognised version, reject."
  const version = own(pdu.content, 'room_version')
  if (version !== undefined && rulesOf(version) === undefined) {
    return reject(rules, 'create.roomVersion', 'the room version is not known here')
  }

  // v1–v10: "If content has no creator property, reject."
  if (!rules.creatorIsSender && own(pdu.content, 'creator') === undefined) {
    return reject(rules, 'create.creator', 'the create event names no creator')
  }

  // v12: "If additional_creators is present in content and is not an array of strings where each string passes the same
  // user ID validation applied to sender, reject."
  if (rules.privilegedCreators) {
    const additional = own(pdu.content, 'additional_creators')
    if (additional !== undefined && !isListOfUserIds(additional)) {
      return reject(rules, 'create.additionalCreators', 'additional_creators is not a list of user IDs')
    }
  }

  return allow
}

function isListOfUserIds(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => parseUserId(item) !== undefined)
}
