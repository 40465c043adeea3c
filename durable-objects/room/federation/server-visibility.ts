/**
 * Which events another server may be given: those that one of its users may see (CVE-2022-39335), unless they are over, and
 * of the others what a redaction would leave, so that the DAG holds together.
 *
 * Spec: server-server-api/#backfilling-and-retrieving-missing-events, client-server-api/#room-history-visibility.
 */
import { redact } from '#protocol/events/redaction.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { JsonObject } from '#protocol/json/json.ts'

import { hidesErasedFrom } from '../erasures.ts'
import { type Horizon, horizonOf, isOver } from '../retention/expiry.ts'
import type { Room } from '../room.ts'
import { type ServerSight, serverSightOf } from '../server-visibility.ts'
import { stickyUntilOf } from '../sticky/sticky-rows.ts'
import { outcomes, type StoredEvent } from '../stored-event.ts'

/** Answers for one server within one request; what it finds out about a state group is kept. */
export class ServerView {
  readonly #room: Room
  readonly #server: ServerName
  readonly #sight: ServerSight
  readonly #horizon: Horizon

  /** The server is in the room: the caller has checked that. */
  constructor(room: Room, server: ServerName) {
    this.#room = room
    this.#server = server
    this.#sight = serverSightOf(room, server)
    this.#horizon = horizonOf(room)
  }

  /** The event as the server may have it; undefined for what it may not have at all: outliers, rejected events. */
  show(event: StoredEvent): JsonObject | undefined {
    if (event.stateBefore === undefined || event.outcome === outcomes.rejected) return undefined
    const isHidden = isOver(event, this.#horizon) || hidesErasedFrom(this.#sight, this.#room, event)
    // "History visibility checks MUST NOT be applied to sticky events." MSC4354.
    const isWhole = !isHidden && (this.#sight.mayRead(event) || this.#isSticky(event))
    return isWhole ? event.pdu.json : redact(this.#room.reader.rules, event.pdu.json)
  }

  #isSticky(event: StoredEvent): boolean {
    const isIn = this.#room.reader.serversIn().has(this.#server)
    return isIn && event.outcome === outcomes.accepted && stickyUntilOf(this.#room, event, Date.now()) !== undefined
  }
}
