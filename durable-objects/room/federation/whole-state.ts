/**
 * Fetches the whole state before a join that was told without members, step by step: each step is bounded and leaves its
 * progress in rows, so that an object that dies goes on where it was, and answers others in between.
 *
 * Spec: server-server-api/#get_matrixfederationv1state_idsroomid, #get_matrixfederationv1stateroomid; MSC3902.
 *
 *     IDs of the state ──► few unknown: one by one ───────────────────────────────────┐
 *            └──► many: /state, spooled as it comes ──► verified ──► judged in order ──┴──► a state group
 *
 * As with a whole join, the server that is asked is believed as to what the state is, and in nothing else: events that do not
 * pass the checks on receipt are left out.
 */
import type { Pdu } from '#protocol/events/pdu.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { JsonValue } from '#protocol/json/json.ts'

import type { Env } from '../../../worker/env.ts'
import type { PartialJoin } from '../partial-state.ts'
import type { Room } from '../room.ts'
import { type Nid, outcomes, type StoredEvent } from '../stored-event.ts'
import { groupOfPlaces } from './explicit-state.ts'
import { FederationRequests } from './federation-requests.ts'
import { usualLimits } from './join-answer.ts'
import { JoinSpool, type StatePlace } from './join-spool.ts'
import { storeOutliers } from './outliers.ts'
import { receiveOutlier } from './receive-pdu.ts'
import { createOf, placesOf } from './remote-join.ts'

/** IDs in one row. */
const idsPerRow = 10_000
/** Unknown events that are fetched one by one. */
const fewUnknown = 30
/** Events of one row of the spool, and their characters. */
const perRow = { events: 200, characters: 1_000_000 }
/** Events in one step, some seconds of work: each has to be verified; and the order of all is found anew to judge some. */
const perStep = { verified: 8_000, judged: 20_000 }
/** Events judged in one turn. */
const perTurn = 500

/** `next`: that was little, and the next step can follow. `more`: that was much, and others shall get a word in. */
export type Step = 'next' | 'more' | 'done' | 'failed'
type Work = { nid: number; server: ServerName; phase: 'verify' | 'judge'; prev: EventId | null }

/** The next step. `done`: the join has its whole state now. `failed`: the server did not help, another is to be asked. */
export async function fetchWhole(room: Room, env: Env, join: PartialJoin, server: ServerName): Promise<Step> {
  const requests = new FederationRequests(env, room.reader.header())
  const work = workOf(room)
  if (!work || work.nid !== join.nid || work.server !== server) return begin(room, requests, join, server)
  if (work.phase === 'verify') return verifySome(room, requests)
  return judgeSome(room, join, work)
}

/** What was fetched so far is of no use: another server is asked. */
export function dropWork({ reader: { sql } }: Room): void {
  for (const table of ['whole_work', 'whole_ids', 'whole_raw', 'state_spool']) sql.exec(`DROP TABLE IF EXISTS ${table}`)
}

function workOf({ reader: { sql } }: Room): Work | undefined {
  const known = "SELECT 1 AS found FROM sqlite_master WHERE type = 'table' AND name = 'whole_work'"
  if (sql.exec(known).toArray().length === 0) return undefined
  return sql.exec<Work>('SELECT nid, server, phase, prev FROM whole_work').toArray()[0]
}

function makeTables({ reader: { sql } }: Room): void {
  sql.exec(`
    CREATE TABLE whole_work(nid INTEGER NOT NULL, server TEXT NOT NULL, phase TEXT NOT NULL, prev TEXT);
    CREATE TABLE whole_ids(n INTEGER PRIMARY KEY, ids TEXT NOT NULL);
    CREATE TABLE whole_raw(n INTEGER PRIMARY KEY, is_state INTEGER NOT NULL, events TEXT NOT NULL);
  `)
}

/**
 * Asks for the state: that after the one event before the join, or else the one before the join itself, which knows whoever
 * has heard of it.
 */
async function begin(
  room: Room,
  requests: FederationRequests,
  { nid }: PartialJoin,
  server: ServerName,
): Promise<Step> {
  const { event_id, pdu } = room.reader.eventOf(nid)
  const [prev] = pdu.prev_events
  const places = [...(prev !== undefined && pdu.prev_events.length === 1 ? [prev] : []), event_id]
  for (const at of places) {
    const ids = (await requests.stateIds(server, at))?.state ?? []
    if (ids.length === 0) continue
    const isPrev = at !== event_id
    if (isPrev && !(await haveEvent(room, requests, server, at))) continue
    room.transactor.turn(() => {
      dropWork(room)
      makeTables(room)
      noteIds(room, ids)
      return { ok: true }
    })
    const unknown = unknownIds(room, ids)
    if (unknown.length <= fewUnknown) storeOutliers(room, await oneByOne(requests, server, unknown))
    const isHere = unknownIds(room, unknown).length === 0
    if (!isHere && !(await spoolState(room, requests, server, at))) continue
    room.transactor.turn(() => {
      const query = 'INSERT INTO whole_work(nid, server, phase, prev) VALUES (?, ?, ?, ?)'
      room.reader.sql.exec(query, nid, server, isHere ? 'judge' : 'verify', isPrev ? at : null)
      return { ok: true }
    })
    return isHere ? 'next' : 'more'
  }
  return 'failed'
}

function noteIds({ reader: { sql } }: Room, ids: readonly EventId[]): void {
  for (let at = 0; at < ids.length; at += idsPerRow) {
    sql.exec('INSERT INTO whole_ids(ids) VALUES (?)', JSON.stringify(ids.slice(at, at + idsPerRow)))
  }
}

