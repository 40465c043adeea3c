/**
 * Events that wait for what they build on: written down at once, so that the server that sent them need not send them again,
 * whatever happens to this object meanwhile.
 *
 * Whoever is in the room can send any number of events that cite what nobody has. So there are bounds, shared out among the
 * servers that sent them: one that fills them up loses its own events, and no other's.
 */
import { pduFromStored } from '#protocol/events/event-format.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import type { Room } from '../room.ts'

/** What has to be known of an event that waits: all but its content, which may be 64 kB. */
export interface Staged {
  readonly eventId: EventId
  readonly sender: UserId
  readonly authEvents: readonly EventId[]
  readonly prevEvents: readonly EventId[]
  /** Who sent it, and so can be asked for what it builds on. */
  readonly origin: ServerName
  readonly tries: number
}

/** More than this cannot wait in one room: events, and characters of their JSON. */
export const maxStaged = { events: 2_000, characters: 16 * 1024 * 1024 }

type Row = { event_id: EventId; origin: ServerName; tries: number; head: string | null }
type Share = { origin: ServerName; events: number; characters: number }

/** False when there is no place left for one more of that server. */
export function stage(room: Room, pdu: Pdu, origin: ServerName): boolean {
  const { sql } = room.reader
  if (isStaged(room, pdu.event_id)) return true
  const json = JSON.stringify(pdu.json)
  if (!makePlace(room, origin, json.length)) return false
  sql.exec(
    'INSERT INTO staged(event_id, depth, origin, size, head, json) VALUES (?, ?, ?, ?, ?, ?)',
    pdu.event_id,
    pdu.depth,
    origin,
    json.length,
    headOf(pdu),
    json,
  )
  return true
}

function headOf({ sender, auth_events: authEvents, prev_events: prevEvents }: Pdu): string {
  return JSON.stringify({ sender, authEvents, prevEvents })
}

/** Where it is full, those who take more than who sends this one lose what was tried most often and came last in the DAG. */
function makePlace({ reader: { sql } }: Room, origin: ServerName, characters: number): boolean {
  const shares = sql
    .exec<Share>('SELECT origin, count(*) AS events, sum(size) AS characters FROM staged GROUP BY origin')
    .toArray()
  const total = { events: 1, characters }
  for (const share of shares) {
    total.events += share.events
    total.characters += share.characters
  }
  const weight = (share: Omit<Share, 'origin'>) =>
    Math.max(share.events / maxStaged.events, share.characters / maxStaged.characters)
  const own = shares.find((share) => share.origin === origin) ?? { events: 0, characters: 0 }
  const wanted = weight({ events: own.events + 1, characters: own.characters + characters })
  while (total.events > maxStaged.events || total.characters > maxStaged.characters) {
    const heaviest = shares.reduce((one, other) => (weight(other) > weight(one) ? other : one))
    if (heaviest.origin === origin || weight(heaviest) <= wanted) return false
    const query = `DELETE FROM staged WHERE event_id =
      (SELECT event_id FROM staged WHERE origin = ? ORDER BY tries DESC, depth DESC LIMIT 1) RETURNING size`
    const { size } = sql.exec<{ size: number }>(query, heaviest.origin).one()
    for (const each of [heaviest, total]) {
      each.events -= 1
      each.characters -= size
    }
  }
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

/**
 * All that wait, those tried least first; then each server's in turn, so that no server has others wait for its own; of one
 * server by depth: what others build on comes before them.
 */
export function stagedEvents({ reader }: Room): Staged[] {
  const turns = new Map<string, number>()
  const query = 'SELECT event_id, origin, tries, head FROM staged ORDER BY tries, depth, event_id'
  const staged = [...reader.sql.exec<Row>(query)].map((row) => {
    const name = `${row.tries} ${row.origin}`
    const turn = turns.get(name) ?? 0
    turns.set(name, turn + 1)
    return { turn, event: { ...readHead(reader, row), eventId: row.event_id, origin: row.origin, tries: row.tries } }
  })
  return staged.sort((a, b) => a.event.tries - b.event.tries || a.turn - b.turn).map(({ event }) => event)
}

function readHead(
  reader: Room['reader'],
  { event_id, head }: Row,
): Pick<Staged, 'sender' | 'authEvents' | 'prevEvents'> {
  // One from before heads were written down.
  return JSON.parse(head ?? headOf(readPdu(reader, event_id)))
}

/** The event itself. Throws where it does not wait any more. */
export function stagedPdu({ reader }: Room, eventId: EventId): Pdu {
  return readPdu(reader, eventId)
}

function readPdu(reader: Room['reader'], eventId: EventId): Pdu {
  const { json } = reader.sql.exec<{ json: string }>('SELECT json FROM staged WHERE event_id = ?', eventId).one()
  return pduFromStored(reader.rules, JSON.parse(json), eventId)
}

/** One more try was in vain. */
export function noteTry({ reader }: Room, eventId: EventId): void {
  reader.sql.exec('UPDATE staged SET tries = tries + 1 WHERE event_id = ?', eventId)
}
