/**
 * Accounts: their names, how they begin and how they end.
 *
 * A name belongs to one account for ever: the primary key decides who is first, never a look beforehand, and deactivating
 * does not free it.
 */
import { makeUserId, type UserId } from '#protocol/identifiers/user-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { and, eq, isNull, or, sql } from 'drizzle-orm'
import { drizzle, type DrizzleD1Database } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import { refuse } from '../refusal.ts'
import { isConstraintFailure } from './constraint.ts'
import { forgettingName, renaming } from './profile-words.ts'
import {
  crossSigningKeys,
  devices,
  keySignatures,
  loginTokens,
  openIdTokens,
  profiles,
  pushers,
  registrationTokens,
  threepids,
  users,
} from './schema.ts'
import { addingThreepid, type ProvenAddress } from './threepids.ts'
import { forgetTokens } from './token-cache.ts'
import { uncapitalised } from './user-identifier.ts'

export type User = typeof users.$inferSelect

export async function findUser({ DB }: Env, userId: UserId): Promise<User | undefined> {
  return drizzle(DB).select().from(users).where(eq(users.userId, userId)).get()
}

/** True for every name that was ever given out, the deactivated included. */
export async function isTaken(env: Env, userId: UserId): Promise<boolean> {
  return (await findUser(env, userId)) !== undefined
}

/** True for the accounts one can have to do with: the deactivated are gone. */
export async function userExists(env: Env, userId: UserId): Promise<boolean> {
  const user = await findUser(env, userId)
  return user !== undefined && user.deactivatedAt === null
}

/**
 * The user ID for a name that someone chose. Capital letters become small ones; refuses with M_INVALID_USERNAME what the
 * grammar of user IDs does not admit, with M_EXCLUSIVE names in `_`, which by convention are for bridges.
 *
 * Spec: appendices/#user-identifiers, "255 characters" for the whole ID.
 */
export function chosenUserId(username: string, serverName: ServerName): UserId {
  const userId = makeUserId(uncapitalised(username), serverName)
  if (userId === undefined) {
    return refuse(
      'invalid_username',
      'A user name is of a–z, 0–9 and ._=-/+ and not longer than 255 with the server name',
    )
  }
  return username.startsWith('_') ? refuse('exclusive', 'User names that begin with _ are reserved') : userId
}

export interface NewUser {
  readonly userId: UserId
  readonly passwordHash: string | null
  readonly isGuest?: boolean
  readonly isAdmin?: boolean
  readonly displayName?: string | undefined
  /** To be used up with the registration. */
  readonly registrationToken?: string | undefined
  readonly email?: ProvenAddress | undefined
  /** The version of each policy that was accepted. */
  readonly acceptedTerms?: Readonly<Record<string, string>> | undefined
}

/** Makes an account. False when the name or the address is taken or the registration token used up; nothing has happened then. */
export async function createUser({ DB }: Env, user: NewUser): Promise<boolean> {
  const { userId, passwordHash, isGuest = false, isAdmin = false, displayName, registrationToken, email } = user
  const db = drizzle(DB)
  const acceptedTerms = user.acceptedTerms ? JSON.stringify(user.acceptedTerms) : null
  const insert = db
    .insert(users)
    .values({ userId, passwordHash, isGuest, isAdmin, createdAt: Date.now(), acceptedTerms })
  const fields = JSON.stringify(displayName === undefined ? {} : { displayname: displayName })
  const profile = db.insert(profiles).values({ userId, fields })
  const useUp = usingUp(db, registrationToken)
  try {
    const words = renaming(db, userId, displayName)
    await db.batch([insert, profile, useUp, ...words, ...(email ? addingThreepid(db, userId, email) : [])])
    return true
  } catch (error) {
    // The primary key, or the check of registration_tokens; a batch is one transaction.
    if (isConstraintFailure(error)) return false
    throw error
  }
}

function usingUp(db: DrizzleD1Database, registrationToken = '') {
  return db
    .update(registrationTokens)
    .set({ uses: sql`${registrationTokens.uses} + 1` })
    .where(eq(registrationTokens.token, registrationToken))
}

/** What a guest becomes. */
export type Upgrade = Omit<NewUser, 'isGuest' | 'isAdmin' | 'displayName' | 'passwordHash'> & {
  readonly passwordHash: string
}

/**
 * Makes a guest a user with a password. False when the account is no guest, or the address is taken or the registration
 * token used up; nothing has happened then. Spec: client-server-api/#guest-access.
 */
export async function upgradeGuest({ DB }: Env, { userId, passwordHash, ...user }: Upgrade): Promise<boolean> {
  const db = drizzle(DB)
  const acceptedTerms = user.acceptedTerms ? JSON.stringify(user.acceptedTerms) : null
  const isStillGuest = and(eq(users.userId, userId), eq(users.isGuest, true), isNull(users.deactivatedAt))
  if (!(await db.select({ userId: users.userId }).from(users).where(isStillGuest).get())) return false
  const upgrade = db.update(users).set({ passwordHash, isGuest: false, acceptedTerms }).where(isStillGuest)
  const added = user.email ? addingThreepid(db, userId, user.email) : []
  try {
    await db.batch([upgrade, usingUp(db, user.registrationToken), ...added])
    return true
  } catch (error) {
    if (isConstraintFailure(error)) return false
    throw error
  }
}

/** Replaces the password of an account that has one, provided it is still `instead` where that is given. */
export async function setPasswordHash(
  { DB }: Env,
  userId: UserId,
  passwordHash: string,
  instead?: string | null,
): Promise<void> {
  const unchanged = instead === undefined || instead === null ? undefined : eq(users.passwordHash, instead)
  await drizzle(DB)
    .update(users)
    .set({ passwordHash })
    .where(and(eq(users.userId, userId), isNull(users.deactivatedAt), unchanged))
}

/** Closes every way in at once: password, addresses, devices with their tokens and keys; and the profile goes with them. */
export async function closeAccount({ DB }: Env, userId: UserId): Promise<void> {
  const db = drizzle(DB)
  await db.batch([
    db.update(users).set({ passwordHash: null, deactivatedAt: Date.now() }).where(eq(users.userId, userId)),
    db.delete(devices).where(eq(devices.userId, userId)),
    db.delete(profiles).where(eq(profiles.userId, userId)),
    forgettingName(db, userId),
    db.delete(threepids).where(eq(threepids.userId, userId)),
    db.delete(pushers).where(eq(pushers.userId, userId)),
    db.delete(openIdTokens).where(eq(openIdTokens.userId, userId)),
    db.delete(loginTokens).where(eq(loginTokens.userId, userId)),
    db.delete(crossSigningKeys).where(eq(crossSigningKeys.userId, userId)),
    db.delete(keySignatures).where(or(eq(keySignatures.targetUser, userId), eq(keySignatures.signer, userId))),
  ])
  forgetTokens(userId)
}
