/**
 * Which events another server may be given: those that one of its users may see (CVE-2022-39335), and of the others what a
 * redaction would leave, so that the DAG holds together.
 *
 * Spec: server-server-api/#backfilling-and-retrieving-missing-events, client-server-api/#room-history-visibility.
 */
import { membershipOf } from '#protocol/events/fields.ts'
import { redact } from '#protocol/events/redaction.ts'
import { splitStateMapKey } from '#protocol/events/state-map.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { historyVisibilityIn, mayServerRead } from '#protocol/history-visibility.ts'

import { type Room, stateLookup } from '../room.ts'
import { type GroupId, outcomes, type StoredEvent } from '../stored-event.ts'

/** Answers for one server within one request; what it finds out about a state group is kept. */
export class ServerView {
  readonly #room: Room
  readonly #server: ServerName
  readonly #memberships = new Map<GroupId, string[]>()

  /** The server is in the room: the caller has checked that. */
  constructor(room: Room, server: ServerName) {
    this.#room = room
    this.#server = server
  }

  /** The event as the server may have it; undefined for what it may not have at all: outliers, rejected events. */
  show(event: StoredEvent): JsonObject | undefined {
    const { stateBefore, stateAfter, outcome } = event
    if (stateBefore === undefined || stateAfter === undefined || outcome === outcomes.rejected) return undefined
    return this.#mayRead(stateBefore, stateAfter) ? event.pdu.json : redact(this.#room.reader.rules, event.pdu.json)
  }

  #mayRead(before: GroupId, after: GroupId): boolean {
    const visibilityBefore = historyVisibilityIn(stateLookup(this.#room, before))
    const visibilityAfter = before === after ? visibilityBefore : historyVisibilityIn(stateLookup(this.#room, after))
    const seen = { visibilityBefore, visibilityAfter, joinedSince: true }
    // Mostly the room's visibility alone decides, without a look at who was in it.
    if (mayServerRead({ ...seen, membershipsBefore: [], membershipsAfter: [] })) return true
    return mayServerRead({
      ...seen,
      membershipsBefore: this.#membershipsIn(before),
      membershipsAfter: this.#membershipsIn(after),
    })
  }

  /** Memberships that users of the server have in a state. */
  #membershipsIn(group: GroupId): string[] {
    const known = this.#memberships.get(group)
    if (known) return known
    const { groups, reader } = this.#room
    const nids = [...groups.readAll(group)].flatMap(([key, nid]) => {
      const [type, stateKey] = splitStateMapKey(key)
      return type === 'm.room.member' && stateKey.endsWith(`:${this.#server}`) ? [nid] : []
    })
    const memberships = reader.events(nids).flatMap(({ pdu }) => membershipOf(pdu) ?? [])
    this.#memberships.set(group, memberships)
    return memberships
  }
}
