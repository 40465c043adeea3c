/**
 * Events that wait for what they build on: written down at once, so that the server that sent them need not send them again,
 * whatever happens to this object meanwhile.
 */
import { pduFromStored } from '#protocol/events/event-format.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'

import type { Room } from '../room.ts'

export interface Staged {
  readonly pdu: Pdu
  /** Who sent it, and so can be asked for what it builds on. */
  readonly origin: ServerName
  readonly tries: number
}

/** More than this many cannot wait in one room: the oldest knowledge is worth most, so newcomers are turned away. */
export const maxStaged = 2_000

type Row = { event_id: EventId; json: string; origin: ServerName; tries: number }

/** False when there is no place left. */
export function stage(room: Room, pdu: Pdu, origin: ServerName): boolean {
  if (stagedCount(room) >= maxStaged) return false
  room.reader.sql.exec(
    'INSERT OR IGNORE INTO staged(event_id, depth, json, origin) VALUES (?, ?, ?, ?)',
    pdu.event_id,
    pdu.depth,
    JSON.stringify(pdu.json),
    origin,
  )
  return true
}

/** How many events wait. */
export function stagedCount({ reader }: Room): number {
  return reader.sql.exec<{ waiting: number }>('SELECT count(*) AS waiting FROM staged').one().waiting
}

/** How often those were tried that were tried least; undefined when none waits. */
export function leastTries({ reader }: Room): number | undefined {
  return reader.sql.exec<{ tries: number | null }>('SELECT min(tries) AS tries FROM staged').one().tries ?? undefined
}

export function unstage({ reader }: Room, eventId: EventId): void {
  reader.sql.exec('DELETE FROM staged WHERE event_id = ?', eventId)
}

export function isStaged({ reader }: Room, eventId: EventId): boolean {
  return reader.sql.exec('SELECT 1 AS found FROM staged WHERE event_id = ?', eventId).toArray().length > 0
}

/** All that wait, those tried least first, then by depth: what others build on comes before them. */
export function stagedEvents({ reader }: Room): Staged[] {
  return reader.sql
    .exec<Row>('SELECT event_id, json, origin, tries FROM staged ORDER BY tries, depth, event_id')
    .toArray()
    .map((row) => ({
      pdu: pduFromStored(reader.rules, JSON.parse(row.json), row.event_id),
      origin: row.origin,
      tries: row.tries,
    }))
}

/** One more try was in vain. */
export function noteTry({ reader }: Room, eventId: EventId): void {
  reader.sql.exec('UPDATE staged SET tries = tries + 1 WHERE event_id = ?', eventId)
}
