/**
 * Proving that one reads an e-mail address: a letter with a link, and whoever opens the link and confirms has proven it.
 *
 * Spec: client-server-api/#post_matrixclientv3registeremailrequesttoken. A session is good for one purpose, so that a
 * letter says what its link does: who confirms an address for an account does not set a password. "The server will only
 * send an email if the `send_attempt` is a number greater than the most recent one which it has seen, scoped to that
 * `email` + `client_secret` pair." Client secrets and links are stored as hashes.
 */
import type { EmailAddress } from '#protocol/identifiers/email-address.ts'
import { and, eq, gt, isNotNull, isNull, lt, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import { emailSessions as sessions } from './schema.ts'
import type { ProvenAddress } from './threepids.ts'
import { hashToken, randomText } from './tokens.ts'

export type Purpose = (typeof sessions.$inferSelect)['purpose']

/** Milliseconds for which a link may be confirmed, and after that the proof be used. */
const lifetime = 60 * 60_000
/** Letters to one address while their sessions live, whoever asks for them. */
const mostLetters = 10

export interface Asked {
  readonly purpose: Purpose
  readonly address: EmailAddress
  readonly clientSecret: string
  readonly sendAttempt: number
  readonly nextLink: string | undefined
}

export type Opened =
  /** `token` when a letter with a link has to be sent; undefined when this attempt was seen. */
  { readonly ok: true; readonly sid: string; readonly token?: string } | { readonly ok: false; readonly wait: number }

/**
 * Opens the session of a request, or finds it again. With `hasLink` false the session is never proven: it is there so
 * that nobody can tell from the answers. Of two requests with the same attempt, one is given a token.
 */
export async function openEmailSession({ DB }: Env, asked: Asked, hasLink: boolean): Promise<Opened> {
  const { purpose, address, sendAttempt, nextLink = null } = asked
  const db = drizzle(DB)
  const now = Date.now()
  await db.delete(sessions).where(lt(sessions.expiresAt, now))
  const clientSecretHash = hashToken(asked.clientSecret)
  const own = and(
    eq(sessions.purpose, purpose),
    eq(sessions.address, address),
    eq(sessions.clientSecretHash, clientSecretHash),
  )
  const known = await db.select().from(sessions).where(own).get()
  if (known && known.sendAttempt >= sendAttempt) return { ok: true, sid: known.sid }
  const sent = await db
    .select({ letters: sql<number>`coalesce(sum(${sessions.lettersSent}), 0)` })
    .from(sessions)
    .where(eq(sessions.address, address))
    .get()
  if ((sent?.letters ?? 0) >= mostLetters) return { ok: false, wait: lifetime }

  const token = randomText(40)
  const news = { sendAttempt, nextLink, tokenHash: hasLink ? hashToken(token) : null, expiresAt: now + lifetime }
  const [row] = await db
    .insert(sessions)
    .values({ ...news, sid: randomText(24), purpose, address, clientSecretHash, lettersSent: 1, createdAt: now })
    .onConflictDoUpdate({
      target: [sessions.purpose, sessions.address, sessions.clientSecretHash],
      set: { ...news, lettersSent: sql`${sessions.lettersSent} + 1` },
      setWhere: lt(sessions.sendAttempt, sendAttempt),
    })
    .returning({ sid: sessions.sid })
  if (row) return { ok: true, sid: row.sid, token }
  const other = await db.select({ sid: sessions.sid }).from(sessions).where(own).get()
  return other ? { ok: true, sid: other.sid } : { ok: false, wait: 1000 }
}

/** The letter was not sent: the same attempt may be made again. */
export async function takeAttemptBack({ DB }: Env, sid: string, token: string): Promise<void> {
  await drizzle(DB)
    .update(sessions)
    .set({ sendAttempt: sql`${sessions.sendAttempt} - 1` })
    .where(and(eq(sessions.sid, sid), eq(sessions.tokenHash, hashToken(token))))
}

/** What a link is about; undefined for one that was never made, was replaced by a newer one, or is too old. */
export async function findByLink({ DB }: Env, token: string) {
  return drizzle(DB)
    .select({ purpose: sessions.purpose, address: sessions.address, nextLink: sessions.nextLink })
    .from(sessions)
    .where(and(eq(sessions.tokenHash, hashToken(token)), gt(sessions.expiresAt, Date.now())))
    .get()
}

/** Notes that whoever has the link confirms. Confirming twice is no failure. False for a link that is not good. */
export async function confirmByLink(env: Env, token: string): Promise<boolean> {
  const now = Date.now()
  await drizzle(env.DB)
    .update(sessions)
    .set({ validatedAt: now, expiresAt: now + lifetime })
    .where(and(eq(sessions.tokenHash, hashToken(token)), gt(sessions.expiresAt, now), isNull(sessions.validatedAt)))
  return (await findByLink(env, token)) !== undefined
}

/** The address that a session has proven for this purpose, for the client which opened it. */
export async function provenAddress(
  { DB }: Env,
  proof: { readonly sid: string; readonly clientSecret: string; readonly purpose: Purpose },
): Promise<ProvenAddress | undefined> {
  const row = await drizzle(DB)
    .select({ sid: sessions.sid, address: sessions.address, validatedAt: sessions.validatedAt })
    .from(sessions)
    .where(
      and(
        eq(sessions.sid, proof.sid),
        eq(sessions.clientSecretHash, hashToken(proof.clientSecret)),
        eq(sessions.purpose, proof.purpose),
        isNotNull(sessions.validatedAt),
        gt(sessions.expiresAt, Date.now()),
      ),
    )
    .get()
  return row && row.validatedAt !== null ? { ...row, validatedAt: row.validatedAt } : undefined
}

/** The same by the session alone, for a request whose earlier stage has checked the secret. */
export async function provenBySession({ DB }: Env, sid: string): Promise<ProvenAddress | undefined> {
  const row = await drizzle(DB)
    .select({ sid: sessions.sid, address: sessions.address, validatedAt: sessions.validatedAt })
    .from(sessions)
    .where(and(eq(sessions.sid, sid), isNotNull(sessions.validatedAt), gt(sessions.expiresAt, Date.now())))
    .get()
  return row && row.validatedAt !== null ? { ...row, validatedAt: row.validatedAt } : undefined
}

/** Uses a proof up. False when it was used before. */
export async function useProofUp({ DB }: Env, sid: string): Promise<boolean> {
  const gone = await drizzle(DB).delete(sessions).where(eq(sessions.sid, sid)).returning({ sid: sessions.sid })
  return gone.length === 1
}
