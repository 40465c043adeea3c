/**
 * Reads of a room's rows, with what was read lately kept in memory.
 *
 * Only `transactor.ts` changes rows; it tells this reader what it wrote (`note…`), or `forget` when a turn was rolled back.
 * Queries of one read operation alone (a page of messages, a sync slice) live with that operation and turn their rows into
 * events by `fromRow`.
 */
import { type StateMapKey, stateMapKey } from '#protocol/events/state-map.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { rulesOf, type RoomVersionRules } from '#protocol/room-versions/rules.ts'

import { Lru } from '../shared/lru.ts'
import { MemberTally } from './member-tally.ts'
import { PartialState } from './partial-state.ts'
import { eventColumns, type EventRow, type GroupId, type Nid, type StoredEvent, storedEvent } from './stored-event.ts'

/** The room's one row. */
export interface Header {
  readonly roomId: RoomId
  readonly rules: RoomVersionRules
  /** Forward extremities, oldest first. */
  readonly extremities: readonly Nid[]
  /** State after all extremities; undefined while the room is known from outside only (invite, knock). */
  readonly currentGroup: GroupId | undefined
  /** Newest position given out. */
  readonly pos: number
  readonly toldPos: number
  /** Until when anything here may be sticky, in ms since 1970; 0 for a room that never had such an event. */
  readonly stickyUntil: number
}

export type Membership = 'join' | 'invite' | 'knock' | 'leave' | 'ban'

/** The auth rules let no other into a room. */
export function parseMembership(value: unknown): Membership | undefined {
  return value === 'join' || value === 'invite' || value === 'knock' || value === 'leave' || value === 'ban'
    ? value
    : undefined
}

/** One place of the current state. */
export interface CurrentEntry {
  readonly nid: Nid
  /** Of `m.room.member` only. */
  readonly membership: Membership | undefined
}

/** An invite to, or knock on, a room this server is not in. */
export interface OutsideMembership {
  readonly membership: Membership
  readonly eventNid: Nid
  readonly pos: number
  /** JSON array of stripped state events. */
  readonly strippedState: string
}

type HeaderRow = {
  room_id: RoomId
  room_version: string
  extremities: string
  current_group: number | null
  pos: number
  told_pos: number
  sticky_until: number
}
type CurrentRow = { event_nid: number; membership: Membership | null }

const cachedEventCharacters = 8_000_000
const cachedStateEntries = 4_000

/** Events of a long list that are read at once. */
const eventsPerSlice = 200

export class Reader {
  readonly sql: SqlStorage
  readonly serverName: ServerName
  readonly partial: PartialState
  readonly tally: MemberTally
  /** Grows when something stored is no longer what it was: events change by redaction only. */
  changes = 0
  #known: boolean | undefined
  #header: Header | undefined
  #lastNid: Nid | undefined
  #outside: Map<UserId, OutsideMembership> | undefined
  readonly #events = new Lru<Nid, StoredEvent>(cachedEventCharacters)
  readonly #nids = new Lru<EventId, Nid>(cachedStateEntries)
  /** Places known to be empty are kept as well. */
  readonly #current = new Lru<StateMapKey, { readonly entry: CurrentEntry | undefined }>(cachedStateEntries)

  constructor(sql: SqlStorage, serverName: ServerName) {
    this.sql = sql
    this.partial = new PartialState(sql)
    this.tally = new MemberTally(sql, serverName)
    this.serverName = serverName
  }

  /** Whether this object has a room at all. For any room ID somebody made up it has not, and must not get tables. */
  isKnown(): boolean {
    this.#known ??=
      this.sql.exec("SELECT 1 AS found FROM sqlite_master WHERE type = 'table' AND name = 'room'").toArray().length >
        0 && this.sql.exec('SELECT 1 AS found FROM room').toArray().length > 0
    return this.#known
  }

  /** The room's header. Throws for a room that is not known: ask `isKnown` first. */
  header(): Header {
    this.#header ??= this.#readHeader()
    return this.#header
  }

  get rules(): RoomVersionRules {
    return this.header().rules
  }

  /** The newest nid given out; 0 in an empty room. */
  lastNid(): Nid {
    this.#lastNid ??= this.sql.exec<{ nid: number }>('SELECT coalesce(max(nid), 0) AS nid FROM events').one().nid
    return this.#lastNid
  }

  event(nid: Nid): StoredEvent | undefined {
    const cached = this.#events.get(nid)
    if (cached) return cached
    const row = this.sql.exec<EventRow>(`SELECT ${eventColumns} FROM events WHERE nid = ?`, nid).toArray()[0]
    return row && this.fromRow(row)
  }

  /** The same for an event that a row refers to, which exists. */
  eventOf(nid: Nid): StoredEvent {
    const event = this.event(nid)
    if (!event) throw new Error(`no event has nid ${nid}`)
    return event
  }

