/**
 * Templates of membership events for users of other servers, who join, leave or knock over us.
 *
 * Spec: server-server-api/#get_matrixfederationv1make_joinroomiduserid, make_leave, make_knock. A template is no event: it
 * has no hash and no signature, and whether the room takes what its server makes of it is judged anew when that comes.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import { checkAuthRules } from '#protocol/event-auth/check-auth-rules.ts'
import { authEventKeys } from '#protocol/events/auth-events-selection.ts'
import { buildEvent } from '#protocol/events/build-event.ts'
import { maxPrevEvents } from '#protocol/events/event-format.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import type { RoomVersion } from '#protocol/room-versions/rules.ts'

import type { ServerIdentity } from '../../../worker/server-identity.ts'
import { stateAfterAll } from '../append.ts'
import { authoriserOf, restrictionOf } from '../restricted-join.ts'
import { type Room, stateLookup } from '../room.ts'
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
  if (!isServerAllowedIn(room, request.origin)) return fail('forbidden', 'The room does not allow that server')
  const { rules, roomId, extremities } = reader.header()
  if (request.versions && !request.versions.includes(rules.version)) {
    return fail('incompatible_room_version', `The room is of version ${rules.version}`)
  }
  const content = contentOf(room, request)
  if (!content.ok) return content

  const prevEvents = reader.events(extremities.slice(-maxPrevEvents))
  const state = stateLookup(room, stateAfterAll(room, prevEvents))
  const place = { type: 'm.room.member', state_key: request.user, sender: request.user, content: content.content }
  const authEvents = authEventKeys(rules, place)
    .map(([type, key]) => state(type, key)?.event_id)
    .filter((id) => id !== undefined)
  const { serverName, key, crypto } = identity
  const draft = { ...place, stateKey: request.user, rules, roomId, prevEvents, authEvents, originServerTs: now }
  const lookup = (id: EventId) => reader.eventById(id)?.pdu
  const built = buildEvent({ ...draft, lookup }, serverName, key, crypto)
  if (!built.ok) return fail('bad_json', built.message)
  const verdict = checkAuthRules(rules, built.pdu, state, crypto)
  if (!verdict.ok) return fail('event_not_allowed', verdict.message)
  // What makes it an event is the other server's to add.
  const { hashes: _, signatures: __, event_id: ___, ...event } = built.pdu.json
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
