/**
 * Access and refresh tokens in D1: giving them out, reading and refreshing them.
 *
 * Spec: client-server-api/#refreshing-access-tokens. Each refresh of a device makes a new generation. "The old refresh
 * token remains valid until the new access token or refresh token is used": the first use of a generation settles it and
 * ends the earlier ones, so a client that never received the answer to its refresh can ask again.
 */
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { and, eq, lt } from 'drizzle-orm'
import { drizzle, type DrizzleD1Database } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import type { Requester } from '../operation.ts'
import { isConstraintFailure } from './constraint.ts'
import { accessTokens, devices, refreshTokens, users } from './schema.ts'
import { forgetTokens } from './token-cache.ts'
import { hashToken, looksLikeToken, makeToken } from './tokens.ts'

/** Milliseconds that an access token lives when its client can refresh it. Others live until logged out. */
export const accessTokenLifetime = 60 * 60_000
/** `last_seen_ts` is written at most this often. */
const lastSeenPrecision = 10 * 60_000

export interface DeviceKey {
  readonly userId: UserId
  readonly deviceId: string
}

/** Tokens as they go over the wire, once. */
export interface IssuedTokens {
  readonly access_token: string
  readonly refresh_token?: string
  readonly expires_in_ms?: number
}

export interface KnownToken {
  readonly requester: Requester
  readonly expiresAt: number | null
  readonly isLocked: boolean
}

/** Makes tokens and the statements that store them, for a batch with what must succeed beside them. */
export function newTokens(
  db: DrizzleD1Database,
  device: DeviceKey,
  { refreshable, generation, now }: { refreshable: boolean; generation: number; now: number },
) {
  const access = makeToken('access', device.userId)
  const row = { ...device, generation, createdAt: now }
  const expiresAt = refreshable ? now + accessTokenLifetime : null
  const storeAccess = db
    .insert(accessTokens)
    .values({ ...row, hash: hashToken(access), isSettled: generation === 0, expiresAt })
  if (!refreshable) return { issued: { access_token: access }, statements: [storeAccess] as const }
  const refresh = makeToken('refresh', device.userId)
  const storeRefresh = db.insert(refreshTokens).values({ ...row, hash: hashToken(refresh) })
  const issued = { access_token: access, refresh_token: refresh, expires_in_ms: accessTokenLifetime }
  return { issued, statements: [storeAccess, storeRefresh] as const }
}

/** Whose token has this hash. Notes that its device was seen, and settles its generation. */
export async function findAccessToken(
  { DB }: Env,
  hash: string,
  seen: { now: number; address: string },
): Promise<KnownToken | undefined> {
  const db = drizzle(DB)
  const row = await db
    .select({
      userId: accessTokens.userId,
      deviceId: accessTokens.deviceId,
      generation: accessTokens.generation,
      isSettled: accessTokens.isSettled,
      expiresAt: accessTokens.expiresAt,
      lastSeenAt: devices.lastSeenAt,
      isGuest: users.isGuest,
      isAdmin: users.isAdmin,
      isSuspended: users.isSuspended,
      isLocked: users.isLocked,
      deactivatedAt: users.deactivatedAt,
    })
    .from(accessTokens)
    .innerJoin(users, eq(users.userId, accessTokens.userId))
    .innerJoin(devices, and(eq(devices.userId, accessTokens.userId), eq(devices.deviceId, accessTokens.deviceId)))
    .where(eq(accessTokens.hash, hash))
    .get()
  if (!row || row.deactivatedAt !== null) return undefined
  const { userId, deviceId, isGuest, isAdmin, isSuspended, isLocked, expiresAt } = row
  const expired = expiresAt !== null && expiresAt <= seen.now
  if (!expired && !row.isSettled) await settle(db, row)
  if (!expired && (row.lastSeenAt ?? 0) < seen.now - lastSeenPrecision) await noteSeen(db, row, seen)
  return { requester: { userId, deviceId, isGuest, isAdmin, isSuspended }, expiresAt, isLocked }
}

/** Exchanges a refresh token for the next generation. Undefined for one that is unknown or was ended, `locked` for an account that is. */
export async function refreshSession(
  { DB }: Env,
  token: string,
  now: number,
): Promise<IssuedTokens | 'locked' | undefined> {
  if (!looksLikeToken('refresh', token)) return undefined
  const db = drizzle(DB)
  const row = await db
    .select({
      userId: refreshTokens.userId,
      deviceId: refreshTokens.deviceId,
      generation: refreshTokens.generation,
      deactivatedAt: users.deactivatedAt,
      isLocked: users.isLocked,
    })
    .from(refreshTokens)
    .innerJoin(users, eq(users.userId, refreshTokens.userId))
    .where(eq(refreshTokens.hash, hashToken(token)))
    .get()
  if (!row || row.deactivatedAt !== null) return undefined
  if (row.isLocked) return 'locked'
  const { userId, deviceId, generation } = row
  await settle(db, row)
  const { issued, statements } = newTokens(
    db,
    { userId, deviceId },
    { refreshable: true, generation: generation + 1, now },
  )
  const [first, ...rest] = statements
  try {
    await db.batch([first, ...rest])
    return issued
  } catch (error) {
    // The device was signed out meanwhile: its tokens have nothing to belong to.
    if (isConstraintFailure(error)) return undefined
    throw error
  }
}

/** Ends the generations before this one. */
async function settle(db: DrizzleD1Database, { userId, deviceId, generation }: DeviceKey & { generation: number }) {
  forgetTokens(userId, deviceId)
  await db.batch([
    db
      .delete(refreshTokens)
      .where(
        and(
          eq(refreshTokens.userId, userId),
          eq(refreshTokens.deviceId, deviceId),
          lt(refreshTokens.generation, generation),
        ),
      ),
    db
      .delete(accessTokens)
      .where(
        and(
          eq(accessTokens.userId, userId),
          eq(accessTokens.deviceId, deviceId),
          lt(accessTokens.generation, generation),
        ),
      ),
    db
      .update(accessTokens)
      .set({ isSettled: true })
      .where(
        and(
          eq(accessTokens.userId, userId),
          eq(accessTokens.deviceId, deviceId),
          eq(accessTokens.generation, generation),
        ),
      ),
  ])
}

async function noteSeen(
  db: DrizzleD1Database,
  { userId, deviceId }: DeviceKey,
  seen: { now: number; address: string },
) {
  await db
    .update(devices)
    .set({ lastSeenAt: seen.now, ...(seen.address === '' ? {} : { lastSeenIp: seen.address }) })
    .where(and(eq(devices.userId, userId), eq(devices.deviceId, deviceId)))
}
