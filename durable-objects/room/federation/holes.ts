/**
 * Holes: events that others cite and this server lacks, of the time in which it was in the room.
 *
 *     create ◄── … ◄── entry ◄── a ◄── [hole] ◄── b       fetched, for as long as it takes
 *          history, fetched when somebody reads it
 */
import type { EventId } from '#protocol/identifiers/event-id.ts'

import type { Room } from '../room.ts'

export interface Hole {
  readonly eventId: EventId
  readonly tries: number
}

/** Joins by which the room came here over another server; one that came late has a lower depth than the last of them. */
const entries = `timeline_gaps JOIN events USING (pos)
  WHERE type = 'm.room.member' AND sender = state_key AND substr(sender, instr(sender, ':') + 1) = ?
  AND json ->> '$.content.membership' = 'join'`

/** Depth of the join by which the room last came here over another server; 0 for a room that began here. */
export function entryDepth({ reader }: Room): number {
  const query = `SELECT coalesce(max(depth), 0) AS depth FROM ${entries}`
  return reader.sql.exec<{ depth: number }>(query, reader.serverName).one().depth
}

/** Positions after a position at which the room came here over another server, newest first. */
export function entriesAfter({ reader }: Room, after: number): number[] {
  const query = `SELECT pos FROM ${entries} AND pos > ? ORDER BY pos DESC`
  return reader.sql
    .exec<{ pos: number }>(query, reader.serverName, after)
    .toArray()
    .map(({ pos }) => pos)
}

/** Holes before events that came after the entry, those tried least first, then the newest. */
export function holesSinceEntry(room: Room, limit: number): Hole[] {
  const query =
    'SELECT event_id AS eventId, tries FROM missing_events WHERE depth > ? ORDER BY tries, depth DESC LIMIT ?'
  return room.reader.sql.exec<{ eventId: EventId; tries: number }>(query, entryDepth(room), limit).toArray()
}

/** One more try was in vain. */
export function noteHoleTry({ reader }: Room, eventId: EventId): void {
  reader.sql.exec('UPDATE missing_events SET tries = tries + 1 WHERE event_id = ?', eventId)
}
