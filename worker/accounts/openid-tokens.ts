/**
 * OpenID tokens: whoever is given one may ask this server whose it is, for an hour. They open nothing else.
 *
 * Spec: client-server-api/#openid, server-server-api/#openid.
 */
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { and, eq, gt, isNull, lte } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import { openIdTokens, users } from './schema.ts'
import { hashToken, looksLikeToken, makeToken } from './tokens.ts'

/** Seconds that a token lives. */
export const openIdLifetime = 3600

/** Makes a token for a user, and removes those whose time is over. */
export async function newOpenIdToken({ DB }: Env, userId: UserId, now: number): Promise<string> {
  const db = drizzle(DB)
  const token = makeToken('openId', userId)
  await db.batch([
    db.delete(openIdTokens).where(lte(openIdTokens.expiresAt, now)),
    db.insert(openIdTokens).values({ hash: hashToken(token), userId, expiresAt: now + openIdLifetime * 1000 }),
  ])
  return token
}

/** Whose token it is; undefined when it is unknown or too old, or its user's account has ended. */
export async function ownerOfOpenIdToken({ DB }: Env, token: string, now: number): Promise<UserId | undefined> {
  if (!looksLikeToken('openId', token)) return undefined
  const row = await drizzle(DB)
    .select({ userId: openIdTokens.userId })
    .from(openIdTokens)
    .innerJoin(users, eq(users.userId, openIdTokens.userId))
    .where(and(eq(openIdTokens.hash, hashToken(token)), gt(openIdTokens.expiresAt, now), isNull(users.deactivatedAt)))
    .get()
  return row?.userId
}