  /** Only the nid of an event: cheaper than the event where that is not in memory. */
  nidOf(eventId: EventId): Nid | undefined {
    const cached = this.#nids.get(eventId)
    if (cached !== undefined) return cached
    const row = this.sql.exec<{ nid: number }>('SELECT nid FROM events WHERE event_id = ?', eventId).toArray()[0]
    if (row) this.#nids.set(eventId, row.nid)
    return row?.nid
  }

  /** Several events, in the order asked for; unknown nids are left out. */
  events(nids: readonly Nid[]): StoredEvent[] {
    const found = new Map<Nid, StoredEvent>()
    const unread: Nid[] = []
    for (const nid of nids) {
      const cached = this.#events.get(nid)
      if (cached) found.set(nid, cached)
      else unread.push(nid)
    }
    if (unread.length > 0) {
      const query = `SELECT ${eventColumns} FROM events WHERE nid IN (SELECT value FROM json_each(?))`
      for (const row of this.sql.exec<EventRow>(query, JSON.stringify(unread))) found.set(row.nid, this.fromRow(row))
    }
    return nids.map((nid) => found.get(nid)).filter((event) => event !== undefined)
  }

  /** The same, slice by slice and in the order asked for, for very many that pass by once: what is in use stays in memory. */
  *eventSlices(nids: readonly Nid[]): Generator<StoredEvent[], void> {
    const query = `SELECT ${eventColumns} FROM events WHERE nid IN (SELECT value FROM json_each(?))`
    for (let at = 0; at < nids.length; at += eventsPerSlice) {
      const slice = nids.slice(at, at + eventsPerSlice)
      const rows = this.sql.exec<EventRow>(query, JSON.stringify(slice)).toArray()
      const found = new Map(rows.map((row) => [row.nid, this.#events.get(row.nid) ?? storedEvent(this.rules, row)]))
      yield slice.map((nid) => found.get(nid)).filter((event) => event !== undefined)
    }
  }

  eventById(eventId: EventId): StoredEvent | undefined {
    const nid = this.#nids.get(eventId)
    if (nid !== undefined) return this.event(nid)
    const row = this.sql.exec<EventRow>(`SELECT ${eventColumns} FROM events WHERE event_id = ?`, eventId).toArray()[0]
    return row && this.fromRow(row)
  }

  /** The event of a row that a caller SELECTed with `eventColumns`; kept in memory. */
  fromRow(row: EventRow): StoredEvent {
    const event = this.#events.get(row.nid) ?? storedEvent(this.rules, row)
    this.#keep(event, row.json.length)
    return event
  }

  /** What the current state holds in one place. */
  currentEntry(type: string, stateKey: string): CurrentEntry | undefined {
    const key = stateMapKey(type, stateKey)
    const cached = this.#current.get(key)
    if (cached) return cached.entry
    const query = 'SELECT event_nid, membership FROM current_state WHERE type = ? AND state_key = ?'
    const row = this.sql.exec<CurrentRow>(query, type, stateKey).toArray()[0]
    const entry = row && { nid: row.event_nid, membership: row.membership ?? undefined }
    this.#current.set(key, { entry })
    return entry
  }

  /** The event that the current state holds in one place. */
  current(type: string, stateKey: string): StoredEvent | undefined {
    const entry = this.currentEntry(type, stateKey)
    return entry && this.eventOf(entry.nid)
  }

  /** Nids of the whole current state. */
  currentState(): Nid[] {
    return this.sql
      .exec<{ nid: number }>('SELECT event_nid AS nid FROM current_state ORDER BY event_nid')
      .toArray()
      .map(({ nid }) => nid)
  }

  /**
   * Membership of a user; undefined for one who never had to do with the room. An invite or knock from outside is newer
   * than what this server knew of the room when it was last in it.
   */
  membership(user: UserId): Membership | undefined {
    return this.outsideMembership(user)?.membership ?? this.currentEntry('m.room.member', user)?.membership
  }

  /** Whether a user is joined, or is none of those whom we know while members are missing here (partial-state.ts). */
  mayBeJoined(user: UserId): boolean {
    const membership = this.membership(user)
    return membership === 'join' || (membership === undefined && this.partial.isOpen && !this.isLocal(user))
  }

  /** Users with a membership. */
  usersWith(membership: Membership): UserId[] {
    const query =
      "SELECT state_key AS user FROM current_state WHERE type = 'm.room.member' AND membership = ? ORDER BY state_key"
    return this.sql
      .exec<{ user: UserId }>(query, membership)
      .toArray()
      .map(({ user }) => user)
  }

  /** Joined users of this server. */
  localJoined(): ReadonlySet<UserId> {
    return this.tally.locals
  }

  /** Servers with a joined member. */
  joinedServers(): ReadonlySet<ServerName> {
    return this.tally.servers
  }

  /** The same, and those of which we know by the word of others alone while our join is not complete. */
  serversIn(): ReadonlySet<ServerName> {
    const { servers } = this.partial
    return servers.size === 0 ? this.joinedServers() : new Set([...this.joinedServers(), ...servers])
  }

  /**
   * Whether this server takes part in the room, so that what it knows of it is the present: a local user is joined, or nobody
   * is at all, as in a room in the making or one that everybody left.
   */
  isResident(): boolean {
    if (this.header().currentGroup === undefined) return false
    if (this.localJoined().size > 0) return true
    if (this.partial.isOpen) return false
    const query = "SELECT 1 AS found FROM current_state WHERE type = 'm.room.member' AND membership = 'join' LIMIT 1"
    return this.sql.exec(query).toArray().length === 0
  }

  isLocal(user: string): boolean {
    return user.slice(user.indexOf(':') + 1) === this.serverName
  }

  /** The membership of a local user that this server knows from outside only, with the stripped state that came along. */
  outsideMembership(user: UserId): OutsideMembership | undefined {
    return this.outsideMembers().get(user)
  }

  /** Local users whose membership is known from outside only. */
  outsideMembers(): ReadonlyMap<UserId, OutsideMembership> {
    this.#outside ??= this.#readOutside()
    return this.#outside
  }

  /** Events that a device sent under a transaction ID. */
  transaction(sender: UserId, device: string, txnId: string): StoredEvent[] {
    const query = `SELECT ${eventColumns} FROM events WHERE txn_id IS NOT NULL AND txn_id = ? AND sender = ? AND txn_device = ?`
    return this.sql
      .exec<EventRow>(query, txnId, sender, device)
      .toArray()
      .map((row) => this.fromRow(row))
  }

  hasForgotten(user: UserId): boolean {
    return this.sql.exec('SELECT 1 AS found FROM forgotten WHERE user_id = ?', user).toArray().length > 0
  }

  noteHeader(header: Header): void {
    this.#known = true
    this.#header = header
  }

  /** `characters` of its JSON: what the event weighs in memory. */
  noteEvent(event: StoredEvent, characters: number): void {
    this.#events.delete(event.nid)
    this.#keep(event, characters)
    if (this.#lastNid !== undefined) this.#lastNid = Math.max(this.#lastNid, event.nid)
  }

  noteMoved(event: StoredEvent, nid: Nid): void {
    this.#events.delete(event.nid)
    this.#nids.delete(event.event_id)
    if (this.#lastNid !== undefined) this.#lastNid = Math.max(this.#lastNid, nid)
  }

  forgetEvent(nid: Nid): void {
    this.changes += 1
    this.#events.delete(nid)
  }

  noteCurrent(type: string, stateKey: string, entry: CurrentEntry | undefined): void {
    this.#current.set(stateMapKey(type, stateKey), { entry })
  }

  noteOutsideMembers(): void {
    this.#outside = undefined
  }

  /** Rows are no longer what this reader was told. */
  forget(): void {
    this.changes += 1
    this.#known = undefined
    this.#header = undefined
    this.#lastNid = undefined
    this.tally.forget()
    this.#outside = undefined
    this.partial.forget()
    this.#events.clear()
    this.#nids.clear()
    this.#current.clear()
  }

  #keep(event: StoredEvent, characters: number): void {
    this.#events.set(event.nid, event, characters + 500)
    this.#nids.set(event.event_id, event.nid)
  }

  /** Senders whose account was erased, with the state of the room at that time. */
  erasures(): Map<UserId, GroupId> {
    const rows = this.sql.exec<{ user: UserId; state: GroupId }>(
      'SELECT user_id AS user, state_group AS state FROM erased_senders',
    )
    return new Map([...rows].map(({ user, state }) => [user, state]))
  }

  #readOutside(): Map<UserId, OutsideMembership> {
    const query =
      'SELECT user_id AS user, membership, event_nid AS eventNid, pos, stripped_state AS strippedState FROM outside_memberships'
    const rows = this.sql.exec<{
      user: UserId
      membership: Membership
      eventNid: number
      pos: number
      strippedState: string
    }>(query)
    return new Map([...rows].map(({ user, ...outside }) => [user, outside]))
  }

  #readHeader(): Header {
    const row = this.sql
      .exec<HeaderRow>(
        'SELECT room_id, room_version, extremities, current_group, pos, told_pos, sticky_until FROM room',
      )
      .one()
    const rules = rulesOf(row.room_version)
    if (!rules) throw new Error(`this room is of version ${row.room_version}, which this server does not know`)
    return {
      roomId: row.room_id,
      rules,
      extremities: JSON.parse(row.extremities),
      currentGroup: row.current_group ?? undefined,
      pos: row.pos,
      toldPos: row.told_pos,
      stickyUntil: row.sticky_until,
    }
  }
}
