/**
 * Whether the members of this room are all known here. After a join that was told without members they are not, until
 * `federation/complete-join.ts` has fetched them and `federation/replay.ts` has judged anew what came meanwhile.
 *
 * Spec: server-server-api/#put_matrixfederationv2send_joinroomideventid `omit_members`, `members_omitted`,
 * `servers_in_room`; MSC3706, MSC3902.
 *
 *     from_pos: our join ──── provisional events ──── to_pos: whole
 *
 * The span is kept for good: a position in it names what clients heard then, which was not whole.
 */
import type { ServerName } from '#protocol/identifiers/server-name.ts'

import type { GroupId, Nid } from './stored-event.ts'

export interface PartialSpan {
  /** Position of the join. */
  readonly from: number
  /** Position from which on the state is whole; undefined: it is not yet. */
  readonly to: number | undefined
}

/** A join of which the state before it is not whole yet, or whose events are not judged anew yet. */
export interface PartialJoin {
  readonly nid: Nid
  /** Joined over this one. */
  readonly server: ServerName
  /** In the room before the join, as that server says. */
  readonly servers: readonly ServerName[]
  readonly tries: number
  readonly wholeGroup: GroupId | undefined
}

type JoinRow = { nid: number; server: ServerName; servers: string; tries: number; whole_group: number | null }
type SpanRow = { from_pos: number; to_pos: number | null }

const noServers: ReadonlySet<ServerName> = new Set()

export class PartialState {
  readonly #sql: SqlStorage
  #span: { readonly span: PartialSpan | undefined } | undefined
  #servers: ReadonlySet<ServerName> | undefined

  constructor(sql: SqlStorage) {
    this.#sql = sql
  }

  /** When members were not all known; undefined for a room of which they always were. */
  get span(): PartialSpan | undefined {
    this.#span ??= { span: this.#readSpan() }
    return this.#span.span
  }

  /** Not all members are known now. */
  get isOpen(): boolean {
    const { span } = this
    return span !== undefined && span.to === undefined
  }

  /** Whether a client that has heard the room up to a position heard of an incomplete state last. */
  wasOpenAt(pos: number): boolean {
    const { span } = this
    return span !== undefined && pos >= span.from && (span.to === undefined || pos < span.to)
  }

  /** Servers that are in the room by the word of those we joined over; none once members are known. */
  get servers(): ReadonlySet<ServerName> {
    if (!this.isOpen) return noServers
    this.#servers ??= new Set(this.joins().flatMap(({ servers }) => servers))
    return this.#servers
  }

  joins(): PartialJoin[] {
    return this.#sql
      .exec<JoinRow>('SELECT nid, server, servers, tries, whole_group FROM partial_joins ORDER BY nid')
      .toArray()
      .map(({ nid, server, servers, tries, whole_group }) => {
        const names: ServerName[] = JSON.parse(servers)
        return { nid, server, servers: names, tries, wholeGroup: whole_group ?? undefined }
      })
  }

  /** The room's members are not all known from this position on, unless that is so already. */
  begin(pos: number): void {
    this.#sql.exec('INSERT OR IGNORE INTO partial_span(id, from_pos) VALUES (1, ?)', pos)
    this.forget()
  }

  addJoin({ nid, server, servers }: Pick<PartialJoin, 'nid' | 'server' | 'servers'>): void {
    const query = 'INSERT INTO partial_joins(nid, server, servers) VALUES (?, ?, ?)'
    this.#sql.exec(query, nid, server, JSON.stringify(servers))
    this.forget()
  }

  /** One more server could not complete the join. */
  noteTry(nid: Nid): void {
    this.#sql.exec('UPDATE partial_joins SET tries = tries + 1 WHERE nid = ?', nid)
  }

  /** There is new reason to hope. */
  forgetTries(): void {
    this.#sql.exec('UPDATE partial_joins SET tries = 0')
  }

  /** The whole state before a join is here. */
  setWhole(nid: Nid, group: GroupId): void {
    this.#sql.exec('UPDATE partial_joins SET whole_group = ? WHERE nid = ?', group, nid)
  }

  /** All members are known, from this position on. */
  end(pos: number): void {
    this.#sql.exec('UPDATE partial_span SET to_pos = ?, replay = NULL', pos)
    this.#sql.exec('DELETE FROM partial_joins')
    this.#sql.exec('DELETE FROM provisional')
    this.forget()
  }

  /** An event was given its place while members were missing. `given`: the group it stands on, where that was given. */
  noteEvent(nid: Nid, given: GroupId | undefined, isLive: boolean, isCited: boolean): void {
    const query = 'INSERT INTO provisional(nid, given, is_live, is_cited) VALUES (?, ?, ?, ?)'
    this.#sql.exec(query, nid, given ?? null, isLive ? 1 : 0, isCited ? 1 : 0)
  }

  /** Rows are no longer what this object wrote. */
  forget(): void {
    this.#span = undefined
    this.#servers = undefined
  }

  #readSpan(): PartialSpan | undefined {
    const [row] = this.#sql.exec<SpanRow>('SELECT from_pos, to_pos FROM partial_span').toArray()
    return row && { from: row.from_pos, to: row.to_pos ?? undefined }
  }
}
