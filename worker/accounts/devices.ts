/**
 * Devices: signing in makes one, signing out ends it with its tokens.
 *
 * Spec: client-server-api/#relationship-between-access-tokens-and-devices, #device-management. D1 holds the device; the
 * user's object is told at both ends of its life, so that syncs of an ended device stop and nothing of a former device
 * of the same name is left.
 */
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { and, asc, eq, inArray } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import { remote } from '../remote.ts'
import { type DeviceKey, type IssuedTokens, newTokens } from './access-tokens.ts'
import { forgetSignaturesOn } from './device-keys.ts'
import { accessTokens, devices, refreshTokens } from './schema.ts'
import { forgetTokens } from './token-cache.ts'
import { randomText } from './tokens.ts'

export type Device = typeof devices.$inferSelect

/** Longer names are cut at sign-in and refused when set later, as Synapse does. */
export const maxDeviceName = 100
const capitals = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'

export interface SignIn {
  readonly userId: UserId
  /** A known one keeps its name and its messages; without, a new one is made up. */
  readonly deviceId?: string | undefined
  readonly displayName?: string | undefined
  /** The client can refresh its token, so it may expire. */
  readonly refreshable: boolean
}

/**
 * Signs a device in. "If the client sets the `device_id`, the server will invalidate any access and refresh tokens
 * previously assigned to that device."
 */
export async function signIn(env: Env, wanted: SignIn): Promise<IssuedTokens & { device_id: string }> {
  const { userId, displayName, refreshable } = wanted
  const deviceId = wanted.deviceId ?? randomText(10, capitals)
  const db = drizzle(env.DB)
  const now = Date.now()
  const key = { userId, deviceId }
  const { issued, statements } = newTokens(db, key, { refreshable, generation: 0, now })
  // First, so that whatever fails after it can be tried again.
  if (!(await findDevice(env, key))) await remote(env.USER_SYNC, userId).deviceAdded(deviceId)
  await db.batch([
    db
      .insert(devices)
      .values({ ...key, displayName: displayName?.slice(0, maxDeviceName) ?? null, createdAt: now })
      .onConflictDoNothing(),
    db.delete(accessTokens).where(and(eq(accessTokens.userId, userId), eq(accessTokens.deviceId, deviceId))),
    db.delete(refreshTokens).where(and(eq(refreshTokens.userId, userId), eq(refreshTokens.deviceId, deviceId))),
    ...statements,
  ])
  forgetTokens(userId, deviceId)
  return { ...issued, device_id: deviceId }
}

/** A device without a client and so without tokens: see client-server/dehydrated-device.ts. */
export async function addDevice(env: Env, key: DeviceKey, displayName: string | null): Promise<void> {
  await remote(env.USER_SYNC, key.userId).deviceAdded(key.deviceId)
  await drizzle(env.DB)
    .insert(devices)
    .values({ ...key, displayName, createdAt: Date.now() })
    .onConflictDoNothing()
}

export async function listDevices({ DB }: Env, userId: UserId): Promise<Device[]> {
  return drizzle(DB).select().from(devices).where(eq(devices.userId, userId)).orderBy(asc(devices.createdAt))
}

export async function findDevice({ DB }: Env, { userId, deviceId }: DeviceKey): Promise<Device | undefined> {
  return drizzle(DB)
    .select()
    .from(devices)
    .where(and(eq(devices.userId, userId), eq(devices.deviceId, deviceId)))
    .get()
}

/** False when there is no such device. */
export async function renameDevice(env: Env, { userId, deviceId }: DeviceKey, displayName: string): Promise<boolean> {
  const renamed = await drizzle(env.DB)
    .update(devices)
    .set({ displayName })
    .where(and(eq(devices.userId, userId), eq(devices.deviceId, deviceId)))
    .returning({ deviceId: devices.deviceId })
  if (renamed.length !== 1) return false
  await remote(env.USER_SYNC, userId).deviceRenamed(deviceId)
  return true
}

/** Signs devices out; those that do not exist (any more) do no harm. */
export async function removeDevices(env: Env, userId: UserId, deviceIds: readonly string[]): Promise<void> {
  const db = drizzle(env.DB)
  // D1 binds at most 100 values to a statement.
  for (let from = 0; from < deviceIds.length; from += 50) {
    const some = deviceIds.slice(from, from + 50)
    const removed = await db
      .delete(devices)
      .where(and(eq(devices.userId, userId), inArray(devices.deviceId, some)))
      .returning({ deviceId: devices.deviceId })
    await endDevices(
      env,
      userId,
      removed.map(({ deviceId }) => deviceId),
    )
  }
}

/** Signs out every device, or every one but `keep`. */
export async function removeAllDevices(env: Env, userId: UserId, keep?: string): Promise<void> {
  const all = await listDevices(env, userId)
  await removeDevices(
    env,
    userId,
    all.flatMap(({ deviceId }) => (deviceId === keep ? [] : [deviceId])),
  )
}

/** Tells what D1 already knows: these devices are no more. */
export async function endDevices(env: Env, userId: UserId, deviceIds: readonly string[]): Promise<void> {
  const object = remote(env.USER_SYNC, userId)
  if (deviceIds.length > 0) await forgetSignaturesOn(env, userId, deviceIds)
  for (const deviceId of deviceIds) {
    forgetTokens(userId, deviceId)
    await object.endDevice(deviceId)
  }
}
