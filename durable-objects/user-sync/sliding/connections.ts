/**
 * Connections of sliding sync: what each client was given, so that it is given what differs.
 *
 * Spec: MSC4186 "Connections". A client that asks with the `pos` of an answer has that answer; until then it may be lost.
 * So at most two answers count: the one that is acknowledged and the newest. Asked again from the acknowledged one, the
 * newest never was, and the client gets the same again with what came since. Any other `pos` is unknown: begin anew.
 *
 * Small by design: one row per connection, and one (for a moment two) for each room that it was given.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { RoomConfig } from '#protocol/sliding-sync/room-config.ts'
import { type ConnectionPos, parsePos } from '#protocol/sliding-sync/tokens.ts'
import type { ProfileFields } from '#protocol/sync/profile-fields.ts'
import type { SinceToken } from '#protocol/sync/since-token.ts'

import { Lru } from '../../shared/lru.ts'
import type { Sql } from '../../shared/sql.ts'
import type { Membership, RoomVersion } from '../marks.ts'
import type { Stream } from '../stream.ts'

/** More than a client has: of further ones the one used longest ago goes. */
const mostPerDevice = 10
/** Connections that were not used for so many days are forgotten: their clients begin anew. */
const keptDays = 30

export interface Connection {
  readonly id: number
  /** The answer that the client has; 0 for none. */
  readonly answer: number
  /** Where the stream was read for that answer. */
  readonly read: number
  readonly params: string
  /** What was found to be idle, if that is for these `params` and this answer. */
  readonly idle: IdleState | undefined
  /** Fields of profiles that the client followed with that answer. */
  readonly profiles: ProfileFields
}

/** Up to a position there was nothing; and what lists counted then. */
export interface IdleState {
  readonly answer: number
  readonly upTo: number
  readonly counts: Readonly<Record<string, number>>
}

/** What a client was given of a room. */
export interface Given extends RoomVersion {
  readonly membership: Membership
  readonly accountAt: number
  readonly config: RoomConfig
}

type Row = {
  id: number
  acked: number
  acked_read: number
  sent: number
  sent_read: number
  used_day: number
  params: string
  idle: string
  profiles: string
}

/** Begins a connection; one of the same name is over. */
export function beginConnection(
  sql: Sql,
  { deviceId, connId, params }: { readonly deviceId: string; readonly connId: string; readonly params: string },
  today: number,
): Connection {
  const others = sql
    .exec<{ id: number; conn_id: string }>(
      'SELECT id, conn_id FROM connections WHERE device_id = ? ORDER BY used_day DESC, id DESC',
      deviceId,
    )
    .toArray()
  const same = others.filter(({ conn_id }) => conn_id === connId)
  const surplus = others.filter(({ conn_id }) => conn_id !== connId).slice(mostPerDevice - 1)
  for (const { id } of [...same, ...surplus]) dropConnection(sql, id)
  const [row] = sql
    .exec<{ id: number }>(
      `INSERT INTO connections(device_id, conn_id, acked, acked_read, sent, sent_read, used_day, params, idle)
       VALUES (?, ?, 0, 0, 0, 0, ?, ?, '') RETURNING id`,
      deviceId,
      connId,
      today,
      params,
    )
    .toArray()
  return { id: row?.id ?? 0, answer: 0, read: 0, params, idle: undefined, profiles: [] }
}

function dropConnection(sql: Sql, id: number): void {
  sql.exec('DELETE FROM connections WHERE id = ?', id)
  sql.exec('DELETE FROM connection_rooms WHERE connection = ?', id)
}

/** A connection as its client knows it by a `pos`; undefined where that is not one of the two answers that count. */
export function continueConnection(
  sql: Sql,
  { deviceId, connId, at }: { readonly deviceId: string; readonly connId: string; readonly at: ConnectionPos },
  today: number,
): Connection | undefined {
  const row = sql
    .exec<Row>(
      'SELECT * FROM connections WHERE id = ? AND device_id = ? AND conn_id = ?',
      at.connection,
      deviceId,
      connId,
    )
    .toArray()[0]
  if (!row || (at.answer !== row.acked && at.answer !== row.sent)) return undefined
  if (row.used_day !== today) sql.exec('UPDATE connections SET used_day = ? WHERE id = ?', today, row.id)
  const idle: IdleState | undefined = row.idle === '' ? undefined : JSON.parse(row.idle)
  return {
    id: row.id,
    answer: at.answer,
    // Which of the two it is gets written down with the next answer.
    read: at.answer === row.acked ? row.acked_read : row.sent_read,
    params: row.params,
    idle: idle?.answer === at.answer ? idle : undefined,
    profiles: followedWith(row, at.answer),
  }
}

