/**
 * Changing memberships: joins, invites, knocks, leaves, kicks, bans and unbans of and by local users.
 *
 * Spec: client-server-api/#room-membership. The authorisation rules decide what is allowed; here an endpoint's name is
 * turned into an event, and what the rules cannot know is checked: which of the ways to set `leave` is meant, and whose word
 * a restricted join rests on.
 */
import { fail, type Failure, type Outcome } from '#protocol/errors.ts'
import { membershipOf } from '#protocol/events/fields.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { noticesUser } from '#protocol/server-notices.ts'

import type { ServerIdentity } from '../../worker/server-identity.ts'
import { noteRelayed } from './federation/news-for-servers.ts'
import { authorEvent, unchanged, type Written } from './author-event.ts'
import type { Membership } from './reader.ts'
import { authoriserOf, restrictionOf } from './restricted-join.ts'
import type { Room } from './room.ts'
import { sameJson } from './same-json.ts'
import type { StoredEvent } from './stored-event.ts'

export interface MembershipRequest {
  readonly sender: UserId
  readonly target: UserId
  readonly membership: Membership
  /**
   * Which endpoint asks: `leave` has several meanings, and a new profile is for those who are joined. Absent: whatever the
   * rules allow.
   */
  readonly action?: 'kick' | 'ban' | 'unban' | 'profile'
  readonly reason?: string
  /** Of the target, where it is a local user who joins, knocks or is invited. */
  readonly profile?: { readonly displayname?: string; readonly avatar_url?: string }
  /** More for the content; what a client puts there goes before the profile. */
  readonly content?: JsonObject
  readonly isDirect?: boolean
  /** Rooms of which the caller knows that the target is joined: for restricted joins. */
  readonly memberOf?: readonly RoomId[]
}

/** Changes a membership. One that is as wanted already is left alone: its event ID is returned. */
export function setMembership(
  room: Room,
  identity: ServerIdentity,
  request: MembershipRequest,
  now: number,
): Outcome<Written> {
  const { reader, transactor } = room
  if (!reader.isKnown()) return fail('unknown_room')
  const { sender, target, action } = request
  const current = reader.current('m.room.member', target)
  const refused = checkAction(action, reader.membership(target)) ?? checkNotices(room, request, current)
  if (refused) return refused
  const content = contentOf(request)
  if (current?.sender === sender && sameJson(withoutAuthoriser(current.pdu.content), content)) return unchanged(current)
  const authorised = authorise(room, request, current, content)
  if (!authorised.ok) return authorised
  const draft = { type: 'm.room.member', stateKey: target, sender, content: authorised.content, originServerTs: now }
  return transactor.turn(() => {
    const written = authorEvent(room, identity, draft)
    // An invite in the name of another server's user, by an identity server's word: nobody else sends it on.
    if (written.ok && !reader.isLocal(sender)) noteRelayed(room, written.event_id)
    return written
  })
}

/** "Kick" and "unban" both set `leave`: neither must do the work of the other. A new profile brings nobody back. */
function checkAction(action: MembershipRequest['action'], membership: Membership | undefined): Failure | undefined {
  const isPresent = membership === 'join' || membership === 'invite' || membership === 'knock'
  if (action === 'kick' && !isPresent) return fail('event_not_allowed', 'That user is not in the room')
  if (action === 'profile' && membership !== 'join') return fail('not_in_room')
  if (action === 'unban' && membership !== 'ban') return fail('event_not_allowed', 'That user is not banned')
  return undefined
}

/** "Users … cannot reject invites to the server notices room." Spec: client-server-api/#server-notices */
function checkNotices(
  { serverName }: Room,
  { sender, target, membership }: MembershipRequest,
  current: StoredEvent | undefined,
): Failure | undefined {
  const isRejection = membership === 'leave' && sender === target && current?.sender === noticesUser(serverName)
  return isRejection && membershipOf(current.pdu) === 'invite' ? fail('cannot_leave_server_notice_room') : undefined
}

/** The content of the member event that a request asks for. */
export function contentOf({ membership, reason, profile, content, isDirect }: MembershipRequest): JsonObject {
  return {
    ...profile,
    ...withoutAuthoriser(content ?? {}),
    ...(reason === undefined ? {} : { reason }),
    ...(isDirect === true ? { is_direct: true } : {}),
    membership,
  }
}

/**
 * Whose word a join rests on is never the client's to say: this server would sign it, and so vouch for conditions that
 * nobody has checked.
 */
function withoutAuthoriser(content: JsonObject): JsonObject {
  const { join_authorised_via_users_server: _, ...rest } = content
  return rest
}

/** Names the local user by whose power somebody joins who meets the conditions of a restricted room. */
function authorise(
  room: Room,
  { membership, target, memberOf }: MembershipRequest,
  current: StoredEvent | undefined,
  content: JsonObject,
): Outcome<{ content: JsonObject }> {
  const mayJoinAnyway = room.reader.membership(target) === 'invite' || room.reader.membership(target) === 'join'
  const allowed = membership === 'join' && !mayJoinAnyway ? restrictionOf(room) : undefined
  if (!allowed?.some((roomId) => memberOf?.includes(roomId))) return { ok: true, content }
  if (current?.pdu.content['membership'] === 'ban') return { ok: true, content }
  const authoriser = authoriserOf(room)
  if (authoriser === undefined) return fail('unable_to_authorise_join')
  return { ok: true, content: { ...content, join_authorised_via_users_server: authoriser } }
}

/** The rooms of which a user must be in one in order to join; null where that is not asked of this user. */
export function joinRequirements(room: Room, user: UserId): Outcome<{ allowedRooms: RoomId[] | null }> {
  const { reader } = room
  if (!reader.isKnown()) return fail('unknown_room')
  const membership = reader.membership(user)
  if (membership === 'invite' || membership === 'join') return { ok: true, allowedRooms: null }
  return { ok: true, allowedRooms: restrictionOf(room) ?? null }
}

/** Takes a left room out of a user's sight. Spec: client-server-api/#post_matrixclientv3roomsroomidforget. */
export function forgetRoom({ reader, transactor }: Room, user: UserId): Outcome {
  if (!reader.isKnown()) return fail('unknown_room')
  const membership = reader.membership(user)
  if (membership === undefined) return fail('not_in_room')
  if (membership !== 'leave' && membership !== 'ban') return fail('still_in_room')
  transactor.forgetRoom(user)
  return { ok: true }
}
