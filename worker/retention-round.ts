/**
 * Tells rooms of new rules of retention: a room that nobody uses does not wake by itself, and its old messages would stay.
 *
 * By the clock, some rooms at a time, once for each change of the settings. Where nothing changed it is one row that is read.
 */
import { drizzle } from 'drizzle-orm/d1'

import { knownRoomsAfter } from './accounts/known-rooms.ts'
import { retentionRound as table } from './accounts/schema.ts'
import type { Env } from './env.ts'
import { roomOf } from './rooms.ts'
import { settingsOf } from './settings.ts'

/** Rooms of one round of the clock, and those that are told at the same time. */
const roomsAtOnce = 200
const callsAtOnce = 10

/** How many rooms were told. */
export async function tellRoomsOfRetention(env: Env): Promise<number> {
  const { retention } = settingsOf(env)
  const rules = JSON.stringify(retention ?? null)
  const [round] = await drizzle(env.DB).select().from(table)
  const isNew = round?.rules !== rules
  // Rooms that are told that messages are kept have nothing to do.
  if (!retention) {
    if (round && isNew) await note(env, rules, null)
    return 0
  }
  if (!isNew && round?.after === null) return 0
  const rooms = await knownRoomsAfter(env, isNew ? undefined : (round?.after ?? undefined), roomsAtOnce)
  for (let at = 0; at < rooms.length; at += callsAtOnce) {
    const told = rooms.slice(at, at + callsAtOnce).map((roomId) => roomOf(env, roomId).timeRetention())
    // One that cannot be had now looks for itself when it wakes.
    await Promise.allSettled(told)
  }
  await note(env, rules, rooms.length < roomsAtOnce ? null : (rooms.at(-1) ?? null))
  return rooms.length
}

async function note({ DB }: Env, rules: string, after: typeof table.$inferInsert.after): Promise<void> {
  const set = { rules, after }
  await drizzle(DB)
    .insert(table)
    .values({ id: 1, ...set })
    .onConflictDoUpdate({ target: table.id, set })
}
