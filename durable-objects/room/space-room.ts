/**
 * A room as a summary or a space shows it: what it is called, who may come in, which rooms are in it.
 *
 * Spec: client-server-api/#spaces, #get_matrixclientv1roomsroomidhierarchy, #get_matrixclientv1room_summaryroomidoralias,
 * server-server-api/#get_matrixfederationv1hierarchyroomid. Whether a condition of a restricted room is met is for the caller
 * to find out: other rooms know.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import { contentString } from '#protocol/events/fields.ts'
import { hasVia, viaOf } from '#protocol/space-child.ts'
import { parseRoomId, type RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { type JsonObject, own } from '#protocol/json/json.ts'

import { strippedEvent } from './client-event.ts'
import { roomFacts } from './facts.ts'
import { isServerAllowedIn } from './federation/server-access.ts'
import type { Membership } from './reader.ts'
import { restrictionOf } from './restricted-join.ts'
import type { Room } from './room.ts'
import type { StoredEvent } from './stored-event.ts'

/** Who asks: a user, another server for its users, or somebody unknown. */
export interface Asking {
  readonly reader?: UserId
  readonly origin?: ServerName
}

/** A room in a space. */
export interface SpaceChild {
  readonly roomId: RoomId
  readonly isSuggested: boolean
  /** Servers that are said to be in it. */
  readonly via: readonly ServerName[]
  /** The stripped event, with `origin_server_ts`. */
  readonly event: JsonObject
}

export interface SpaceRoom {
  /** RoomSummary of the specification. */
  readonly summary: JsonObject
  readonly membership: Membership | undefined
  /** Whether it may be shown; `restricted`: only to those who are joined to one of `allowedRooms`. */
  readonly access: 'open' | 'restricted' | 'closed'
  readonly allowedRooms: readonly RoomId[]
  /** In the order in which they are to be shown; none in a room that is no space. */
  readonly children: readonly SpaceChild[]
}

/** Fails with `unknown_room` where this server is not in the room, and so does not know how it is now, or the room shuts out the server that asks. */
export function spaceRoom(room: Room, asking: Asking): Outcome<SpaceRoom> {
  const { reader } = room
  if (!reader.isKnown() || !reader.isResident()) return fail('unknown_room')
  if (asking.origin !== undefined && !isServerAllowedIn(room, asking.origin)) return fail('unknown_room')
  const facts = roomFacts(room)
  if (!facts.ok) return facts
  const allowedRooms = restrictionOf(room)
  const encryption = reader.current('m.room.encryption', '')
  const algorithm = encryption && contentString(encryption.pdu, 'algorithm')
  return {
    ok: true,
    summary: {
      room_id: reader.header().roomId,
      ...(facts.name === undefined ? {} : { name: facts.name }),
      ...(facts.topic === undefined ? {} : { topic: facts.topic }),
      ...(facts.canonicalAlias === undefined ? {} : { canonical_alias: facts.canonicalAlias }),
      ...(facts.avatarUrl === undefined ? {} : { avatar_url: facts.avatarUrl }),
      ...(facts.roomType === undefined ? {} : { room_type: facts.roomType }),
      join_rule: facts.joinRule,
      num_joined_members: facts.joinedMembers,
      world_readable: facts.worldReadable,
      guest_can_join: facts.guestCanJoin,
      room_version: facts.version,
      ...(algorithm === undefined ? {} : { encryption: algorithm }),
      ...(allowedRooms && allowedRooms.length > 0 ? { allowed_room_ids: allowedRooms } : {}),
    },
    membership: asking.reader && reader.membership(asking.reader),
    access: accessOf(room, asking, facts.worldReadable, facts.joinRule),
    allowedRooms: allowedRooms ?? [],
    children: facts.roomType === 'm.space' ? childrenOf(room) : [],
  }
}

function accessOf(room: Room, asking: Asking, isWorldReadable: boolean, joinRule: string): SpaceRoom['access'] {
  const { rules } = room.reader
  const isKnockable =
    (joinRule === 'knock' && rules.knocking) || (joinRule === 'knock_restricted' && rules.knockRestricted)
  if (isWorldReadable || joinRule === 'public' || isKnockable || isMember(room, asking)) return 'open'
  return restrictionOf(room) ? 'restricted' : 'closed'
}

function isMember({ reader }: Room, { reader: user, origin }: Asking): boolean {
  if (user !== undefined) {
    const membership = reader.membership(user)
    return membership === 'join' || membership === 'invite'
  }
  if (origin === undefined) return false
  return reader.joinedServers().has(origin) || reader.usersWith('invite').some((each) => each.endsWith(`:${origin}`))
}

/** Rooms that one space is read for at most. */
const maxChildren = 1000

const childrenQuery = `SELECT event_nid AS nid FROM current_state WHERE type = 'm.space.child' LIMIT ${maxChildren}`

/** Spec: client-server-api/#mspacechild, `via`: "When not present or invalid, the child room is not considered to be part of the space." */
function childrenOf({ reader }: Room): SpaceChild[] {
  const nids = [...reader.sql.exec<{ nid: number }>(childrenQuery)].map(({ nid }) => nid)
  // Page after page asks for them: events that are in memory are not read again.
  return reader
    .events(nids)
    .filter(({ pdu }) => hasVia(pdu.content))
    .sort(inOrder)
    .flatMap((event) => {
      const roomId = parseRoomId(event.state_key)
      if (roomId === undefined) return []
      const isSuggested = own(event.pdu.content, 'suggested') === true
      const via = viaOf(event.pdu.content)
      const stripped = { ...strippedEvent(event), origin_server_ts: event.origin_server_ts }
      return [{ roomId, isSuggested, via, event: stripped }]
    })
}

/** By `order`, then by `origin_server_ts`, then by room ID. Spec: client-server-api/#ordering-of-children-within-a-space. */
function inOrder(a: StoredEvent, b: StoredEvent): number {
  const [first, second] = [orderOf(a), orderOf(b)]
  if (first !== second) {
    if (first === undefined) return 1
    if (second === undefined) return -1
    return first < second ? -1 : 1
  }
  if (a.origin_server_ts !== b.origin_server_ts) return a.origin_server_ts - b.origin_server_ts
  return (a.state_key ?? '') < (b.state_key ?? '') ? -1 : 1
}

/** One with "invalid contents" is "treated as though the order key was not provided". */
function orderOf({ pdu }: StoredEvent): string | undefined {
  const order = contentString(pdu, 'order')
  return order !== undefined && /^[\x20-\x7e]{1,50}$/.test(order) ? order : undefined
}
