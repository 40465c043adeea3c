/**
 * Login tokens: whoever is given one may sign in once as the user who made it, within two minutes.
 *
 * Spec: client-server-api/#post_matrixclientv1loginget_token, #token-based-login.
 */
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { and, eq, gt, lte } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import { loginTokens } from './schema.ts'
import { hashToken, looksLikeToken, makeToken } from './tokens.ts'
import { userExists } from './users.ts'

/** Milliseconds that a token lives: "`120000` (2 minutes) is recommended". */
export const loginTokenLifetime = 120_000

/** Makes a token for a user, and removes those whose time is over. */
export async function newLoginToken({ DB }: Env, userId: UserId, now: number): Promise<string> {
  const db = drizzle(DB)
  const token = makeToken('login', userId)
  await db.batch([
    db.delete(loginTokens).where(lte(loginTokens.expiresAt, now)),
    db.insert(loginTokens).values({ hash: hashToken(token), userId, expiresAt: now + loginTokenLifetime }),
  ])
  return token
}

/** Uses a token up. Undefined when it is unknown, too old or used, or its user's account has ended. */
export async function useLoginToken(env: Env, token: string, now: number): Promise<UserId | undefined> {
  if (!looksLikeToken('login', token)) return undefined
  // Of two logins with one token, one deletes it.
  const [used] = await drizzle(env.DB)
    .delete(loginTokens)
    .where(and(eq(loginTokens.hash, hashToken(token)), gt(loginTokens.expiresAt, now)))
    .returning({ userId: loginTokens.userId })
  return used && (await userExists(env, used.userId)) ? used.userId : undefined
}
