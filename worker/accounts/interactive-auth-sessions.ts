/** Sessions of the User-Interactive Authentication API in D1. They live for an hour. */
import { and, eq, gt, lt } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/d1'

import type { Env } from '../env.ts'
import { interactiveAuthSessions as sessions } from './schema.ts'
import { randomText } from './tokens.ts'

const lifetime = 60 * 60_000

export interface Session {
  readonly session: string
  /** What it may be used for. */
  readonly purpose: string
  readonly completed: readonly string[]
  readonly registrationToken?: string
  /** The e-mail session that passed `m.login.email.identity`. */
  readonly emailSession?: string
}

/** Begins a session; those that have run out go. */
export async function openSession({ DB }: Env, purpose: string): Promise<Session> {
  const session = randomText(24)
  const db = drizzle(DB)
  const now = Date.now()
  await db.batch([
    db.delete(sessions).where(lt(sessions.createdAt, now - lifetime)),
    db.insert(sessions).values({ session, purpose, completed: '[]', createdAt: now }),
  ])
  return { session, purpose, completed: [] }
}

export async function findSession({ DB }: Env, session: string): Promise<Session | undefined> {
  const row = await drizzle(DB)
    .select()
    .from(sessions)
    .where(and(eq(sessions.session, session), gt(sessions.createdAt, Date.now() - lifetime)))
    .get()
  if (!row) return undefined
  const { purpose, registrationToken, emailSession } = row
  const completed: string[] = JSON.parse(row.completed)
  return {
    session,
    purpose,
    completed,
    ...(registrationToken === null ? {} : { registrationToken }),
    ...(emailSession === null ? {} : { emailSession }),
  }
}

/** Writes down how far a session is. */
export async function saveStage(
  { DB }: Env,
  session: string,
  {
    completed,
    registrationToken,
    emailSession,
  }: { completed: readonly string[]; registrationToken?: string; emailSession?: string },
): Promise<void> {
  await drizzle(DB)
    .update(sessions)
    .set({
      completed: JSON.stringify(completed),
      registrationToken: registrationToken ?? null,
      emailSession: emailSession ?? null,
    })
    .where(eq(sessions.session, session))
}

/** Ends a session. False when it was ended before. */
export async function consumeSession({ DB }: Env, session: string): Promise<boolean> {
  const gone = await drizzle(DB)
    .delete(sessions)
    .where(eq(sessions.session, session))
    .returning({ session: sessions.session })
  return gone.length === 1
}
