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
 * is all. A server that is not in the room (any more) gets what concerns its own users alone.
 */
export function pdusFor(
  room: Room,
  { destination, after, limit }: { destination: ServerName; after: number; limit: number },
): { pdus: JsonObject[]; upTo: number } {
  const { reader } = room
  if (!reader.isKnown()) return { pdus: [], upTo: after }
  const { pos } = reader.header()
  const query = `SELECT nid, pos, type, state_key AS stateKey FROM events WHERE pos IS NOT NULL AND pos > ? AND outcome = 0 AND ${ours} ORDER BY pos`
  const rows = reader.sql
    .exec<{ nid: Nid; pos: number; type: string; stateKey: string | null }>(query, after, reader.serverName)
    .toArray()
  const isIn = reader.joinedServers().has(destination)
  const meant = rows.filter(
    ({ type, stateKey }) =>
      isIn || (type === 'm.room.member' && stateKey !== null && serverOf(stateKey) === destination),
  )
  const chosen = meant.length > maxBehind ? meant.slice(-maxBehind) : meant
  const page = chosen.slice(0, limit)
  const upTo = page.length < chosen.length ? (page.at(-1)?.pos ?? after) : pos
  return { pdus: reader.events(page.map(({ nid }) => nid)).map(({ pdu }) => pdu.json), upTo }
}

/** An event of another server that we let in, and so pass on: a join, leave or knock over us, or an invite we signed. */
export function noteRelayed({ reader }: Room, eventId: EventId): void {
  const pos = reader.eventById(eventId)?.pos
  if (pos !== undefined) reader.sql.exec('INSERT OR IGNORE INTO relayed(pos) VALUES (?)', pos)
}

function serverOf(userId: string): ServerName | undefined {
  return parseServerName(userId.slice(userId.indexOf(':') + 1))
}
