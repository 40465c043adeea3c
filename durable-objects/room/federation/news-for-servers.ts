/**
 * Who else has to hear of our events: the other servers in the room, through the federation sender.
 *
 * Spec: server-server-api/#transactions. The sender is told that there is news and for whom; it fetches the events here when
 * a server can take them. Told once for a burst; if this object dies before the sender heard, the `settle` alarm of
 * `notify.ts`, set in the turn that stored the events, finds that and tells again.
 */
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import { parseServerName, type ServerName } from '#protocol/identifiers/server-name.ts'
import type { JsonObject } from '#protocol/json/json.ts'

import type { Room } from '../room.ts'
import { serverSightOf } from '../server-visibility.ts'
import type { Nid } from '../stored-event.ts'

export interface ServerNews {
  readonly roomId: RoomId
  /** Events after this position… */
  readonly after: number
  /** …up to this one. */
  readonly pos: number
  readonly destinations: ServerName[]
}

/** More events than this behind, a server gets the newest alone: they lead it to the rest. */
const maxBehind = 50

/** Live events that we send: made here, or let in by us as resident server (`relayed`). */
const ours = "(substr(sender, instr(sender, ':') + 1) = ? OR pos IN (SELECT pos FROM relayed))"

export class NewsForServers {
  readonly #room: Room
  readonly #tell: (news: ServerNews) => Promise<void>
  #told: number | undefined
  #telling: Promise<void> | undefined

  constructor(room: Room, tell: (news: ServerNews) => Promise<void>) {
    this.#room = room
    this.#tell = tell
  }

  /** Events were stored. The promise resolves when the sender knows, and rejects if it could not be told. */
  async changed(): Promise<void> {
    // What is stored while one call is under way goes with the next.
    const before = this.#telling
    if (before) await before.catch(() => undefined)
    this.#telling ??= this.#tellAll().finally(() => {
      this.#telling = undefined
    })
    await this.#telling
  }

  /** Everything up to here is known to the other servers: a join over one of them, which that server passes on. */
  noteKnown(): void {
    this.#told = this.#room.reader.header().pos
  }

  async #tellAll(): Promise<void> {
    const { reader } = this.#room
    if (!reader.isKnown()) return
    const { roomId, pos, toldPos } = reader.header()
    const after = this.#told ?? toldPos
    if (after === pos) return
    const destinations = destinationsOf(this.#room, after)
    if (destinations.length > 0) await this.#tell({ roomId, after, pos, destinations })
    this.#told = pos
  }
}

/** Servers that must get our events after a position: those in the room, and those whose users the events were about. */
function destinationsOf(room: Room, after: number): ServerName[] {
  const { reader } = room
  const query = `SELECT type, state_key AS stateKey FROM events WHERE pos IS NOT NULL AND pos > ? AND outcome = 0 AND ${ours}`
  const events = reader.sql.exec<{ type: string; stateKey: string | null }>(query, after, reader.serverName).toArray()
  if (events.length === 0) return []
  const servers = new Set(reader.joinedServers())
  for (const { type, stateKey } of events) {
    const server = type === 'm.room.member' && stateKey !== null ? serverOf(stateKey) : undefined
    if (server) servers.add(server)
  }
  servers.delete(reader.serverName)
  return [...servers]
}

/**
 * What the sender sends to one server: our events after a position, in the room's order, and the position up to which that
 * is all. Of each event the server hears if it was in the room then, or if the event is about one of its users: not of what
 * was said before it came, however far back a sender that has lost its memory asks, but of all until it left.
 */
export function pdusFor(
  room: Room,
  { destination, after, limit }: { destination: ServerName; after: number; limit: number },
): { pdus: JsonObject[]; upTo: number } {
  const { reader } = room
  if (!reader.isKnown()) return { pdus: [], upTo: after }
  const { pos } = reader.header()
  const query = `SELECT nid, pos, type, state_key AS stateKey FROM events WHERE pos IS NOT NULL AND pos > ? AND outcome = 0 AND ${ours} ORDER BY pos DESC`
  const rows = reader.sql.exec<{ nid: Nid; pos: number; type: string; stateKey: string | null }>(
    query,
    after,
    reader.serverName,
  )
  const isIn = presenceSince(room, destination, after)
  const chosen: { nid: Nid; pos: number }[] = []
  for (const row of rows) {
    const { nid, type, stateKey } = row
    const isTheirs = type === 'm.room.member' && stateKey !== null && serverOf(stateKey) === destination
    if (isTheirs || isIn(nid)) chosen.push(row)
    if (chosen.length === maxBehind) break
  }
  const page = chosen.toReversed().slice(0, limit)
  const upTo = page.length < chosen.length ? (page.at(-1)?.pos ?? after) : pos
  return { pdus: reader.events(page.map(({ nid }) => nid)).map(({ pdu }) => pdu.json), upTo }
}

/** Whether a server was in the room at an event after a position. As now, unless one of its users came or went since. */
function presenceSince(room: Room, server: ServerName, after: number): (nid: Nid) => boolean {
  const { reader } = room
  const query = `SELECT 1 AS found FROM events WHERE pos > ? AND type = 'm.room.member'
    AND substr(state_key, instr(state_key, ':') + 1) = ? LIMIT 1`
  if (reader.sql.exec(query, after, server).toArray().length === 0) {
    const isIn = reader.joinedServers().has(server)
    return () => isIn
  }
  const sight = serverSightOf(room, server)
  return (nid) => sight.wasJoinedAt(reader.eventOf(nid))
}

/** An event of another server that we let in, and so pass on: a join, leave or knock over us, or an invite we signed. */
export function noteRelayed({ reader }: Room, eventId: EventId): void {
  const pos = reader.eventById(eventId)?.pos
  if (pos !== undefined) reader.sql.exec('INSERT OR IGNORE INTO relayed(pos) VALUES (?)', pos)
}

function serverOf(userId: string): ServerName | undefined {
  return parseServerName(userId.slice(userId.indexOf(':') + 1))
}
