/**
 * The policy lists that this server follows: rooms, whose rules stand in the rooms themselves.
 *
 * Remembered by each isolate for a minute, so that an invite or a join costs no query. Whoever adds or removes a list is
 * answered from the database.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import { asc, eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import { policyLists as table } from './schema.ts'

export type PolicyList = typeof table.$inferSelect

/** Each is a call at every invite and join. */
export const maxPolicyLists = 20

const rememberedFor = 60_000
let remembered: { readonly roomIds: readonly RoomId[]; readonly until: number } | undefined

/** Which rooms are followed, up to a minute behind. */
export async function followedLists(env: Env): Promise<readonly RoomId[]> {
  if (remembered && remembered.until > Date.now()) return remembered.roomIds
  const roomIds = (await listPolicyLists(env)).map(({ roomId }) => roomId)
  remembered = { roomIds, until: Date.now() + rememberedFor }
  return roomIds
}

/** Oldest first. */
export async function listPolicyLists({ DB }: Env): Promise<PolicyList[]> {
  return drizzle(DB).select().from(table).orderBy(asc(table.addedAt), asc(table.roomId)).limit(maxPolicyLists).all()
}

/** What is followed already stays as it is. */
export async function addPolicyList({ DB }: Env, list: Omit<PolicyList, 'addedAt'>): Promise<void> {
  await drizzle(DB)
    .insert(table)
    .values({ ...list, addedAt: Date.now() })
    .onConflictDoNothing()
  remembered = undefined
}

/** False when the room was not followed. */
export async function removePolicyList({ DB }: Env, roomId: RoomId): Promise<boolean> {
  const removed = await drizzle(DB).delete(table).where(eq(table.roomId, roomId)).returning({ roomId: table.roomId })
  remembered = undefined
  return removed.length === 1
}
