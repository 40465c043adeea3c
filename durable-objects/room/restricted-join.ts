/**
 * Restricted rooms: whoever is in one of certain other rooms may join, if a member who may invite vouches for it.
 *
 * Spec: client-server-api/#restricted-rooms, server-server-api/#restricted-rooms.
 */
import { joinRuleOf } from '#protocol/events/fields.ts'
import { parseRoomId, type RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, own } from '#protocol/json/json.ts'
import { powerLevelsOf } from '#protocol/power-levels.ts'

import { currentStateLookup, type Room } from './room.ts'

/** The rooms whose members may join; undefined in a room that is not restricted. */
export function restrictionOf({ reader }: Room): RoomId[] | undefined {
  const { rules } = reader
  const joinRules = reader.current('m.room.join_rules', '')
  const joinRule = joinRules && joinRuleOf(joinRules.pdu)
  const isRestricted =
    (rules.restrictedJoins && joinRule === 'restricted') || (rules.knockRestricted && joinRule === 'knock_restricted')
  if (!isRestricted || !joinRules) return undefined
  const allow = own(joinRules.pdu.content, 'allow')
  if (!Array.isArray(allow)) return []
  // "Conditions which the server does not understand are ignored."
  return allow
    .map((condition) =>
      isObject(condition) && own(condition, 'type') === 'm.room_membership'
        ? parseRoomId(own(condition, 'room_id'))
        : undefined,
    )
    .filter((roomId) => roomId !== undefined)
}

/** A local member who may invite; undefined where this server has none and another must be asked. */
export function authoriserOf(room: Room): UserId | undefined {
  const levels = powerLevelsOf(room.reader.rules, currentStateLookup(room))
  return [...room.reader.localJoined()].find((user) => levels.userLevel(user) >= levels.invite)
}
