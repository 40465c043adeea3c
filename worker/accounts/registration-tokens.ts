/** Registration tokens: who has one may make an account. Spec: client-server-api/#token-authenticated-registration. */
import { and, eq, gt, isNull, lt, or } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import { registrationTokens } from './schema.ts'

export type RegistrationToken = typeof registrationTokens.$inferSelect

/** "Opaque Identifier Grammar, with maximum length of 64 characters". */
export const registrationTokenForm = /^[A-Za-z0-9._~-]{1,64}$/

/** Whether the token may be used at this moment. It is used up by `createUser`, not here. */
export async function isUsableToken({ DB }: Env, token: string): Promise<boolean> {
  if (!registrationTokenForm.test(token)) return false
  const { usesAllowed, uses, expiresAt } = registrationTokens
  const row = await drizzle(DB)
    .select({ token: registrationTokens.token })
    .from(registrationTokens)
    .where(
      and(
        eq(registrationTokens.token, token),
        or(isNull(usesAllowed), lt(uses, usesAllowed)),
        or(isNull(expiresAt), gt(expiresAt, Date.now())),
      ),
    )
    .get()
  return row !== undefined
}

/** Makes a token. False when there is one of that name. */
export async function createRegistrationToken(
  { DB }: Env,
  token: { token: string; usesAllowed: number | null; expiresAt: number | null },
): Promise<boolean> {
  const made = await drizzle(DB)
    .insert(registrationTokens)
    .values({ ...token, createdAt: Date.now() })
    .onConflictDoNothing()
    .returning({ token: registrationTokens.token })
  return made.length === 1
}

/** Oldest first; without the one-time links of first-account.ts, which have other names. */
export async function listRegistrationTokens({ DB }: Env): Promise<RegistrationToken[]> {
  const rows = await drizzle(DB).select().from(registrationTokens).orderBy(registrationTokens.createdAt)
  return rows.filter(({ token }) => registrationTokenForm.test(token))
}

/** False when there is none of that name. */
export async function deleteRegistrationToken({ DB }: Env, token: string): Promise<boolean> {
  const gone = await drizzle(DB)
    .delete(registrationTokens)
    .where(eq(registrationTokens.token, token))
    .returning({ token: registrationTokens.token })
  return gone.length === 1
}