/** Fields of profiles that the client was told of, by answer. */
interface Followed {
  readonly acked: ProfileFields
  readonly sent: ProfileFields
}

function followedWith(row: Pick<Row, 'profiles' | 'acked'>, answer: number): ProfileFields {
  if (row.profiles === '') return []
  const followed: Followed = JSON.parse(row.profiles)
  return answer === row.acked ? followed.acked : followed.sent
}

/** Where the stream was read for an answer that counts. */
export function readOfAnswer(sql: Sql, { connection, answer }: ConnectionPos): number | undefined {
  const row = sql.exec<Row>('SELECT * FROM connections WHERE id = ?', connection).toArray()[0]
  if (answer === row?.acked) return row.acked_read
  return answer === row?.sent ? row.sent_read : undefined
}

/** The token of `/sync` that says what the holder of a `pos` has heard at least; undefined for one that is not known any more. */
export function tokenOfPos(sql: Sql, { epoch }: Pick<Stream, 'epoch'>, text: string): SinceToken | undefined {
  const at = parsePos(text, epoch)
  const read = at && readOfAnswer(sql, at)
  return read === undefined ? undefined : { read, served: 0, toDevice: 0 }
}

/** Keeps what the client asks for now. */
export function setParams(sql: Sql, connection: Connection, params: string): Connection {
  if (connection.params === params) return connection
  sql.exec("UPDATE connections SET params = ?, idle = '' WHERE id = ?", params, connection.id)
  return { ...connection, params, idle: undefined }
}

/** Something changed that has no position of its own. */
export function forgetIdle(sql: Sql): void {
  sql.exec("UPDATE connections SET idle = '' WHERE idle <> ''")
}

/** Notes that there was nothing up to a position, so that the next poll need not look again. */
export function setIdle(sql: Sql, { id, idle }: Connection, state: IdleState): void {
  if (idle?.upTo === state.upTo) return
  sql.exec('UPDATE connections SET idle = ? WHERE id = ?', JSON.stringify(state), id)
}

type GivenRow = {
  room_id: RoomId
  pos: number
  typing: number
  membership: Membership
  account_at: number
  config: string
}

function givenRooms(sql: Sql, { id, answer }: Connection): Map<RoomId, Given> {
  const configs = new Map<string, RoomConfig>()
  const rows = sql.exec<GivenRow>(
    `SELECT room_id, pos, typing, membership, account_at, json AS config FROM connection_rooms
     JOIN room_configs ON room_configs.id = connection_rooms.config
     WHERE connection = ? AND answer <= ? ORDER BY room_id, answer`,
    id,
    answer,
  )
  const given = new Map<RoomId, Given>()
  for (const { room_id, pos, typing, membership, account_at, config } of rows.toArray()) {
    const parsed: RoomConfig = configs.get(config) ?? JSON.parse(config)
    configs.set(config, parsed)
    given.set(room_id, { pos, typing, membership, accountAt: account_at, config: parsed })
  }
  return given
}

/** What clients were given, in memory: a poll need not read it again. */
export class GivenMemory {
  readonly #known = new Lru<number, { answer: number; rooms: Map<RoomId, Given>; next: NotedAnswer | undefined }>(20)

  /** What the client has of each room. */
  of(sql: Sql, connection: Connection): ReadonlyMap<RoomId, Given> {
    const known = this.#known.get(connection.id)
    if (known?.answer === connection.answer) return known.rooms
    if (known?.next?.number === connection.answer) {
      for (const [roomId, each] of known.next.given) known.rooms.set(roomId, each)
      this.#known.set(connection.id, { answer: connection.answer, rooms: known.rooms, next: undefined })
      return known.rooms
    }
    const rooms = givenRooms(sql, connection)
    this.#known.set(connection.id, { answer: connection.answer, rooms, next: undefined })
    return rooms
  }

