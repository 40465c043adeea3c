/**
 * The room aliases this server holds. Spec: client-server-api/#room-aliases.
 *
 * An alias belongs to one room at a time: the primary key decides who is first, never a look beforehand.
 */
import type { RoomAlias } from '#protocol/identifiers/room-alias.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { and, asc, eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import { roomAliases } from './schema.ts'

export interface HeldAlias {
  readonly alias: RoomAlias
  readonly roomId: RoomId
  /** Who made it, and so may delete it. */
  readonly creator: UserId
}

/** Gives a room an alias. False when the alias is taken, by whatever room. */
export async function reserveAlias({ DB }: Env, { alias, roomId, creator }: HeldAlias): Promise<boolean> {
  const made = await drizzle(DB)
    .insert(roomAliases)
    .values({ alias, roomId, creator, createdAt: Date.now() })
    .onConflictDoNothing()
    .returning({ alias: roomAliases.alias })
  return made.length === 1
}

/** Takes an alias away from a room. False when the room does not have it (any more). */
export async function releaseAlias({ DB }: Env, alias: RoomAlias, roomId: RoomId): Promise<boolean> {
  const gone = await drizzle(DB)
    .delete(roomAliases)
    .where(and(eq(roomAliases.alias, alias), eq(roomAliases.roomId, roomId)))
    .returning({ alias: roomAliases.alias })
  return gone.length === 1
}

export async function findAlias({ DB }: Env, alias: RoomAlias): Promise<HeldAlias | undefined> {
  return drizzle(DB).select().from(roomAliases).where(eq(roomAliases.alias, alias)).get()
}

/** Every alias of a room, in a stable order. */
export async function aliasesOfRoom({ DB }: Env, roomId: RoomId): Promise<RoomAlias[]> {
  const rows = await drizzle(DB)
    .select({ alias: roomAliases.alias })
    .from(roomAliases)
    .where(eq(roomAliases.roomId, roomId))
    .orderBy(asc(roomAliases.createdAt), asc(roomAliases.alias))
  return rows.map((row) => row.alias)
}

/** "Moves any local aliases to the new room." Spec: client-server-api/#room-upgrades, step 4. */
export async function moveAliases({ DB }: Env, from: RoomId, to: RoomId): Promise<void> {
  await drizzle(DB).update(roomAliases).set({ roomId: to }).where(eq(roomAliases.roomId, from))
}
