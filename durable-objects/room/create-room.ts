/**
 * The birth of a room: its create event and everything after it, in one turn. One refused event refuses the room, and then
 * the object has no table.
 *
 * Spec: client-server-api/#post_matrixclientv3createroom. The plan is made in the Worker (worker/protocol/create-room-plan.ts).
 */
import { fail, type Failure, type Outcome } from '#protocol/errors.ts'
import { checkAuthRules } from '#protocol/event-auth/check-auth-rules.ts'
import { parsePdu } from '#protocol/events/event-format.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { type RoomVersion, rulesOf } from '#protocol/room-versions/rules.ts'

import type { ServerIdentity } from '../../worker/server-identity.ts'
import { append } from './append.ts'
import { authorEvent } from './author-event.ts'
import type { Room } from './room.ts'
import { outcomes } from './stored-event.ts'

export interface CreateRequest {
  readonly roomId: RoomId
  readonly version: RoomVersion
  readonly creator: UserId
  /** The finished, signed create event: in room version 12 its hash is the room ID. */
  readonly create: JsonObject
  /** What to send after it, in order; by the creator unless said otherwise. */
  readonly events: readonly {
    readonly type: string
    readonly state_key: string
    readonly content: JsonObject
    readonly sender?: UserId
  }[]
}

export interface Created {
  /** Local users who are now in the room, or invited. */
  readonly changedMembers: readonly UserId[]
}

/** Creates the room. Fails with `room_exists` for an ID that is taken, or with what the room's rules say of an event. */
export function createRoom(
  room: Room,
  identity: ServerIdentity,
  request: CreateRequest,
  now: number,
): Outcome<Created> {
  if (room.reader.isKnown()) return fail('room_exists')
  return room.transactor.turn((): Outcome<Created> => {
    const changedMembers = new Set<UserId>()
    const refused = appendCreate(room, request)
    if (refused) return refused
    for (const { type, state_key: stateKey, content, sender = request.creator } of request.events) {
      const sent = authorEvent(room, identity, { type, stateKey, content, sender, originServerTs: now })
      if (!sent.ok) return fail(sent.reason, `${type}: ${sent.message ?? sent.reason}`)
      for (const user of sent.changedMembers) changedMembers.add(user)
    }
    return { ok: true, changedMembers: [...changedMembers] }
  })
}

function appendCreate(room: Room, { roomId, version, creator, create }: CreateRequest): Failure | undefined {
  const rules = rulesOf(version)
  if (!rules) return fail('unsupported_room_version')
  const parsed = parsePdu(rules, create, room.crypto)
  if (!parsed.ok) return fail('bad_json', parsed.message)
  const { pdu } = parsed
  if (pdu.type !== 'm.room.create' || pdu.state_key !== '' || pdu.room_id !== roomId || pdu.sender !== creator) {
    return fail('bad_json', 'That is not the create event of this room')
  }
  const verdict = checkAuthRules(rules, pdu, () => undefined, room.crypto)
  if (!verdict.ok) return fail('event_not_allowed', verdict.message)
  room.transactor.beginRoom(roomId, rules)
  const stateBefore = room.groups.empty()
  append(room, { pdu, outcome: outcomes.accepted, stateBefore, source: 'own' })
  return undefined
}
