/**
 * Places where two devices leave each other messages, before one of them is signed in: whoever knows the ID may read and
 * write, so what is written there is encrypted by the devices. MSC4108 (2024), MSC4388.
 *
 * Anybody may make one: they are small, few and short-lived. Each write names the data that it replaces, in the statement
 * that writes: of two devices that write at once one is refused.
 */
import type { Env } from '../env.ts'
import { randomText } from './tokens.ts'

export type Protocol = 'msc4108' | 'msc4388'

/** Milliseconds that a place is there, however often it is written. */
export const lifetime = 120_000
/** Places at one time, of both kinds. */
export const mostPlaces = 200
/** Bytes of data. */
export const maxData = 4096

export interface Place {
  readonly id: string
  readonly data: string
  readonly token: string
  /** Milliseconds since 1970. */
  readonly changedAt: number
  readonly expiresAt: number
}

const columns = 'id, data, token, changed_at AS changedAt, expires_at AS expiresAt'

/** Undefined where there are too many at the time. */
export async function newPlace({ DB }: Env, protocol: Protocol, data: string, now: number): Promise<Place | undefined> {
  const place = { id: randomText(24), data, token: randomText(24), changedAt: now, expiresAt: now + lifetime }
  const [, inserted] = await DB.batch([
    forgetting(DB, now),
    DB.prepare(
      `INSERT INTO rendezvous(id, protocol, data, token, changed_at, expires_at)
       SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE (SELECT count(*) FROM rendezvous) < ?7`,
    ).bind(place.id, protocol, data, place.token, now, place.expiresAt, mostPlaces),
  ])
  return inserted?.meta.changes === 1 ? place : undefined
}

export async function readPlace({ DB }: Env, protocol: Protocol, id: string, now: number): Promise<Place | undefined> {
  const query = `SELECT ${columns} FROM rendezvous WHERE id = ? AND protocol = ? AND expires_at > ?`
  return (await DB.prepare(query).bind(id, protocol, now).first<Place>()) ?? undefined
}

export type Written =
  | { readonly ok: true; readonly place: Place }
  /** `place`: as it is, where there is one. `isAgain`: that same data was written over the data that the token names. */
  | { readonly ok: false; readonly place: Place | undefined; readonly isAgain: boolean }

/** Replaces the data that `token` names; whatever data there is, where the token is undefined. */
export async function writePlace(
  { DB }: Env,
  protocol: Protocol,
  id: string,
  { token, data, now }: { readonly token: string | undefined; readonly data: string; readonly now: number },
): Promise<Written> {
  const [updated, found] = await DB.batch<Place & { readonly previousToken: string | null }>([
    DB.prepare(
      `UPDATE rendezvous SET data = ?1, previous_token = token, token = ?2, changed_at = ?3
       WHERE id = ?4 AND protocol = ?5 AND expires_at > ?3 AND (?6 IS NULL OR token = ?6) RETURNING ${columns}`,
    ).bind(data, randomText(24), now, id, protocol, token ?? null),
    DB.prepare(
      `SELECT ${columns}, previous_token AS previousToken FROM rendezvous
       WHERE id = ? AND protocol = ? AND expires_at > ?`,
    ).bind(id, protocol, now),
  ])
  const [written] = updated?.results ?? []
  if (written) return { ok: true, place: written }
  const [place] = found?.results ?? []
  return { ok: false, place, isAgain: place?.previousToken === token && place?.data === data }
}

/** False where there is none. */
export async function dropPlace({ DB }: Env, protocol: Protocol, id: string, now: number): Promise<boolean> {
  const statement = 'DELETE FROM rendezvous WHERE id = ? AND protocol = ? AND expires_at > ?'
  const { meta } = await DB.prepare(statement).bind(id, protocol, now).run()
  return meta.changes === 1
}

/** Removes what nobody can read any more: that happens with each new place too, but not where none is made. */
export async function forgetOldPlaces({ DB }: Env, now: number): Promise<void> {
  await forgetting(DB, now).run()
}

function forgetting(DB: D1Database, now: number): D1PreparedStatement {
  return DB.prepare('DELETE FROM rendezvous WHERE expires_at <= ?').bind(now)
}
