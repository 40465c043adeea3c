/**
 * Third-party identifiers of accounts: e-mail addresses whose owner was proven. Spec:
 * client-server-api/#adding-account-administrative-contact-information.
 *
 * This server asks no identity server, so nothing here is ever bound elsewhere.
 */
import type { EmailAddress } from '#protocol/identifiers/email-address.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { and, asc, eq } from 'drizzle-orm'
import { drizzle, type DrizzleD1Database } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import { isConstraintFailure } from './constraint.ts'
import { emailSessions, threepids } from './schema.ts'

export interface ProvenAddress {
  /** The session that proved it, which is used up. */
  readonly sid: string
  readonly address: EmailAddress
  readonly validatedAt: number
}

/** Whose address it is. */
export async function ownerOfAddress({ DB }: Env, address: EmailAddress): Promise<UserId | undefined> {
  const row = await drizzle(DB)
    .select({ userId: threepids.userId })
    .from(threepids)
    .where(and(eq(threepids.medium, 'email'), eq(threepids.address, address)))
    .get()
  return row?.userId
}

export async function listThreepids({ DB }: Env, userId: UserId) {
  return drizzle(DB)
    .select({
      medium: threepids.medium,
      address: threepids.address,
      validated_at: threepids.validatedAt,
      added_at: threepids.addedAt,
    })
    .from(threepids)
    .where(eq(threepids.userId, userId))
    .orderBy(asc(threepids.addedAt), asc(threepids.address))
}

/** The statements that give an account an address and use the proof up, for a batch. */
export function addingThreepid(db: DrizzleD1Database, userId: UserId, { sid, address, validatedAt }: ProvenAddress) {
  return [
    db.insert(threepids).values({ medium: 'email', address, userId, validatedAt, addedAt: Date.now() }),
    db.delete(emailSessions).where(eq(emailSessions.sid, sid)),
  ] as const
}

/** False when the address is another account's. Adding one's own again is no failure. */
export async function addThreepid(env: Env, userId: UserId, proven: ProvenAddress): Promise<boolean> {
  const db = drizzle(env.DB)
  try {
    const [insert, useUp] = addingThreepid(db, userId, proven)
    await db.batch([insert, useUp])
    return true
  } catch (error) {
    if (isConstraintFailure(error)) return (await ownerOfAddress(env, proven.address)) === userId
    throw error
  }
}

/** One that is not there (any more) is no failure. */
export async function removeThreepid({ DB }: Env, userId: UserId, address: EmailAddress): Promise<void> {
  await drizzle(DB)
    .delete(threepids)
    .where(and(eq(threepids.medium, 'email'), eq(threepids.address, address), eq(threepids.userId, userId)))
}
