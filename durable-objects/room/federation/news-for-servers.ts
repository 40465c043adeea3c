/**
 * Who else has to hear of our events: the other servers in the room, through the federation sender.
 *
 * Spec: server-server-api/#transactions. The sender is told that there is news and for whom; it fetches the events here when
 * a server can take them. Told once for a burst; if this object dies before the sender heard, the `settle` alarm of
 * `notify.ts`, set in the turn that stored the events, finds that and tells again.
 */
import { redact } from '#protocol/events/redaction.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { signatureKeyIds } from '#protocol/signing/sign-json.ts'

import { horizonOf, isOver } from '../retention/expiry.ts'
import type { Room } from '../room.ts'
import { serverSightOf } from '../server-visibility.ts'
import { newcomersToSticky, stickyFor } from '../sticky/sticky-news.ts'
import type { Nid } from '../stored-event.ts'
import { entriesAfter } from './holes.ts'
import { farewells, partedBy, serverOf } from './parted-servers.ts'

export interface ServerNews {
  readonly roomId: RoomId
  /** Events after this position… */
  readonly after: number
  /** …up to this one. */
  readonly pos: number
  readonly destinations: ServerName[]
  /** They may have had it, and did not understand what it was for. */
  readonly again?: boolean
}

/** More events than this of one stay behind, a server gets the newest alone: they lead it to the rest. */
const maxBehind = 50

/**
 * A server that has just joined may not take anything yet: it reads the answer to its join, and drops what is of a room that it
 * does not know (so Synapse does). What nothing else would lead it to is told to it again after this, in milliseconds.
 */
const arrival = 3_000

/** Live events that we send: made here, or let in by us as resident server (`relayed`). */
const ours = "(substr(sender, instr(sender, ':') + 1) = ? OR pos IN (SELECT pos FROM relayed))"

export class NewsForServers {
  readonly #room: Room
  readonly #tell: (news: ServerNews) => Promise<void>
  /** Servers that we have told again that we left. */
  readonly #reminded = new Set<ServerName>()
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

  /** The position up to which the sender knows. */
  get told(): number {
    const { reader } = this.#room
    return this.#told ?? (reader.isKnown() ? reader.header().toldPos : 0)
  }

  /** The newest event is known to the other servers: a join over one of them, which that server passes on. */
  noteKnown(): void {
    const { pos } = this.#room.reader.header()
    // What they have not been told of before stays to be told; hearing of the join twice does no harm.
    if (this.told === pos - 1) this.#told = pos
  }

