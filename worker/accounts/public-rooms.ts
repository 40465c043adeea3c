/**
 * The published room directory: which rooms are in it, and what their entries said when last looked at.
 *
 * Spec: client-server-api/#published-room-directory. That a room is published is decided here; everything else in an entry
 * is a copy of what the room says, with the time of the copy.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import { and, asc, count, desc, eq, gt, inArray, isNull, lt, or, type SQL, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import { publicRooms } from './schema.ts'

/** What a directory shows of a room, in the words of the wire. */
export interface DirectoryEntry {
  readonly room_id: RoomId
  readonly name?: string
  readonly topic?: string
  readonly canonical_alias?: string
  readonly avatar_url?: string
  readonly num_joined_members: number
  readonly join_rule?: string
  readonly room_type?: string
  readonly world_readable: boolean
  readonly guest_can_join: boolean
}

/** Where a page begins: after the room of this size and ID, or before it. */
export interface DirectoryPosition {
  readonly forwards: boolean
  readonly size: number
  readonly roomId: RoomId
}

export interface DirectoryQuery {
  readonly limit: number
  readonly position: DirectoryPosition | undefined
  /** Text that name, topic or alias must hold, in whatever case. */
  readonly search: string | undefined
  /** Types of rooms; null is a room without one. */
  readonly roomTypes: readonly (string | null)[] | undefined
}

/** Publishes a room with this entry, or renews the entry of a published one. */
export async function publishRoom({ DB }: Env, entry: DirectoryEntry): Promise<void> {
  const row = rowOf(entry)
  await drizzle(DB).insert(publicRooms).values(row).onConflictDoUpdate({ target: publicRooms.roomId, set: row })
}

/** Renews entries without publishing anything: a room that was withdrawn meanwhile stays withdrawn. */
export async function renewEntries({ DB }: Env, entries: readonly DirectoryEntry[]): Promise<void> {
  const db = drizzle(DB)
  const [first, ...rest] = entries.map((entry) =>
    db.update(publicRooms).set(rowOf(entry)).where(eq(publicRooms.roomId, entry.room_id)),
  )
  if (first) await db.batch([first, ...rest])
}

export async function withdrawRoom({ DB }: Env, roomId: RoomId): Promise<void> {
  await drizzle(DB).delete(publicRooms).where(eq(publicRooms.roomId, roomId))
}

export async function isPublished({ DB }: Env, roomId: RoomId): Promise<boolean> {
  const row = await drizzle(DB)
    .select({ roomId: publicRooms.roomId })
    .from(publicRooms)
    .where(eq(publicRooms.roomId, roomId))
    .get()
  return row !== undefined
}

/** The published rooms whose entries are older than `before` (milliseconds), oldest first. */
export async function staleRooms({ DB }: Env, before: number, most: number): Promise<RoomId[]> {
  const rows = await drizzle(DB)
    .select({ roomId: publicRooms.roomId })
    .from(publicRooms)
    .where(lt(publicRooms.checkedAt, before))
    .orderBy(asc(publicRooms.checkedAt))
    .limit(most)
  return rows.map(({ roomId }) => roomId)
}

/** One page, largest rooms first, and how many rooms match in all. Rooms that everyone has left are not shown. */
export async function listRooms({ DB }: Env, query: DirectoryQuery) {
  const db = drizzle(DB)
  const wanted = and(gt(publicRooms.joinedMembers, 0), bySearch(query.search), byType(query.roomTypes))
  const { position, limit } = query
  const forwards = position?.forwards ?? true
  const direction = forwards
    ? [desc(publicRooms.joinedMembers), asc(publicRooms.roomId)]
    : [asc(publicRooms.joinedMembers), desc(publicRooms.roomId)]
  const [rows, totals] = await db.batch([
    db
      .select()
      .from(publicRooms)
      .where(and(wanted, position && beyond(position)))
      .orderBy(...direction)
      .limit(limit),
    db.select({ total: count() }).from(publicRooms).where(wanted),
  ])
  const entries = rows.map(entryOf)
  return { entries: forwards ? entries : entries.reverse(), total: totals[0]?.total ?? 0 }
}

function beyond({ forwards, size, roomId }: DirectoryPosition): SQL | undefined {
  return forwards
    ? or(lt(publicRooms.joinedMembers, size), and(eq(publicRooms.joinedMembers, size), gt(publicRooms.roomId, roomId)))
    : or(gt(publicRooms.joinedMembers, size), and(eq(publicRooms.joinedMembers, size), lt(publicRooms.roomId, roomId)))
}

/** Not LIKE: its patterns are limited to 50 bytes, and it would give `%` a meaning. */
function bySearch(search: string | undefined): SQL | undefined {
  return search === undefined ? undefined : sql`instr(${publicRooms.searchText}, ${search.toLowerCase()}) > 0`
}

function byType(types: readonly (string | null)[] | undefined): SQL | undefined {
  if (!types) return undefined
  const named = types.filter((type) => type !== null)
  return or(inArray(publicRooms.roomType, named), types.includes(null) ? isNull(publicRooms.roomType) : undefined)
}

function rowOf(entry: DirectoryEntry): typeof publicRooms.$inferInsert {
  const { name, topic, canonical_alias: alias } = entry
  return {
    roomId: entry.room_id,
    name: name ?? null,
    topic: topic ?? null,
    canonicalAlias: alias ?? null,
    avatarUrl: entry.avatar_url ?? null,
    joinedMembers: entry.num_joined_members,
    joinRule: entry.join_rule ?? null,
    roomType: entry.room_type ?? null,
    worldReadable: entry.world_readable,
    guestCanJoin: entry.guest_can_join,
    searchText: [name, topic, alias]
      .filter((text) => text !== undefined)
      .join('\n')
      .toLowerCase(),
    checkedAt: Date.now(),
  }
}

function entryOf(row: typeof publicRooms.$inferSelect): DirectoryEntry {
  const { name, topic, canonicalAlias, avatarUrl, joinRule, roomType } = row
  return {
    room_id: row.roomId,
    ...(name === null ? {} : { name }),
    ...(topic === null ? {} : { topic }),
    ...(canonicalAlias === null ? {} : { canonical_alias: canonicalAlias }),
    ...(avatarUrl === null ? {} : { avatar_url: avatarUrl }),
    num_joined_members: row.joinedMembers,
    ...(joinRule === null ? {} : { join_rule: joinRule }),
    ...(roomType === null ? {} : { room_type: roomType }),
    world_readable: row.worldReadable,
    guest_can_join: row.guestCanJoin,
  }
}
