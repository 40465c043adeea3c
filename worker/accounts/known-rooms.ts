/**
 * The rooms that exist on this server: objects cannot be listed, so their names stand in D1.
 *
 * A room enters when it comes to life here; it stays when everybody has left.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import { asc, desc, gt } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import { knownRooms as table } from './schema.ts'

/** More rooms than this are not looked through for one request. */
const most = 5_000

/** Newest first. */
export async function knownRooms({ DB }: Env): Promise<RoomId[]> {
  const rows = await drizzle(DB).select({ roomId: table.roomId }).from(table).orderBy(desc(table.addedAt)).limit(most)
  return rows.map(({ roomId }) => roomId)
}

/** Some of them, in the order of their IDs, after one of these. */
export async function knownRoomsAfter({ DB }: Env, after: RoomId | undefined, limit: number): Promise<RoomId[]> {
  const rows = await drizzle(DB)
    .select({ roomId: table.roomId })
    .from(table)
    .where(after === undefined ? undefined : gt(table.roomId, after))
    .orderBy(asc(table.roomId))
    .limit(limit)
  return rows.map(({ roomId }) => roomId)
}

export async function addKnownRoom({ DB }: Env, roomId: RoomId): Promise<void> {
  await drizzle(DB).insert(table).values({ roomId, addedAt: Date.now() }).onConflictDoNothing()
}
