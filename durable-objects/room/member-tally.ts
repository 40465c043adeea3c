/**
 * How many members the room has, of which servers, and who of them is of this one: what nearly every event needs to know.
 *
 * Counting reads all members, and an object that woke up has forgotten what it counted. So in a room of many the count is
 * kept in rows, and a change of membership changes it; in a small one it would cost more rows than it saves. Whatever is kept
 * here can be thrown away and counted again.
 */
import { parseServerName, type ServerName } from '#protocol/identifiers/server-name.ts'
import { parseUserId, type UserId } from '#protocol/identifiers/user-id.ts'

import type { CurrentEntry } from './reader.ts'

/** Members, past ones too, from which on the count is kept. */
export const leastKept = 200

interface Counts {
  readonly joined: number
  readonly invited: number
  /** Everybody who ever had a membership. */
  readonly known: number
}
type CountRow = { joined: number; invited: number; known: number }

export class MemberTally {
  readonly #sql: SqlStorage
  readonly #serverName: ServerName
  #isKept: boolean | undefined
  #counts: Counts | undefined
  #servers: Map<ServerName, number> | undefined
  #names: Set<ServerName> | undefined
  #locals: Set<UserId> | undefined

  constructor(sql: SqlStorage, serverName: ServerName) {
    this.#sql = sql
    this.#serverName = serverName
  }

  get counts(): Counts {
    this.#counts ??= this.#readKept() ?? this.#countAll()
    return this.#counts
  }

  /** Servers with a joined member. */
  get servers(): ReadonlySet<ServerName> {
    this.#names ??= new Set(this.#byServer().keys())
    return this.#names
  }

  /** Joined users of this server. */
  get locals(): ReadonlySet<UserId> {
    return this.#localSet()
  }

  /** The place of a member in the current state changes. */
  note(user: string, before: CurrentEntry | undefined, after: CurrentEntry | undefined): void {
    // What was not counted yet will be counted as it is then.
    if (!this.#counts && !this.#hasRow()) return
    const { joined, invited, known } = this.counts
    const change = (membership: string) =>
      Number(after?.membership === membership) - Number(before?.membership === membership)
    const isJoin = change('join')
    this.#counts = {
      joined: joined + isJoin,
      invited: invited + change('invite'),
      known: known + Number(after !== undefined) - Number(before !== undefined),
    }
    if (isJoin !== 0) this.#noteJoin(user, isJoin)
    if (this.#isKept) this.#keepCounts(this.#counts)
  }

  /** Very many places are about to change: counting again is cheaper than following them. */
  discard(): void {
    if (this.#hasRow()) this.#clear()
    this.forget()
  }

  /** Rows are no longer what memory says. */
  forget(): void {
    this.#isKept = undefined
    this.#counts = undefined
    this.#servers = undefined
    this.#names = undefined
    this.#locals = undefined
  }

  #noteJoin(user: string, change: number): void {
    const server = serverOf(user)
    if (server === undefined) return
    const servers = this.#byServer()
    const members = (servers.get(server) ?? 0) + change
    if (members > 0) servers.set(server, members)
    else servers.delete(server)
    if (members > 0) this.#names?.add(server)
    else this.#names?.delete(server)
    if (this.#isKept) this.#keepServer(server, members)
    const local = server === this.#serverName ? parseUserId(user) : undefined
    if (local === undefined) return
    if (change > 0) this.#localSet().add(local)
    else this.#localSet().delete(local)
    if (this.#isKept) this.#keepLocal(local, change > 0)
  }

  #byServer(): Map<ServerName, number> {
    // Counting fills it in a room whose count is not kept.
    void this.counts
    this.#servers ??= new Map(
      [...this.#sql.exec<{ server: ServerName; members: number }>('SELECT server, members FROM joined_servers')].map(
        ({ server, members }) => [server, members],
      ),
    )
    return this.#servers
  }

  #localSet(): Set<UserId> {
    void this.counts
    this.#locals ??= new Set(
      [...this.#sql.exec<{ user: UserId }>('SELECT user_id AS user FROM local_joined')].map(({ user }) => user),
    )
    return this.#locals
  }

  #countAll(): Counts {
    const query =
      "SELECT state_key AS user, membership FROM current_state WHERE type = 'm.room.member' ORDER BY state_key"
    const [servers, locals] = [new Map<ServerName, number>(), new Set<UserId>()]
    let [joined, invited, known] = [0, 0, 0]
    for (const { user, membership } of this.#sql.exec<{ user: UserId; membership: string | null }>(query)) {
      known += 1
      if (membership === 'invite') invited += 1
      if (membership !== 'join') continue
      joined += 1
      const server = serverOf(user)
      if (server === undefined) continue
      servers.set(server, (servers.get(server) ?? 0) + 1)
      if (server === this.#serverName) locals.add(user)
    }
    this.#servers = servers
    this.#locals = locals
    this.#isKept = known >= leastKept
    const counts = { joined, invited, known }
    if (this.#isKept) {
      this.#clear()
      this.#keepCounts(counts)
      for (const [server, members] of servers) this.#keepServer(server, members)
      for (const user of locals) this.#keepLocal(user, true)
    }
    return counts
  }

  #hasRow(): boolean {
    this.#isKept ??= this.#readKept() !== undefined
    return this.#isKept
  }

  #readKept(): Counts | undefined {
    const row = this.#sql.exec<CountRow>('SELECT joined, invited, known FROM member_tally').toArray()[0]
    this.#isKept = row !== undefined
    return row
  }

  #keepCounts({ joined, invited, known }: Counts): void {
    const put = 'INSERT OR REPLACE INTO member_tally(id, joined, invited, known) VALUES (1, ?, ?, ?)'
    this.#sql.exec(put, joined, invited, known)
  }

  #keepServer(server: ServerName, members: number): void {
    if (members > 0)
      this.#sql.exec('INSERT OR REPLACE INTO joined_servers(server, members) VALUES (?, ?)', server, members)
    else this.#sql.exec('DELETE FROM joined_servers WHERE server = ?', server)
  }

  #keepLocal(user: UserId, isJoined: boolean): void {
    if (isJoined) this.#sql.exec('INSERT OR IGNORE INTO local_joined(user_id) VALUES (?)', user)
    else this.#sql.exec('DELETE FROM local_joined WHERE user_id = ?', user)
  }

  #clear(): void {
    this.#sql.exec('DELETE FROM member_tally')
    this.#sql.exec('DELETE FROM joined_servers')
    this.#sql.exec('DELETE FROM local_joined')
  }
}

function serverOf(user: string): ServerName | undefined {
  return parseServerName(user.slice(user.indexOf(':') + 1))
}
