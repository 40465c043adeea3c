/**
 * What the room is called and who may come in: for the server's own use, whoever asks for it there.
 *
 * Spec: client-server-api/#published-room-directory, data/api/client-server/definitions/public_rooms_chunk.yaml. Fields of
 * another type than the specification gives them are absent.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import { contentString, joinRuleOf } from '#protocol/events/fields.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import { isObject, own } from '#protocol/json/json.ts'
import { powerLevelsOf } from '#protocol/power-levels.ts'
import type { RoomVersion } from '#protocol/room-versions/rules.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import { isWorldReadable } from './room-access.ts'
import { currentStateLookup, type Room } from './room.ts'
import { countsOf } from './summary.ts'

export interface RoomFacts {
  readonly version: RoomVersion
  readonly name: string | undefined
  readonly topic: string | undefined
  readonly canonicalAlias: string | undefined
  readonly avatarUrl: string | undefined
  readonly roomType: string | undefined
  readonly joinRule: string
  readonly joinedMembers: number
  readonly worldReadable: boolean
  readonly guestCanJoin: boolean
}

/** The facts of a room that this server is, or was, in; `unknown_room` for all others. */
export function roomFacts(room: Room): Outcome<RoomFacts> {
  if (!isInside(room)) return fail('unknown_room')
  const state = currentStateLookup(room)
  const joinRules = state('m.room.join_rules', '')
  return {
    ok: true,
    version: room.reader.rules.version,
    name: text(state('m.room.name', ''), 'name'),
    topic: plainTopic(state('m.room.topic', '')),
    canonicalAlias: text(state('m.room.canonical_alias', ''), 'alias'),
    avatarUrl: text(state('m.room.avatar', ''), 'url'),
    roomType: text(state('m.room.create', ''), 'type'),
    joinRule: (joinRules && joinRuleOf(joinRules)) ?? 'invite',
    joinedMembers: countsOf(room).joined,
    worldReadable: isWorldReadable(room),
    guestCanJoin: text(state('m.room.guest_access', ''), 'guest_access') === 'can_join',
  }
}

/** Whether a user is joined and has the power for state events of a type. The event itself may be refused all the same. */
export function maySendState(
  room: Room,
  { user, type }: { user: UserId; type: string },
): Outcome<{ allowed: boolean }> {
  if (!isInside(room)) return fail('unknown_room')
  const levels = powerLevelsOf(room.reader.rules, currentStateLookup(room))
  const isJoined = room.reader.membership(user) === 'join'
  return { ok: true, allowed: isJoined && levels.userLevel(user) >= levels.eventLevel(type, true) }
}

/** False for a room known by an invite only: its state is elsewhere. */
function isInside({ reader }: Room): boolean {
  return reader.isKnown() && reader.header().currentGroup !== undefined
}

/** "If not present, null, or empty": each of these events says nothing then. */
function text(event: Pdu | undefined, key: string): string | undefined {
  return (event && contentString(event, key)) || undefined
}

/** "The plain text topic of the room. Omitted if no `text/plain` mimetype exists in `m.room.topic`." */
function plainTopic(event: Pdu | undefined): string | undefined {
  const rich = event && own(event.content, 'm.topic')
  const texts = isObject(rich) ? own(rich, 'm.text') : undefined
  if (!Array.isArray(texts)) return text(event, 'topic')
  const plain = texts.filter(isObject).find((each) => (own(each, 'mimetype') ?? 'text/plain') === 'text/plain')
  const body = plain && own(plain, 'body')
  return typeof body === 'string' && body !== '' ? body : undefined
}