  /** A server sends events of a room that nobody of ours is in any more: it has not heard that we left. */
  async farewell(server: ServerName): Promise<void> {
    const { reader } = this.#room
    const events = this.#reminded.has(server) ? [] : reader.events(farewells(this.#room))
    const positions = events.map(({ pos }) => pos).filter((pos) => pos !== undefined)
    if (positions.length === 0 || !serverSightOf(this.#room, server).hadMembers) return
    this.#reminded.add(server)
    const { roomId, pos } = reader.header()
    await this.#tell({ roomId, after: Math.min(...positions) - 1, pos, destinations: [server], again: true })
  }

  /** Servers that were in the room all the time, and of which we did not know: they get what they missed. */
  async catchUp(servers: ServerName[], after: number): Promise<void> {
    const { roomId, pos } = this.#room.reader.header()
    if (servers.length > 0) await this.#tell({ roomId, after, pos, destinations: servers })
  }

  async #tellAll(): Promise<void> {
    const { reader } = this.#room
    if (!reader.isKnown()) return
    const { roomId, pos } = reader.header()
    const after = this.told
    if (after === pos) return
    const destinations = destinationsOf(this.#room, after)
    const newcomers = newcomersToSticky(this.#room, after, Date.now())
    const others = newcomers ? destinations.filter((server) => !newcomers.servers.includes(server)) : destinations
    if (others.length > 0) await this.#tell({ roomId, after, pos, destinations: others })
    if (newcomers) {
      const news = { roomId, after: newcomers.after, pos, destinations: newcomers.servers, again: true }
      await this.#tell(news)
      setTimeout(() => void this.#tell(news).catch(() => undefined), arrival)
    }
    this.#told = pos
  }
}

/**
 * Servers that must get our events after a position: those in the room, those of users who came, went or were invited, and
 * those that are not in the room any more and cannot know yet. What each gets of it is decided in `pdusFor`.
 */
function destinationsOf(room: Room, after: number): ServerName[] {
  const { reader } = room
  const query = `SELECT nid FROM events WHERE pos IS NOT NULL AND pos > ? AND outcome = 0 AND ${ours}`
  const events = reader.sql.exec<{ nid: Nid }>(query, after, reader.serverName).toArray()
  if (events.length === 0) return []
  const servers = new Set(reader.serversIn())
  const members = `SELECT DISTINCT state_key AS userId FROM events WHERE pos > ? AND outcome = 0 AND type = 'm.room.member'`
  for (const { userId } of reader.sql.exec<{ userId: string }>(members, after)) {
    const server = serverOf(userId)
    if (server) servers.add(server)
  }
  for (const { nid } of events) for (const server of partedBy(room, reader.eventOf(nid))) servers.add(server)
  servers.delete(reader.serverName)
  return [...servers]
}

/**
 * What the sender sends to one server: our events after a position, in the room's order, the position up to which that is
 * all, and whether there is more. Of each event the server hears if it was in the room then, or if the event is about one of its users: not of what
 * was said before it came, however far back a sender that has lost its memory asks, but of all until it left. While it is in the room, it also hears of what
 * is sticky (sticky/sticky-news.ts). A server that
 * the event finds to have left (parted-servers.ts) gets what a redaction leaves of it; so does one that has to hear that we
 * left.
 */
export function pdusFor(
  room: Room,
  { destination, after, limit }: { destination: ServerName; after: number; limit: number },
): { pdus: JsonObject[]; upTo: number; more: boolean } {
  const { reader } = room
  if (!reader.isKnown()) return { pdus: [], upTo: after, more: false }
  const { pos } = reader.header()
  const chosen = withSticky(room, [...chosenFor(room, destination, after)], destination, after)
  const page = chosen.toReversed().slice(0, limit)
  const more = page.length < chosen.length
  const upTo = more ? (page.at(-1)?.pos ?? after) : pos
  const horizon = horizonOf(room)
  const whole = new Set(page.filter(({ isWhole }) => isWhole).map(({ nid }) => nid))
  const pdus = reader
    .events(page.map(({ nid }) => nid))
    .map((event) =>
      whole.has(event.nid) && !isOver(event, horizon) ? event.pdu.json : redact(reader.rules, event.pdu.json),
    )
  return { pdus, upTo, more }
}

interface Chosen {
  readonly nid: Nid
  readonly pos: number
  readonly isWhole: boolean
}

/** The chosen and what is sticky, newest first. */
function withSticky(room: Room, chosen: readonly Chosen[], destination: ServerName, after: number): readonly Chosen[] {
  const sticky = stickyFor(room, destination, after, Date.now())
  if (sticky.length === 0) return chosen
  const whole = new Map([...chosen, ...sticky].map(({ nid, pos }) => [nid, pos]))
  const isWhole = new Set([...chosen.filter((each) => each.isWhole), ...sticky].map(({ nid }) => nid))
  return [...whole].map(([nid, pos]) => ({ nid, pos, isWhole: isWhole.has(nid) })).sort((a, b) => b.pos - a.pos)
}

/**
 * What a server is sent of our events after a position, newest first. Of very many the newest lead it to the others, but only
 * to those of one stay of ours: when we come back to a room, our join builds on what the others have, and nothing cites what
 * we said last before we left.
 *
 *      a ◄── … ◄── b ◄── our join ◄── our newest
 *             ▲
 *             └── ours ◄── our leave, which nobody heard of
 */
function* chosenFor(room: Room, destination: ServerName, after: number): Generator<Chosen> {
  const { reader } = room
  const isIn = presenceSince(room, destination, after)
  const goodbyes = new Set(farewells(room))
  const query = `SELECT nid, pos, type, state_key AS stateKey, sender FROM events
    WHERE pos IS NOT NULL AND pos > ? AND pos < ? AND outcome = 0 AND ${ours} ORDER BY pos DESC`
  let end = Number.MAX_SAFE_INTEGER
  for (const entry of [...entriesAfter(room, after), after + 1]) {
    const rows = reader.sql.exec<{ nid: Nid; pos: number; type: string; stateKey: string | null; sender: string }>(
      query,
      entry - 1,
      end,
      reader.serverName,
    )
    let count = 0
    for (const { nid, pos, type, stateKey, sender } of rows) {
      // A join, leave or knock over us, which its own server made.
      if (sender === stateKey && serverOf(sender) === destination) continue
      const isTheirs = type === 'm.room.member' && stateKey !== null && serverOf(stateKey) === destination
      const isWhole = isIn(nid) || (isTheirs && !hasSigned(room, nid, destination))
      if (!isWhole && !goodbyes.has(nid) && !partedBy(room, reader.eventOf(nid)).has(destination)) continue
      yield { nid, pos, isWhole }
      if (++count === maxBehind) break
    }
    end = entry
  }
}

/** Of an invite: the server got it by `/invite`. Only servers in the room get it "again through a federation transaction". */
function hasSigned({ reader }: Room, nid: Nid, server: ServerName): boolean {
  return signatureKeyIds(reader.eventOf(nid).pdu.json, server).length > 0
}

/** Whether a server was in the room at an event after a position. As now, unless one of its users came or went since. */
function presenceSince(room: Room, server: ServerName, after: number): (nid: Nid) => boolean {
  const { reader } = room
  const query = `SELECT 1 AS found FROM events WHERE pos > ? AND type = 'm.room.member'
    AND substr(state_key, instr(state_key, ':') + 1) = ? LIMIT 1`
  // Of whom of theirs is here we know nothing yet, but that somebody was.
  if (reader.partial.servers.has(server)) return () => true
  const isIn = reader.joinedServers().has(server)
  if (isIn && reader.sql.exec(query, after, server).toArray().length === 0) return () => true
  const sight = serverSightOf(room, server)
  return (nid) => sight.wasJoinedAt(reader.eventOf(nid))
}

/** An event of another server that we let in, and so pass on: a join, leave or knock over us, or an invite we signed. */
export function noteRelayed({ reader }: Room, eventId: EventId): void {
  const pos = reader.eventById(eventId)?.pos
  if (pos !== undefined) reader.sql.exec('INSERT OR IGNORE INTO relayed(pos) VALUES (?)', pos)
}
