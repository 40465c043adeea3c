/**
 * Templates of membership events for users of other servers, who join, leave or knock over us.
 *
 * Spec: server-server-api/#get_matrixfederationv1make_joinroomiduserid, make_leave, make_knock. A template is no event: it
 * has no hash and no signature, and whether the room takes what its server makes of it is judged anew when that comes.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import type { RoomVersion } from '#protocol/room-versions/rules.ts'

import type { ServerIdentity } from '../../../worker/server-identity.ts'
import { composeEvent } from '../author-event.ts'
import { authoriserOf, restrictionOf } from '../restricted-join.ts'
import type { Room } from '../room.ts'
import { isServerAllowedIn } from './server-access.ts'

export interface TemplateRequest {
  readonly origin: ServerName
  readonly user: UserId
  readonly membership: 'join' | 'leave' | 'knock'
  /** Room versions that the asking server knows; undefined: it was not asked. */
  readonly versions?: readonly string[]
  /** Allowed rooms of a restricted room of which the caller knows that the user is joined. */
  readonly memberOf?: readonly RoomId[]
}

export type Template = Outcome<{ room_version: RoomVersion; event: JsonObject }>

/** The template, or why there is none: what the room would refuse gets none. */
export function makeTemplate(room: Room, identity: ServerIdentity, request: TemplateRequest, now: number): Template {
  const { reader } = room
  if (!reader.isKnown() || !reader.isResident() || reader.localJoined().size === 0) return fail('unknown_room')
  // Who may come in rests on members whom we do not know yet.
  if (reader.partial.isOpen) return fail('unknown_room', 'This server has not fully joined the room yet')
  if (!isServerAllowedIn(room, request.origin)) return fail('forbidden', 'The room does not allow that server')
  const { rules } = reader.header()
  if (request.versions && !request.versions.includes(rules.version)) {
    return fail('incompatible_room_version', `The room is of version ${rules.version}`)
  }
  const content = contentOf(room, request)
  if (!content.ok) return content
  const { user } = request
  const draft = { type: 'm.room.member', stateKey: user, sender: user, content: content.content, originServerTs: now }
  const composed = composeEvent(room, identity, draft)
  if (!composed.ok) return composed
  // What makes it an event is the other server's to add.
  const { hashes: _, signatures: __, event_id: ___, ...event } = composed.pdu.json
  return { ok: true, room_version: rules.version, event: { ...event, origin: request.origin } }
}

/** Names who vouches for somebody who may join a restricted room by being in another room. */
function contentOf(room: Room, { user, membership, memberOf }: TemplateRequest): Outcome<{ content: JsonObject }> {
  const content = { membership }
  const current = room.reader.membership(user)
  const allowed = membership === 'join' && current !== 'invite' && current !== 'join' ? restrictionOf(room) : undefined
  if (!allowed) return { ok: true, content }
  if (!allowed.some((roomId) => memberOf?.includes(roomId))) {
    return fail('forbidden', 'You are in none of the rooms whose members may join')
  }
  const authoriser = authoriserOf(room)
  if (!authoriser) return fail('unable_to_grant_join')
  return { ok: true, content: { ...content, join_authorised_via_users_server: authoriser } }
}
