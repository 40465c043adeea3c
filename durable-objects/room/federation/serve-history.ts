/**
 * What other servers in the room may ask for: events, history, state.
 *
 * Spec: server-server-api/#backfilling-and-retrieving-missing-events, #retrieving-events, #authorization-rules. Every answer
 * is for a server that is in the room, or was in it at the event, and that its access control list lets in; every walk is
 * bounded. Who was put out needs what happened until then to find out that they were (parted-servers.ts). And what we said last before we left,
 * we may be the only ones to have: so we answer for the room as we knew it.
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
import { partingDepth } from './parted-servers.ts'
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

/** Those of the events that the server may see; a failure where it may see none of them. */
function seenOf(events: readonly StoredEvent[], maySee: Sight['maySee']): Outcome<{ events: StoredEvent[] }> {
  const seen = events.filter(maySee)
  return seen.length > 0 || events.length === 0
    ? { ok: true, events: seen }
    : fail('forbidden', 'That server was not in the room then')
}

interface Sight {
  /** Whole or redacted, as `ServerView` says. */
  readonly maySee: (event: StoredEvent) => boolean
  readonly maySeeStateAt: (event: StoredEvent) => boolean
}

/** What this server may see, event by event; or why it gets nothing. */
function sightFor(room: Room, origin: ServerName): Outcome<Sight> {
  const { reader } = room
  if (!reader.isKnown() || reader.header().currentGroup === undefined) return fail('unknown_room')
  if (!isServerAllowedIn(room, origin)) return fail('forbidden', 'The room does not allow that server')
  if (isServerIn(room, origin)) return { ok: true, maySee: () => true, maySeeStateAt: () => true }
  const sight = serverSightOf(room, origin)
  if (!sight.hadMembers) return fail('forbidden', 'That server is not in the room')
  const parting = partingDepth(room, origin)
  return {
    ok: true,
    maySee: (event) => event.depth <= parting || sight.wasJoinedAt(event),
    maySeeStateAt: (event) => sight.wasJoinedAt(event),
  }
}

/** Why this server is told nothing of the present, if it is not. */
function refusalOf(room: Room, origin: ServerName): Failure | undefined {
  if (!room.reader.isKnown() || room.reader.localJoined().size === 0) return fail('unknown_room')
  if (!isServerAllowedIn(room, origin)) return fail('forbidden', 'The room does not allow that server')
  return isServerIn(room, origin) ? undefined : fail('forbidden', 'That server is not in the room')
}

/** One event. Spec: #get_matrixfederationv1eventeventid */
export function eventForServer(room: Room, origin: ServerName, eventId: EventId): Outcome<{ event: JsonObject }> {
  const sight = sightFor(room, origin)
  if (!sight.ok) return sight
  const event = room.reader.eventById(eventId)
  const shown = event && sight.maySee(event) ? new ServerView(room, origin).show(event) : undefined
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
  const sight = sightFor(room, origin)
  if (!sight.ok) return sight
  const found = walkBack(room, from, { limit: Math.min(limit, maxEvents), stopAt: new Set(), minDepth: 0 })
  const seen = seenOf(found, sight.maySee)
  return seen.ok ? { ok: true, pdus: shown(room, origin, seen.events) } : seen
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
  const sight = sightFor(room, origin)
  if (!sight.ok) return sight
  const latest = asked.latest.map((id) => room.reader.eventById(id)).filter((event) => event !== undefined)
  const from = latest.flatMap(({ pdu }) => pdu.prev_events)
  const stopAt = new Set([...asked.earliest, ...asked.latest])
  const limit = Math.min(asked.limit, maxEvents)
  const found = walkBack(room, from, { limit, stopAt, minDepth: asked.minDepth })
  const seen = seenOf(found, sight.maySee)
  return seen.ok ? { ok: true, events: shown(room, origin, seen.events.reverse()) } : seen
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
  const sight = sightFor(room, origin)
  if (!sight.ok) return sight
  const { reader, groups } = room
  const event = reader.eventById(eventId)
  if (event?.stateBefore === undefined || event.outcome === outcomes.rejected) return fail('unknown_event')
  if (!sight.maySeeStateAt(event)) return fail('forbidden', 'That server was not in the room then')
  const nids = [...groups.readAll(event.stateBefore).values()]
  return { ok: true, state: nids, authChain: authChainOf(room, nids) }
}

/** An event's auth chain, to be streamed: its length is its sender's choice. Spec: #get_matrixfederationv1event_authroomideventid */
export function authForServer(room: Room, origin: ServerName, eventId: EventId): Outcome<{ authChain: Nid[] }> {
  const sight = sightFor(room, origin)
  if (!sight.ok) return sight
  const event = room.reader.eventById(eventId)
  if (event?.stateBefore === undefined || !sight.maySee(event)) return fail('unknown_event')
  return { ok: true, authChain: authChainOf(room, [event.nid]) }
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