function unknownIds({ reader: { sql } }: Room, ids: readonly EventId[]): EventId[] {
  const query =
    'SELECT value AS id FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM events WHERE events.event_id = value)'
  const unknown: EventId[] = []
  for (let at = 0; at < ids.length; at += idsPerRow) {
    const some = JSON.stringify(ids.slice(at, at + idsPerRow))
    for (const { id } of sql.exec<{ id: EventId }>(query, some)) unknown.push(id)
  }
  return unknown
}

/** The event before the join: whether it is state, and so what it changes, is not known without it. */
async function haveEvent(
  room: Room,
  requests: FederationRequests,
  server: ServerName,
  eventId: EventId,
): Promise<boolean> {
  if (room.reader.nidOf(eventId) !== undefined) return true
  const event = await requests.event(server, eventId)
  if (!event) return false
  storeOutliers(room, [event])
  if (room.reader.nidOf(eventId) !== undefined) return true
  storeOutliers(room, [...((await requests.eventAuth(server, eventId)) ?? []), event])
  return room.reader.nidOf(eventId) !== undefined
}

async function oneByOne(requests: FederationRequests, server: ServerName, ids: readonly EventId[]): Promise<Pdu[]> {
  const events: Pdu[] = []
  for (const id of ids) {
    const event = await requests.event(server, id)
    if (event) events.push(event)
  }
  return events
}

/** Writes the answer down as it comes, unread. */
async function spoolState(room: Room, requests: FederationRequests, server: ServerName, at: EventId): Promise<boolean> {
  const { sql } = room.reader
  const lists = { pdus: new Spooled(sql, true), auth_chain: new Spooled(sql, false) }
  const take = (name: string, value: JsonValue, length: number) => {
    if (name === 'pdus' || name === 'auth_chain') lists[name].add(value, length)
  }
  const isWhole = await requests.state(server, at, usualLimits, take, () => undefined)
  if (isWhole) Object.values(lists).forEach((list) => list.flush())
  return isWhole
}

class Spooled {
  readonly #sql: SqlStorage
  readonly #isState: boolean
  #events: JsonValue[] = []
  #characters = 0

  constructor(sql: SqlStorage, isState: boolean) {
    this.#sql = sql
    this.#isState = isState
  }

  add(event: JsonValue, characters: number): void {
    if (this.#characters + characters > perRow.characters) this.flush()
    this.#events.push(event)
    this.#characters += characters
    if (this.#events.length >= perRow.events) this.flush()
  }

  flush(): void {
    if (this.#events.length === 0) return
    const query = 'INSERT INTO whole_raw(is_state, events) VALUES (?, ?)'
    this.#sql.exec(query, this.#isState ? 1 : 0, JSON.stringify(this.#events))
    this.#events = []
    this.#characters = 0
  }
}

async function verifySome(room: Room, requests: FederationRequests): Promise<Step> {
  const { reader, transactor } = room
  const spool = new JoinSpool(reader.sql, reader.rules, 'state_spool')
  for (let done = 0; done < perStep.verified;) {
    const query = 'SELECT n, is_state, events FROM whole_raw ORDER BY n LIMIT 1'
    const [row] = reader.sql.exec<{ n: number; is_state: number; events: string }>(query).toArray()
    if (!row) {
      reader.sql.exec("UPDATE whole_work SET phase = 'judge'")
      return 'next'
    }
    const events: JsonValue[] = JSON.parse(row.events)
    const verified = await requests.verified(events)
    transactor.turn(() => {
      spool.add(verified, row.is_state === 1)
      reader.sql.exec('DELETE FROM whole_raw WHERE n = ?', row.n)
      return { ok: true }
    })
    done += events.length
  }
  return 'more'
}

/** Stores some of what was verified, auth events first; when all is stored, makes the state of it. */
async function judgeSome(room: Room, join: PartialJoin, { prev }: Work): Promise<Step> {
  const { reader, transactor } = room
  const spool = new JoinSpool(reader.sql, reader.rules, 'state_spool')
  const ordered = spool.inAuthOrder(reader.header().roomId)
  for (let at = 0; at < Math.min(ordered.length, perStep.judged); at += perTurn) {
    transactor.turn(() => {
      const some = ordered.slice(at, at + perTurn)
      for (const event of spool.read(some)) receiveOutlier(room, event)
      spool.remove(some)
      return { ok: true }
    })
    await new Promise((resolve) => setTimeout(resolve, 0))
  }
  if (ordered.length > perStep.judged) return 'more'
  const told = toldPlaces(room)
  if (!createOf(room, told)) return 'failed'
  transactor.turn(() => {
    const places = placesOf(told)
    const last = prev === null ? undefined : reader.eventById(prev)
    for (const { nid, type, stateKey } of last ? stateOf(last) : []) {
      for (const [key, placed] of placesOf([{ nid, type, stateKey }])) places.set(key, placed)
    }
    reader.partial.setWhole(join.nid, groupOfPlaces(room, places))
    dropWork(room)
    return { ok: true }
  })
  return 'done'
}

function stateOf({ nid, type, state_key, outcome }: StoredEvent): StatePlace[] {
  return state_key === undefined || outcome === outcomes.rejected ? [] : [{ nid, type, stateKey: state_key }]
}

/** The told state, as far as it is here and was not rejected. */
function toldPlaces({ reader: { sql } }: Room): StatePlace[] {
  const query = `SELECT nid, events.type AS type, state_key AS stateKey FROM json_each(?) JOIN events ON events.event_id = value
    WHERE state_key IS NOT NULL AND outcome <> ${outcomes.rejected}`
  const rows = sql.exec<{ ids: string }>('SELECT ids FROM whole_ids ORDER BY n').toArray()
  return rows.flatMap(({ ids }) => sql.exec<{ nid: Nid; type: string; stateKey: string }>(query, ids).toArray())
}
