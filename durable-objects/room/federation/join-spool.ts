/**
 * Where the events of a join's answer wait until all are there: only then is it known in which order they can be judged.
 * It has rows while a join is under way, while the whole state is fetched after one that left out members, or while the state
 * behind a hole comes.
 */
import { AuthOrder } from '#protocol/events/auth-order.ts'
import { pduFromStored } from '#protocol/events/event-format.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import { createEventIdOf, type RoomId } from '#protocol/identifiers/room-id.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'

import { type Nid, outcomes } from '../stored-event.ts'

/** An event and the place of the state that it holds. */
export type StatePlace = { nid: Nid; type: string; stateKey: string }

/** Of a join; of the whole state after one that left out members; of the state behind a hole. */
export type SpoolTable = 'join_spool' | 'state_spool' | 'gap_spool'

export class JoinSpool {
  readonly #sql: SqlStorage
  readonly #rules: RoomVersionRules
  readonly #table: SpoolTable

  /** An empty spool; a `state_spool` may be one that was begun before. */
  constructor(sql: SqlStorage, rules: RoomVersionRules, table: SpoolTable = 'join_spool') {
    this.#sql = sql
    this.#rules = rules
    this.#table = table
    sql.exec(
      `CREATE TABLE IF NOT EXISTS ${table}(event_id TEXT PRIMARY KEY, auth TEXT NOT NULL, is_state INTEGER NOT NULL, json TEXT NOT NULL) WITHOUT ROWID`,
    )
    if (table !== 'state_spool') this.end()
  }

  /** Events that were verified. One that is told twice, as state and as auth event, is state. */
  add(pdus: readonly Pdu[], isState: boolean): void {
    for (const { event_id, auth_events, json } of pdus) {
      this.#sql.exec(
        `INSERT INTO ${this.#table}(event_id, auth, is_state, json) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET is_state = max(is_state, excluded.is_state)`,
        event_id,
        JSON.stringify(auth_events),
        isState ? 1 : 0,
        JSON.stringify(json),
      )
    }
  }

  /** All event IDs, auth events first. */
  inAuthOrder(roomId: RoomId): EventId[] {
    const order = new AuthOrder(this.#eventIds())
    const rows = this.#sql.exec<{ event_id: EventId; auth: string }>(`SELECT event_id, auth FROM ${this.#table}`)
    for (const { event_id, auth } of rows) order.cites(event_id, authIds(auth))
    return [...order.take(createEventIdOf(roomId))]
  }

  *#eventIds(): Generator<EventId, void> {
    for (const { event_id } of this.#sql.exec<{ event_id: EventId }>(`SELECT event_id FROM ${this.#table}`))
      yield event_id
  }

  /** Some of the events, in the order asked for. */
  read(eventIds: readonly EventId[]): Pdu[] {
    const query = `SELECT event_id, json FROM ${this.#table} WHERE event_id IN (SELECT value FROM json_each(?))`
    const rows = this.#sql.exec<{ event_id: EventId; json: string }>(query, JSON.stringify(eventIds)).toArray()
    const found = new Map(rows.map(({ event_id, json }) => [event_id, json]))
    return eventIds.flatMap((id) => {
      const json = found.get(id)
      return json === undefined ? [] : [pduFromStored(this.#rules, JSON.parse(json), id)]
    })
  }

  /** The events told as state, as far as they were judged and not rejected: one query, where it may be 100,000 events. */
  state(): StatePlace[] {
    const query =
      `SELECT nid, type, state_key AS stateKey FROM ${this.#table} JOIN events USING (event_id) ` +
      `WHERE is_state = 1 AND state_key IS NOT NULL AND outcome <> ${outcomes.rejected}`
    return this.#sql.exec<StatePlace>(query).toArray()
  }

  /** These were judged. */
  remove(eventIds: readonly EventId[]): void {
    const query = `DELETE FROM ${this.#table} WHERE event_id IN (SELECT value FROM json_each(?))`
    this.#sql.exec(query, JSON.stringify(eventIds))
  }

  /** Emptied and not dropped: SQLite drops no table while any cursor of the object has more to read. */
  end(): void {
    this.#sql.exec(`DELETE FROM ${this.#table}`)
  }
}

function authIds(json: string): EventId[] {
  return JSON.parse(json)
}
