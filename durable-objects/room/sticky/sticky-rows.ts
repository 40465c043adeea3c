/**
 * The rows of what is sticky in a room. A room that has nothing sticky is not even asked: its header says until when anything
 * may be. What has expired is passed over by every reader, and goes when the next one comes; nothing wakes for it.
 *
 * `pos` is the position at which clients hear of an event. Mostly it is the event's own, but what was soft-failed first, or
 * fetched from the past, has none.
 */
import type { StickyFacts } from '../../user-sync/sliding/room-facts.ts'
import type { Room } from '../room.ts'
import { type Nid, outcomes, type StoredEvent } from '../stored-event.ts'

export interface StickyRow {
  readonly nid: Nid
  readonly pos: number
}

/** Whether anything may be sticky; `now` in ms since 1970, as everywhere here. */
export function hasSticky({ reader }: Room, now: number): boolean {
  return reader.isKnown() && reader.header().stickyUntil > now
}

/** Notes a sticky event, and forgets those that are sticky no more. Without `pos` clients do not hear of it yet. */
export function stick(
  { reader, transactor }: Room,
  { nid, pos, expiresAt }: { readonly nid: Nid; readonly pos: number | undefined; readonly expiresAt: number },
  now: number,
): void {
  reader.sql.exec('DELETE FROM sticky_events WHERE expires_at <= ?', now)
  const query = `INSERT INTO sticky_events(nid, pos, expires_at) VALUES (?1, ?2, ?3)
    ON CONFLICT(nid) DO UPDATE SET pos = ?2, expires_at = min(expires_at, ?3)`
  reader.sql.exec(query, nid, pos ?? null, expiresAt)
  transactor.setHeader({ stickyUntil: Math.max(expiresAt, reader.header().stickyUntil) })
}

/** From this position on clients hear of an event that is noted. */
export function showSticky({ reader }: Room, nid: Nid, pos: number): void {
  reader.sql.exec('UPDATE sticky_events SET pos = ? WHERE nid = ?', pos, nid)
}

/** An event is not sticky any more, if it was. "A redacted sticky event is the same as a normal event." */
export function unstick({ reader }: Room, { nid }: StoredEvent): void {
  if (reader.header().stickyUntil > 0) reader.sql.exec('DELETE FROM sticky_events WHERE nid = ?', nid)
}

/** Until when an event is sticky, in ms since 1970; undefined for one that is not. */
export function stickyUntilOf(room: Room, { nid }: StoredEvent, now: number): number | undefined {
  if (!hasSticky(room, now)) return undefined
  const query = 'SELECT expires_at AS until FROM sticky_events WHERE nid = ? AND expires_at > ?'
  return room.reader.sql.exec<{ until: number }>(query, nid, now).toArray()[0]?.until
}

/** Soft-failed ones, oldest first. */
export function softFailedSticky(room: Room, limit: number, now: number): Nid[] {
  if (!hasSticky(room, now)) return []
  const query = 'SELECT nid FROM sticky_events WHERE pos IS NULL AND expires_at > ? ORDER BY nid LIMIT ?'
  return [...room.reader.sql.exec<{ nid: Nid }>(query, now, limit)].map(({ nid }) => nid)
}

/** What clients hear of between two positions, in that order, as it is asked for. */
export function* stickyBetween(
  room: Room,
  { after, upTo }: { readonly after: number; readonly upTo: number },
  now: number,
): Generator<StickyRow> {
  if (!hasSticky(room, now)) return
  const query = `SELECT nid, pos FROM sticky_events WHERE pos > ? AND pos <= ? AND expires_at > ? ORDER BY pos LIMIT ?`
  for (let at = after; ;) {
    const rows = room.reader.sql.exec<{ nid: Nid; pos: number }>(query, at, upTo, now, perRead).toArray()
    yield* rows
    const last = rows.at(-1)
    if (!last || rows.length < perRead) return
    at = last.pos
  }
}

const perRead = 200

/** What users' objects are told of it (user-sync/sliding/read-sticky.ts); nothing where nothing is sticky. */
export function stickyFacts(room: Room, now: number): { readonly stickyFacts?: StickyFacts } {
  if (!hasSticky(room, now)) return {}
  const query = 'SELECT max(pos) AS pos FROM sticky_events WHERE expires_at > ?'
  const { pos } = room.reader.sql.exec<{ pos: number | null }>(query, now).one()
  return pos === null ? {} : { stickyFacts: { pos, until: room.reader.header().stickyUntil } }
}

/** Those of our own users, with their own positions, oldest first: other servers must have them. */
export function ownSticky(room: Room, now: number): StickyRow[] {
  if (!hasSticky(room, now)) return []
  const { reader } = room
  const query = `SELECT nid, events.pos AS pos FROM sticky_events JOIN events USING (nid)
    WHERE events.pos IS NOT NULL AND outcome = ${outcomes.accepted} AND expires_at > ?
    AND substr(sender, instr(sender, ':') + 1) = ? ORDER BY events.pos`
  return reader.sql.exec<{ nid: Nid; pos: number }>(query, now, reader.serverName).toArray()
}