  noted(connection: number, after: number, answer: NotedAnswer): void {
    const known = this.#known.get(connection)
    if (known?.answer !== after) this.#known.delete(connection)
    else if (answer.number !== after) known.next = answer
    else for (const [roomId, each] of answer.given) known.rooms.set(roomId, each)
  }
}

export interface NotedAnswer {
  readonly number: number
  readonly given: ReadonlyMap<RoomId, Given>
}

/**
 * Notes an answer: what it gave of rooms, and where the stream was read. With `isShown` it gets a number; else nothing of
 * it is worth sending, and the client's last answer stands for it as well. Returns the number of the answer that the client
 * will have; undefined where the connection moved on meanwhile.
 */
export function noteAnswer(
  sql: Sql,
  answer: {
    readonly connection: number
    /** The answer that the client has, and where the stream was read for it. */
    readonly after: number
    readonly afterRead: number
    readonly read: number
    readonly given: ReadonlyMap<RoomId, Given>
    readonly profiles: ProfileFields
    readonly isShown: boolean
  },
): number | undefined {
  const { connection, after, read, given, isShown } = answer
  const row = sql.exec<Row>('SELECT * FROM connections WHERE id = ?', connection).toArray()[0]
  if (!row || (after !== row.acked && after !== row.sent)) return undefined
  // The client asked from the older one: it does not have the newer one, and will not.
  if (row.sent > after) {
    sql.exec('DELETE FROM connection_rooms WHERE connection = ? AND answer > ?', connection, after)
  }
  const number = isShown ? Math.max(row.acked, row.sent) + 1 : after
  for (const [roomId, each] of given) {
    sql.exec(
      `DELETE FROM connection_rooms WHERE connection = ?1 AND room_id = ?2 AND answer <
         (SELECT max(answer) FROM connection_rooms WHERE connection = ?1 AND room_id = ?2 AND answer <= ?3)`,
      connection,
      roomId,
      after,
    )
    sql.exec(
      `INSERT OR REPLACE INTO connection_rooms(connection, room_id, answer, pos, typing, membership, account_at, config)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      connection,
      roomId,
      number,
      each.pos,
      each.typing,
      each.membership,
      each.accountAt,
      configId(sql, each.config),
    )
  }
  // The numbers of lost answers are not given out again.
  const newest = Math.max(number, row.sent)
  const followed: Followed = { acked: isShown ? followedWith(row, after) : answer.profiles, sent: answer.profiles }
  const isAny = followed.acked.length + followed.sent.length > 0
  sql.exec(
    'UPDATE connections SET profiles = ?, acked = ?, acked_read = ?, sent = ?, sent_read = ? WHERE id = ?',
    isAny ? JSON.stringify(followed) : '',
    after,
    isShown ? answer.afterRead : read,
    newest,
    read,
    connection,
  )
  return number
}

function configId(sql: Sql, config: RoomConfig): number {
  const json = JSON.stringify(config)
  const [known] = sql.exec<{ id: number }>('SELECT id FROM room_configs WHERE json = ?', json).toArray()
  if (known) return known.id
  const made = sql.exec<{ id: number }>('INSERT INTO room_configs(json) VALUES (?) RETURNING id', json).toArray()
  return made[0]?.id ?? 0
}

/** A device was signed out. */
export function dropConnections(sql: Sql, deviceId: string): void {
  const rows = sql.exec<{ id: number }>('SELECT id FROM connections WHERE device_id = ?', deviceId).toArray()
  for (const { id } of rows) dropConnection(sql, id)
}

/** Forgets connections that nobody uses, and what only they needed. Once a day. */
export function forgetConnections(sql: Sql, today: number): void {
  const rows = sql.exec<{ id: number }>('SELECT id FROM connections WHERE used_day < ?', today - keptDays).toArray()
  for (const { id } of rows) dropConnection(sql, id)
  sql.exec('DELETE FROM room_configs WHERE id NOT IN (SELECT config FROM connection_rooms)')
}
