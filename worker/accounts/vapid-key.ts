/**
 * The key by which push services know this server (RFC 8292): made once in the life of a server, since subscriptions are
 * bound to it. The private half never leaves this file but inside a CryptoKey.
 */
import { decodeBase64, encodeBase64UrlUnpadded } from '#protocol/signing/base64.ts'
import { drizzle } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import { vapidAlgorithm, type VapidKey } from '../push/web-push/vapid.ts'
import { setUp } from '../set-up.ts'
import { vapidKeys } from './schema.ts'

/** Not the promise of it: one that was cut off with its request would never settle (shared-work.ts). */
let loaded: VapidKey | undefined

/** Read from D1 once per isolate. */
export async function vapidKey(env: Env): Promise<VapidKey> {
  loaded ??= await load(env)
  return loaded
}

async function load(env: Env): Promise<VapidKey> {
  await setUp(env)
  const db = drizzle(env.DB)
  let row = await db.select().from(vapidKeys).get()
  if (!row) {
    // Of all who do this at once, the one ID lets one through; everybody then reads the same row.
    await db
      .insert(vapidKeys)
      .values({ id: 1, jwk: await newKey(), createdAt: Date.now() })
      .onConflictDoNothing()
    row = await db.select().from(vapidKeys).get()
  }
  if (!row) throw new Error('the key for web push was not stored')
  const jwk: JsonWebKey = JSON.parse(row.jwk)
  const privateKey = await crypto.subtle.importKey('jwk', jwk, vapidAlgorithm, false, ['sign'])
  const { x = '', y = '' } = jwk
  const point = Uint8Array.from([4, ...coordinate(x), ...coordinate(y)])
  return { privateKey, publicKey: encodeBase64UrlUnpadded(point) }
}

async function newKey(): Promise<string> {
  const keys = await crypto.subtle.generateKey(vapidAlgorithm, true, ['sign', 'verify'])
  if (!('privateKey' in keys)) throw new TypeError('a pair of keys was asked for')
  return JSON.stringify(await crypto.subtle.exportKey('jwk', keys.privateKey))
}

/** RFC 7518, section 6.2.1.2: always 32 bytes. */
function coordinate(text: string): Uint8Array {
  const bytes = decodeBase64(text)
  if (bytes?.length !== 32) throw new Error('the stored key for web push is broken')
  return bytes
}
