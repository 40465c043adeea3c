/**
 * Keys of this server's users in D1: of their devices, their cross-signing keys, and signatures put on either later.
 *
 * Spec: client-server-api/#end-to-end-encryption. Written only by the user's object, which announces every change
 * (durable-objects/user-sync/device-changes.ts).
 */
import { crossSigningPublicKey, type Usage } from '#protocol/device-keys/cross-signing-keys.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'
import { and, eq, inArray, or, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import { crossSigningKeys, deviceKeys, devices, keySignatures } from './schema.ts'

export interface DeviceWithKeys {
  readonly deviceId: string
  readonly displayName: string | null
  /** Null for a device without encryption. */
  readonly keys: JsonObject | null
}

/** What is public of a user's keys; without `user_signing` unless they ask for themselves. */
export interface UserKeys {
  readonly devices: DeviceWithKeys[]
  readonly crossSigning: { readonly [Name in Usage]?: JsonObject }
}

export interface KeySignature {
  readonly targetUser: UserId
  /** A device ID, or the public part of a cross-signing key. */
  readonly targetKey: string
  readonly signer: UserId
  readonly signerKeyId: string
  readonly signature: string
}

/** A value of one bound parameter: D1 binds at most 100. */
const among = (values: readonly string[]) => sql`(SELECT value FROM json_each(${JSON.stringify(values)}))`

/**
 * The keys of users as one of them, or (`reader` undefined) another server, may see them. Signatures are shown to their
 * maker, and to everybody where they are on the maker's own keys: whom one has verified is nobody else's business.
 * Users who do not exist are left out.
 */
export async function keysOf(
  { DB }: Env,
  userIds: readonly UserId[],
  reader: UserId | undefined,
): Promise<Map<UserId, UserKeys>> {
  if (userIds.length === 0) return new Map()
  const db = drizzle(DB)
  const [rows, signing, signatures] = await db.batch([
    db
      .select({
        userId: devices.userId,
        deviceId: devices.deviceId,
        displayName: devices.displayName,
        json: deviceKeys.json,
      })
      .from(devices)
      .leftJoin(deviceKeys, and(eq(deviceKeys.userId, devices.userId), eq(deviceKeys.deviceId, devices.deviceId)))
      .where(inArray(devices.userId, among(userIds)))
      .orderBy(devices.userId, devices.createdAt, devices.deviceId),
    db
      .select()
      .from(crossSigningKeys)
      .where(inArray(crossSigningKeys.userId, among(userIds))),
    db
      .select()
      .from(keySignatures)
      .where(
        and(
          inArray(keySignatures.targetUser, among(userIds)),
          or(
            eq(keySignatures.signer, keySignatures.targetUser),
            reader === undefined ? undefined : eq(keySignatures.signer, reader),
          ),
        ),
      ),
  ])
  const found = new Map<UserId, { devices: DeviceWithKeys[]; crossSigning: { [Name in Usage]?: JsonObject } }>()
  const of = (userId: UserId) => {
    const keys = found.get(userId) ?? { devices: [], crossSigning: {} }
    found.set(userId, keys)
    return keys
  }
  const signaturesOn = new Map<string, KeySignature[]>()
  for (const signature of signatures) {
    const name = `${signature.targetUser} ${signature.targetKey}`
    signaturesOn.set(name, [...(signaturesOn.get(name) ?? []), signature])
  }
  const signed = (userId: UserId, name: string, json: string): JsonObject =>
    withSignatures(JSON.parse(json), signaturesOn.get(`${userId} ${name}`) ?? [])
  for (const { userId, deviceId, displayName, json } of rows) {
    of(userId).devices.push({ deviceId, displayName, keys: json === null ? null : signed(userId, deviceId, json) })
  }
  for (const { userId, usage, json } of signing) {
    if (usage === 'user_signing' && userId !== reader) continue
    of(userId).crossSigning[usage] = signed(userId, publicPart(JSON.parse(json)), json)
  }
  return found
}

/** What a user signed of others' master keys, by user: their servers know nothing of it. */
export async function signaturesBy(
  { DB }: Env,
  signer: UserId,
  targetUsers: readonly UserId[],
): Promise<Map<UserId, KeySignature[]>> {
  const rows = await drizzle(DB)
    .select()
    .from(keySignatures)
    .where(and(inArray(keySignatures.targetUser, among(targetUsers)), eq(keySignatures.signer, signer)))
  const found = new Map<UserId, KeySignature[]>()
  for (const row of rows) found.set(row.targetUser, [...(found.get(row.targetUser) ?? []), row])
  return found
}

/** A key with further signatures. */
export function withSignatures(key: JsonObject, added: readonly KeySignature[]): JsonObject {
  let signatures: JsonObject = asObject(own(key, 'signatures'))
  for (const { signer, signerKeyId, signature } of added) {
    signatures = { ...signatures, [signer]: { ...asObject(own(signatures, signer)), [signerKeyId]: signature } }
  }
  return added.length === 0 ? key : { ...key, signatures }
}

function asObject(value: unknown): JsonObject {
  return isObject(value) ? value : {}
}

/** The name by which a cross-signing key is signed. */
function publicPart(key: JsonObject): string {
  return crossSigningPublicKey(key)?.name ?? ''
}

/** Stores the keys of a device that exists. Signatures on its former keys go. */
export async function saveDeviceKeys({ DB }: Env, userId: UserId, deviceId: string, keys: JsonObject): Promise<void> {
  await DB.batch([
    DB.prepare('DELETE FROM key_signatures WHERE target_user = ? AND target_key = ?').bind(userId, deviceId),
    // A device that was signed out meanwhile gets no keys.
    DB.prepare(
      `INSERT INTO device_keys(user_id, device_id, json)
       SELECT user_id, device_id, ? FROM devices WHERE user_id = ? AND device_id = ?
       ON CONFLICT(user_id, device_id) DO UPDATE SET json = excluded.json`,
    ).bind(JSON.stringify(keys), userId, deviceId),
  ])
}

export async function findDeviceKeys({ DB }: Env, userId: UserId, deviceId: string): Promise<JsonObject | undefined> {
  const row = await drizzle(DB)
    .select({ json: deviceKeys.json })
    .from(deviceKeys)
    .where(and(eq(deviceKeys.userId, userId), eq(deviceKeys.deviceId, deviceId)))
    .get()
  return row && JSON.parse(row.json)
}

/** The cross-signing keys as they were uploaded. */
export async function findCrossSigningKeys(
  { DB }: Env,
  userId: UserId,
): Promise<{ readonly [Name in Usage]?: JsonObject }> {
  const rows = await drizzle(DB).select().from(crossSigningKeys).where(eq(crossSigningKeys.userId, userId))
  return Object.fromEntries(rows.map(({ usage, json }) => [usage, JSON.parse(json)]))
}

/** Replaces those of the cross-signing keys that are given. Signatures on the old ones stay behind: nobody asks for them. */
export async function saveCrossSigningKeys(
  { DB }: Env,
  userId: UserId,
  keys: { readonly [Name in Usage]?: JsonObject },
): Promise<void> {
  const statements = Object.entries(keys).map(([usage, json]) =>
    DB.prepare(
      `INSERT INTO cross_signing_keys(user_id, usage, json) VALUES (?, ?, ?)
       ON CONFLICT(user_id, usage) DO UPDATE SET json = excluded.json`,
    ).bind(userId, usage, JSON.stringify(json)),
  )
  if (statements.length > 0) await DB.batch(statements)
}

export async function saveSignatures({ DB }: Env, signatures: readonly KeySignature[]): Promise<void> {
  const statements = signatures.map(({ targetUser, targetKey, signer, signerKeyId, signature }) =>
    DB.prepare(
      `INSERT INTO key_signatures(target_user, target_key, signer, signer_key_id, signature) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET signature = excluded.signature`,
    ).bind(targetUser, targetKey, signer, signerKeyId, signature),
  )
  for (let from = 0; from < statements.length; from += 50) await DB.batch(statements.slice(from, from + 50))
}

/** Forgets signatures on a device that is no more. Its keys went with its row. */
export async function forgetSignaturesOn({ DB }: Env, userId: UserId, deviceIds: readonly string[]): Promise<void> {
  await drizzle(DB)
    .delete(keySignatures)
    .where(and(eq(keySignatures.targetUser, userId), inArray(keySignatures.targetKey, among(deviceIds))))
}

/** The devices of users, by user: whom a message to all devices of a user goes to. */
export async function deviceIdsOf({ DB }: Env, userIds: readonly UserId[]): Promise<Map<UserId, Set<string>>> {
  if (userIds.length === 0) return new Map()
  const rows = await drizzle(DB)
    .select({ userId: devices.userId, deviceId: devices.deviceId })
    .from(devices)
    .where(inArray(devices.userId, among(userIds)))
  const found = new Map<UserId, Set<string>>()
  for (const { userId, deviceId } of rows) found.set(userId, (found.get(userId) ?? new Set()).add(deviceId))
  return found
}
