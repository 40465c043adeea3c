/**
 * The keys this server signs with: one in use, made once in the life of a server, and those of before.
 *
 * Spec: server-server-api/#publishing-keys. A key that stopped signing is kept with the time it did, since the events it
 * signed stay and others must be able to check them. Seeds never leave this file but inside a SigningKey.
 */
import { decodeBase64, encodeBase64Unpadded } from '#protocol/signing/base64.ts'
import type { SigningKey } from '#protocol/signing/crypto.ts'
import { publicKeyOf, signingKeyOf } from '#protocol/signing/keys.ts'
import { and, eq, isNotNull, ne } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import { setUp } from '../set-up.ts'
import { SettingError } from '../settings.ts'
import { signingKeys } from './schema.ts'

/** The key to sign with: of the setting SIGNING_KEY, else the one in D1, which the first call makes. */
export async function loadSigningKey(env: Env): Promise<SigningKey> {
  // Also Durable Objects sign, and one may be woken before any request reached the Worker.
  await setUp(env)
  return env.SIGNING_KEY ? useOwnersKey(env, env.SIGNING_KEY) : useMadeKey(env)
}

/** Keys that signed once and do not any more. Spec: `old_verify_keys` of server-server-api/#get_matrixkeyv2server. */
export async function expiredKeys({ DB }: Env): Promise<{ keyId: string; publicKey: string; expiredAt: number }[]> {
  const rows = await drizzle(DB).select().from(signingKeys).where(isNotNull(signingKeys.expiredAt))
  return rows.map(({ keyId, publicKey, expiredAt }) => ({ keyId, publicKey, expiredAt: expiredAt ?? 0 }))
}

async function useOwnersKey({ DB }: Env, setting: string): Promise<SigningKey> {
  const seed = decodeBase64(setting.trim())
  if (seed?.length !== 32) throw new SettingError('SIGNING_KEY must be 32 bytes as base64')
  const key = keyOf(seed)
  const db = drizzle(DB)
  const inUse = await db.select().from(signingKeys).where(eq(signingKeys.current, 1)).get()
  if (inUse?.keyId === key.keyId) return key
  const now = Date.now()
  // The seed stays the owner's; only what others need for checking is kept.
  const row = { publicKey: encodeBase64Unpadded(key.publicKey), current: 1, expiredAt: null }
  await db.batch([
    db
      .update(signingKeys)
      .set({ current: null, expiredAt: now })
      .where(and(eq(signingKeys.current, 1), ne(signingKeys.keyId, key.keyId))),
    db
      .insert(signingKeys)
      .values({ ...row, keyId: key.keyId, createdAt: now })
      .onConflictDoUpdate({ target: signingKeys.keyId, set: row }),
  ])
  return key
}

async function useMadeKey({ DB }: Env): Promise<SigningKey> {
  const db = drizzle(DB)
  const current = () => db.select().from(signingKeys).where(eq(signingKeys.current, 1)).get()
  let row = await current()
  if (!row) {
    const key = keyOf(crypto.getRandomValues(new Uint8Array(32)))
    const [seed, publicKey] = [encodeBase64Unpadded(key.seed), encodeBase64Unpadded(key.publicKey)]
    // Of all who do this at once, the unique `current` lets one through; everybody then reads the same row.
    await db
      .insert(signingKeys)
      .values({ keyId: key.keyId, seed, publicKey, current: 1, createdAt: Date.now() })
      .onConflictDoNothing()
    row = await current()
  }
  const seed = row?.seed ? decodeBase64(row.seed) : undefined
  if (!row || !seed) throw new SettingError('This server signed with the key of SIGNING_KEY so far: set it again')
  return signingKeyOf(row.keyId, seed)
}

/** A key's name follows from the key, so that a name never means two keys. */
function keyOf(seed: Uint8Array): SigningKey {
  const name = [...publicKeyOf(seed).subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
  return signingKeyOf(`ed25519:${name}`, seed)
}
