/**
 * Keeps the published room directory in step with the rooms.
 *
 * Decision: the directory asks, the rooms do not tell. Whoever reads a list first has the entries renewed that are older
 * than some seconds, a bounded number of them, oldest first. A directory that nobody reads costs nothing however busy its
 * rooms are; a small one is never staler than that; a large one catches up with each reader.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'

import type { RoomFacts } from '../durable-objects/room/facts.ts'
import {
  type DirectoryEntry,
  isPublished,
  publishRoom,
  renewEntries,
  staleRooms,
  withdrawRoom,
} from './accounts/public-rooms.ts'
import type { Env } from './env.ts'
import { unwrap } from './refusal.ts'
import { roomOf } from './rooms.ts'

/** Milliseconds for which an entry is taken as it is. */
const freshFor = 2_000
/** Rooms asked for one reader: each is a call, and an invocation has few of those on the free plan. */
const atOnce = 20

/** Publishes a room or withdraws it. Refuses with M_NOT_FOUND for a room that this server does not know. */
export async function setPublished(env: Env, roomId: RoomId, published: boolean): Promise<void> {
  const facts = unwrap(await roomOf(env, roomId).facts())
  await (published ? publishRoom(env, entryOf(roomId, facts)) : withdrawRoom(env, roomId))
}

/** Renews the entry of a room, if it is published: after what it shows was changed for the sake of the directory. */
export async function renewEntry(env: Env, roomId: RoomId): Promise<void> {
  if (!(await isPublished(env, roomId))) return
  const facts = await roomOf(env, roomId).facts()
  if (facts.ok) await renewEntries(env, [entryOf(roomId, facts)])
}

/** Renews the stalest entries. */
export async function renewDirectory(env: Env): Promise<void> {
  const stale = await staleRooms(env, Date.now() - freshFor, atOnce)
  const asked = await Promise.all(
    stale.map(async (roomId) => {
      const facts = await roomOf(env, roomId).facts()
      return facts.ok ? entryOf(roomId, facts) : gone(roomId)
    }),
  )
  await renewEntries(env, asked)
}

/** A room that has been purged shows as one that everyone has left. */
function gone(roomId: RoomId): DirectoryEntry {
  return { room_id: roomId, num_joined_members: 0, world_readable: false, guest_can_join: false }
}

function entryOf(roomId: RoomId, facts: RoomFacts): DirectoryEntry {
  const { name, topic, canonicalAlias, avatarUrl, roomType } = facts
  return {
    room_id: roomId,
    ...(name === undefined ? {} : { name }),
    ...(topic === undefined ? {} : { topic }),
    ...(canonicalAlias === undefined ? {} : { canonical_alias: canonicalAlias }),
    ...(avatarUrl === undefined ? {} : { avatar_url: avatarUrl }),
    ...(roomType === undefined ? {} : { room_type: roomType }),
    num_joined_members: facts.joinedMembers,
    join_rule: facts.joinRule,
    world_readable: facts.worldReadable,
    guest_can_join: facts.guestCanJoin,
  }
}
