/**
 * What other servers in the room may ask for: events, history, state.
 *
 * Spec: server-server-api/#backfilling-and-retrieving-missing-events, #retrieving-events, #authorization-rules. Every answer
 * is for a server that is in the room and that its access control list lets in; every walk is bounded.
 */
import { fail, type Failure, type Outcome } from '#protocol/errors.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { JsonObject } from '#protocol/json/json.ts'

import type { Room } from '../room.ts'
import { serverSightOf } from '../server-visibility.ts'
import { type Nid, outcomes, type StoredEvent } from '../stored-event.ts'
import { eventsFrom } from '../time-index.ts'
import { authChainOf } from './join-state.ts'
import { isServerAllowedIn, isServerIn } from './server-access.ts'
import { ServerView } from './server-visibility.ts'

export interface MissingRequest {
  readonly earliest: readonly EventId[]
  readonly latest: readonly EventId[]
  readonly limit: number
  readonly minDepth: number
}

/** Events in one answer at most. */
const maxEvents = 100
/** Events looked at for one answer. */
const maxWalk = 1_000

/** Why this server gets nothing, if it does not. */
function refusalOf(room: Room, origin: ServerName): Failure | undefined {
  if (!room.reader.isKnown() || room.reader.localJoined().size === 0) return fail('unknown_room')
  if (!isServerAllowedIn(room, origin)) return fail('forbidden', 'The room does not allow that server')
  return isServerIn(room, origin) ? undefined : fail('forbidden', 'That server is not in the room')
}

/** One event. Spec: #get_matrixfederationv1eventeventid */
export function eventForServer(room: Room, origin: ServerName, eventId: EventId): Outcome<{ event: JsonObject }> {
  const refusal = refusalOf(room, origin)
  if (refusal) return refusal
  const event = room.reader.eventById(eventId)
  const shown = event && new ServerView(room, origin).show(event)
  return shown ? { ok: true, event: shown } : fail('unknown_event')
}

/** Events that the server may not see which are passed over in search of one that it may. */
const maxHidden = 500

/** The event nearest to a moment that the server may see. Spec: #get_matrixfederationv1timestamp_to_eventroomid */
export function eventAtTimeForServer(
  room: Room,
  origin: ServerName,
  { ts, dir }: { readonly ts: number; readonly dir: 'b' | 'f' },
): Outcome<{ event_id: EventId; origin_server_ts: number }> {
  const refusal = refusalOf(room, origin)
  if (refusal) return refusal
  const sight = serverSightOf(room, origin)
  let hidden = 0
  for (const event of eventsFrom(room.reader, ts, dir)) {
    if (sight.mayRead(event)) return { ok: true, event_id: event.event_id, origin_server_ts: event.origin_server_ts }
    if (++hidden === maxHidden) break
  }
  return fail('unknown_event', 'There is no event on that side of that moment')
}

/** Events before these, newest first, these included. Spec: #get_matrixfederationv1backfillroomid */
export function backfillForServer(
  room: Room,
  origin: ServerName,
  { from, limit }: { readonly from: readonly EventId[]; readonly limit: number },
): Outcome<{ pdus: JsonObject[] }> {
  const refusal = refusalOf(room, origin)
  if (refusal) return refusal
  const found = walkBack(room, from, { limit: Math.min(limit, maxEvents), stopAt: new Set(), minDepth: 0 })
  return { ok: true, pdus: shown(room, origin, found) }
}

/**
 * The events between `latest`, which are left out, and `earliest`, oldest first.
 * Spec: #post_matrixfederationv1get_missing_eventsroomid
 */
