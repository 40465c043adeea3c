/**
 * The one-time link by which the owner of a server makes the first account, that of its administrator, in a browser.
 *
 * A link is a registration token of a special name: good for one account, until it is too old, or until there is an
 * administrator by any other way. Only its hash is kept. The colon in the name is none that a registration token may have,
 * so the link opens no other way in.
 */
import { and, eq, gt, isNull, like, lt } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import { registrationTokens, users } from './schema.ts'
import { hashToken, randomText } from './tokens.ts'

const prefix = 'first-account:'
/** Milliseconds for which a link is good: today's work, not next week's. */
const lifetime = 24 * 60 * 60 * 1000

export interface FirstAccountLink {
  /** Stands in the link behind `#first-account=`. */
  readonly token: string
  /** Milliseconds since 1970. */
  readonly expiresAt: number
}

/** Makes a link and ends the ones before. Undefined where there is an administrator already. */
export async function makeFirstAccountLink(env: Env): Promise<FirstAccountLink | undefined> {
  if (await hasAdmin(env)) return undefined
  const db = drizzle(env.DB)
  const token = randomText(32)
  const expiresAt = Date.now() + lifetime
  await db.batch([
    db.delete(registrationTokens).where(like(registrationTokens.token, `${prefix}%`)),
    db.insert(registrationTokens).values({ token: nameOf(token), usesAllowed: 1, createdAt: Date.now(), expiresAt }),
  ])
  return { token, expiresAt }
}

/**
 * The registration token that the account uses up, so that of two who hold the same link one gets it. Undefined for a link
 * that is used, too old or made up, and for every link once there is an administrator.
 */
export async function registrationTokenOfLink(env: Env, token: string): Promise<string | undefined> {
  const { token: name, uses, usesAllowed, expiresAt } = registrationTokens
  const row = await drizzle(env.DB)
    .select({ name })
    .from(registrationTokens)
    .where(and(eq(name, nameOf(token)), lt(uses, usesAllowed), gt(expiresAt, Date.now())))
    .get()
  return row && !(await hasAdmin(env)) ? row.name : undefined
}

/** Databases that were seen with an account: they have one for ever. */
const inhabited = new WeakSet<D1Database>()

/** Whether anybody has an account here, or had one. */
export async function hasAccounts({ DB }: Env): Promise<boolean> {
  if (inhabited.has(DB)) return true
  const any = await drizzle(DB).select({ userId: users.userId }).from(users).limit(1).get()
  if (any) inhabited.add(DB)
  return any !== undefined
}

async function hasAdmin({ DB }: Env): Promise<boolean> {
  const admin = await drizzle(DB)
    .select({ userId: users.userId })
    .from(users)
    .where(and(eq(users.isAdmin, true), isNull(users.deactivatedAt)))
    .limit(1)
    .get()
  return admin !== undefined
}

function nameOf(token: string): string {
  return prefix + hashToken(token)
}
