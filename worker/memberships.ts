/**
 * Changes of membership that need more than the room: the profile of who joins, the conditions of a restricted room, and
 * whether the invited want to be invited.
 *
 * Whether a change is allowed is decided by the room alone.
 */
import type { RoomAlias } from '#protocol/identifiers/room-alias.ts'
import { serverNameOfRoomId, type RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'
import type { InviteVerdict } from '#protocol/invite-permission.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'

import { guestsAmong } from './accounts/guests.ts'
import { profileOf } from './accounts/profiles.ts'
import type { Env } from './env.ts'
import type { Requester } from './operation.ts'
import { refuseBanned } from './policy-lists.ts'
import { Refusal, refuse, unwrap } from './refusal.ts'
import { succeedPredecessor } from './room-succession.ts'
import { roomOf, unwrapAsMember } from './rooms.ts'
import { settingsOf } from './settings.ts'
import { userSyncOf } from './sync/user-sync.ts'
import { redeemInvite } from './third-party-invites.ts'

/** Of the request by which somebody joins. */
export interface Joiner {
  readonly env: Env
  readonly requester: Requester
  waitUntil(work: Promise<unknown>): void
}

export interface Join {
  readonly roomId: RoomId
  /** By which the room was asked for. */
  readonly alias?: RoomAlias | undefined
  /** Servers to join over, where this one is not in the room. */
  readonly servers?: readonly ServerName[]
  readonly reason?: string | undefined
  /** More for the content of the membership. */
  readonly content?: JsonObject
  /** Proof that the joiner is who a third-party invite meant. */
  readonly thirdPartySigned?: JsonObject | undefined
}

/** Joins the requester to a room, of this server or another; returns the event ID. */
export async function join(joiner: Joiner, wanted: Join) {
  const { roomId, alias, servers = [], reason, content, thirdPartySigned } = wanted
  const { env, requester } = joiner
  const user = requester.userId
  const room = roomOf(env, roomId)
  await refuseBanned(env, { users: [user], roomId, alias })
  // "Servers MUST only allow guest users to join rooms if … `guest_access` value `can_join`."
  if (requester.isGuest) await refuseGuest(env, roomId)
  if (thirdPartySigned) await redeemInvite(env, { roomId, target: user, signed: thirdPartySigned })
  const change = {
    sender: user,
    target: user,
    membership: 'join' as const,
    via: { roomId, servers: serversFor(roomId, servers) },
    profile: await profileOf(env, user),
    ...(reason === undefined ? {} : { reason }),
    ...(content === undefined ? {} : { content }),
  }
  let joined = await room.setMembership(change)
  if (!joined.ok && joined.reason === 'event_not_allowed') {
    // Only what the rules refuse at first may be a matter of conditions: most joins cost one call.
    const { allowedRooms } = unwrap(await room.joinRequirements({ user }))
    const memberOf = await firstJoined(env, user, allowedRooms ?? [])
    if (allowedRooms) joined = await room.setMembership({ ...change, memberOf: memberOf ? [memberOf] : [] })
  }
  const { event_id } = unwrap(joined)
  joiner.waitUntil(
    succeedPredecessor(env, user, roomId).catch((error: unknown) => console.error('settings were left behind', error)),
  )
  return { event_id }
}

/** What a room that is not here says of guests is known only after the join: others would see one who may not be there. */
async function refuseGuest(env: Env, roomId: RoomId): Promise<void> {
  const facts = await roomOf(env, roomId).facts()
  if (!facts.ok) refuse('guest_forbidden', 'Guests join rooms only that this server is in')
  if (!facts.guestCanJoin) refuse('guest_forbidden')
}

/** The servers a client names; without any, the one that a room ID of versions 1 to 11 names. */
export function serversFor(roomId: RoomId, named: readonly ServerName[]): ServerName[] {
  const creators = serverNameOfRoomId(roomId)
  return named.length === 0 && creators ? [creators] : [...named]
}

/** Conditions checked for one join at most: their number is the room's choice. */
const maxConditions = 50

/** "This condition requires the user trying to join the room to be a *joined* member of another room." */
async function firstJoined(env: Env, user: UserId, allowed: readonly RoomId[]): Promise<RoomId | undefined> {
  if (allowed.length === 0) return undefined
  const mine = new Set<string>(await userSyncOf(env, user).joinedRooms())
  for (const roomId of allowed.filter((each) => mine.has(each)).slice(0, maxConditions)) {
    // The user's object only heard of it; the room knows.
    const found = await roomOf(env, roomId).stateEvent({ reader: user, type: 'm.room.member', stateKey: user })
    if (found.ok && isObject(found.event.content) && own(found.event.content, 'membership') === 'join') return roomId
  }
  return undefined
}

export interface Invitation {
  readonly roomId: RoomId
  readonly sender: UserId
  readonly target: UserId
  readonly reason?: string | undefined
  readonly isDirect?: boolean | undefined
  readonly content?: JsonObject
}

/** Invites a user, unless they let nobody invite them. */
export async function invite(env: Env, { roomId, sender, target, reason, isDirect, content }: Invitation) {
  const isLocal = serverNameOf(target) === settingsOf(env).serverName
  await refuseBlockedInvites(env, sender, [target], roomId)
  return unwrapAsMember(
    await roomOf(env, roomId).setMembership({
      sender,
      target,
      membership: 'invite',
      via: { roomId, servers: [] },
      ...(isLocal ? { profile: await profileOf(env, target) } : {}),
      ...(reason === undefined ? {} : { reason }),
      ...(isDirect === true ? { isDirect } : {}),
      ...(content === undefined ? {} : { content }),
    }),
  )
}

/**
 * "If the `m.room.guest_access` event is changed to stop this from being the case, the server MUST set those users'
 * `m.room.member` state to `leave`." Whoever changed it; where it was not changed so after all, everybody stays.
 */
export async function removeGuests(env: Env, roomId: RoomId): Promise<void> {
  const room = roomOf(env, roomId)
  const [facts, { users }] = await Promise.all([room.facts(), room.audience()])
  if (!facts.ok || facts.guestCanJoin) return
  for (const guest of await guestsAmong(env, users)) {
    await room.setMembership({ sender: guest, target: guest, membership: 'leave' })
  }
}

/** Invites a user as far as that goes: what keeps one user out of a new room must not keep everybody out. */
export async function tryInvite(env: Env, invitation: Invitation): Promise<void> {
  try {
    await invite(env, invitation)
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
  }
}

/**
 * Refuses with M_INVITE_BLOCKED when one of these users takes no invite by that one, and with M_FORBIDDEN when a policy list
 * bans one of them. Spec: client-server-api/#invite-permission.
 */
export async function refuseBlockedInvites(env: Env, sender: UserId, targets: readonly UserId[], roomId?: RoomId) {
  if (targets.length === 0) return
  await refuseBanned(env, { users: [sender, ...targets], ...(roomId === undefined ? {} : { roomId }) })
  const verdicts = await Promise.all(targets.map((target) => inviteVerdict(env, sender, target)))
  if (verdicts.includes('block')) refuse('invite_blocked')
}

/** What a user of this server wants done with an invite; of others their servers decide. */
export async function inviteVerdict(env: Env, sender: UserId, target: UserId): Promise<InviteVerdict> {
  if (serverNameOf(target) !== settingsOf(env).serverName) return 'allow'
  return userSyncOf(env, target).inviteVerdict(sender)
}