export function missingForServer(
  room: Room,
  origin: ServerName,
  asked: MissingRequest,
): Outcome<{ events: JsonObject[] }> {
  const refusal = refusalOf(room, origin)
  if (refusal) return refusal
  const latest = asked.latest.map((id) => room.reader.eventById(id)).filter((event) => event !== undefined)
  const from = latest.flatMap(({ pdu }) => pdu.prev_events)
  const stopAt = new Set([...asked.earliest, ...asked.latest])
  const limit = Math.min(asked.limit, maxEvents)
  const found = walkBack(room, from, { limit, stopAt, minDepth: asked.minDepth })
  return { ok: true, events: shown(room, origin, found.reverse()) }
}

/** State before an event and its auth chain, as event IDs. Spec: #get_matrixfederationv1state_idsroomid */
export function stateIdsForServer(
  room: Room,
  origin: ServerName,
  eventId: EventId,
): Outcome<{ pdu_ids: EventId[]; auth_chain_ids: EventId[] }> {
  const state = stateForServer(room, origin, eventId)
  if (!state.ok) return state
  return { ok: true, pdu_ids: idsOf(room, state.state), auth_chain_ids: idsOf(room, state.authChain) }
}

/** The same as events. Spec: #get_matrixfederationv1stateroomid */
export function stateForServer(
  room: Room,
  origin: ServerName,
  eventId: EventId,
): Outcome<{ state: Nid[]; authChain: Nid[] }> {
  const refusal = refusalOf(room, origin)
  if (refusal) return refusal
  const { reader, groups } = room
  const event = reader.eventById(eventId)
  if (event?.stateBefore === undefined || event.outcome === outcomes.rejected) return fail('unknown_event')
  const nids = [...groups.readAll(event.stateBefore).values()]
  return { ok: true, state: nids, authChain: authChainOf(room, nids) }
}

/** An event's auth chain. Spec: #get_matrixfederationv1event_authroomideventid */
export function authForServer(room: Room, origin: ServerName, eventId: EventId): Outcome<{ auth_chain: JsonObject[] }> {
  const refusal = refusalOf(room, origin)
  if (refusal) return refusal
  const event = room.reader.eventById(eventId)
  if (event?.stateBefore === undefined) return fail('unknown_event')
  return { ok: true, auth_chain: room.reader.events(authChainOf(room, [event.nid])).map(({ pdu }) => pdu.json) }
}

/** Without the events: there may be 100,000. */
function idsOf({ reader }: Room, nids: readonly Nid[]): EventId[] {
  const query = 'SELECT event_id AS id FROM events WHERE nid IN (SELECT value FROM json_each(?))'
  return [...reader.sql.exec<{ id: EventId }>(query, JSON.stringify(nids))].map(({ id }) => id)
}

function shown(room: Room, origin: ServerName, events: readonly StoredEvent[]): JsonObject[] {
  const view = new ServerView(room, origin)
  return events.map((event) => view.show(event)).filter((json) => json !== undefined)
}

interface Walk {
  readonly limit: number
  readonly stopAt: ReadonlySet<EventId>
  readonly minDepth: number
}

/** Breadth first over prev_events, deepest first. Refused events are walked through but not found. */
function walkBack({ reader }: Room, from: readonly EventId[], { limit, stopAt, minDepth }: Walk): StoredEvent[] {
  const found: StoredEvent[] = []
  const seen = new Set<EventId>(stopAt)
  let frontier: StoredEvent[] = []
  const add = (ids: readonly EventId[]) => {
    for (const id of ids) {
      if (seen.has(id)) continue
      seen.add(id)
      const event = reader.eventById(id)
      if (event?.stateBefore !== undefined && event.depth >= minDepth) frontier.push(event)
    }
  }
  add(from)
  for (let walked = 0; frontier.length > 0 && found.length < limit && walked < maxWalk; walked++) {
    frontier.sort((a, b) => a.depth - b.depth || a.nid - b.nid)
    const event = frontier.pop()
    if (!event) break
    if (event.outcome === outcomes.accepted || event.outcome === outcomes.softFailed) found.push(event)
    add(event.pdu.prev_events)
  }
  frontier = []
  return found
}
