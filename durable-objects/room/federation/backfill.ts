/**
 * History of other servers that this one has not: fetched when a reader comes to where it is missing.
 *
 * Spec: server-server-api/#backfilling-and-retrieving-missing-events. The events are judged like any others, oldest first;
 * the state before the oldest ones comes from the same server. They take no position in the timeline and change nothing of
 * the present.
 */
import type { Pdu } from '#protocol/events/pdu.ts'
import { parseEventId, type EventId } from '#protocol/identifiers/event-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { parseTimelineToken } from '#protocol/sync/timeline-token.ts'

import type { Env } from '../../../worker/env.ts'
import { mergeState } from '../merge-state.ts'
import type { Messages, MessagesRequest } from '../messages.ts'
import { horizonOf } from '../retention/expiry.ts'
import type { Room } from '../room.ts'
import type { GroupId } from '../stored-event.ts'
import { afterEvent, groupOf } from './explicit-state.ts'
import { FederationRequests } from './federation-requests.ts'
import { storeOutliers } from './outliers.ts'
import { missingPrevEvents, receivePdu } from './receive-pdu.ts'
import { storeToldState } from './told-state.ts'

const perRequest = 100
/** Servers asked for one page. */
const maxServers = 3
/** Events of which only the ID is known that are fetched one by one for one state. */
const manyUnknown = 30
/** The same, while our join is not complete: beyond this many, history waits until it is. */
export const maxWhilePartial = 1_000

/**
 * Whether a page that goes back in time may lack events: it is the last one, or it lies around a place before which events
 * are missing, and such a place there is.
 */
export function pageHasHole(room: Room, request: MessagesRequest, { chunk }: Messages): boolean {
  const { reader } = room
  const { dir, limit } = request
  if (dir !== 'b') return false
  const oldest = chunk.at(-1)?.['event_id']
  const parsed = parseEventId(oldest)
  const depth = chunk.length < limit || !parsed ? 0 : (reader.eventById(parsed)?.depth ?? 0)
  const query = `SELECT 1 AS found FROM missing_events WHERE depth <= ?2 AND depth >= ?3 AND ${isWorthIt} LIMIT 1`
  return reader.sql.exec(query, oldestWorthIt(room), topOf(request), depth).toArray().length > 0
}

/** Before events of a time of which messages are over there is nothing to be read: none of these is fetched. */
const isWorthIt = `(${citing('<')} IS NULL OR ${citing('>=')})`

/** Whether an event before which this one is missing is from before, or after, that time. */
function citing(side: '<' | '>='): string {
  return `(SELECT 1 FROM events WHERE outcome = 0 AND events.depth = missing_events.depth AND origin_server_ts ${side} ?1 LIMIT 1)`
}

function oldestWorthIt(room: Room): number {
  return Math.max(horizonOf(room), Number.MIN_SAFE_INTEGER)
}

/** No event of a page that goes back in time lies deeper than this. */
function topOf({ from }: MessagesRequest): number {
  const token = from === undefined ? undefined : parseTimelineToken(from)
  return token?.kind === 'history' ? token.at.depth : Number.MAX_SAFE_INTEGER
}

/** Fetches a page of history before the newest holes of a page. True if that brought events. */
export async function backfill(room: Room, env: Env, request: MessagesRequest): Promise<boolean> {
  const { reader } = room
  const requests = new FederationRequests(env, reader.header())
  const servers = [...reader.serversIn()].filter((server) => server !== reader.serverName).slice(0, maxServers)
  for (const server of servers) {
    const from = holes(room, topOf(request))
    if (from.length === 0) return false
    const events = await requests.backfill(server, from, perRequest)
    if (events && events.length > 0 && (await takeHistory(room, requests, server, events))) return true
  }
  return false
}

/** The newest missing events up to a depth: a jump to a date leaves a hole above the page as well. */
function holes(room: Room, top: number): EventId[] {
  const query = `SELECT event_id FROM missing_events WHERE depth <= ?2 AND ${isWorthIt} ORDER BY depth DESC LIMIT 10`
  return room.reader.sql
    .exec<{ event_id: EventId }>(query, oldestWorthIt(room), top)
    .toArray()
    .map(({ event_id }) => event_id)
}

/** Judges and stores events of the past, oldest first, with the state before them as the same server tells it. */
export async function takeHistory(
  room: Room,
  requests: FederationRequests,
  server: ServerName,
  events: readonly Pdu[],
): Promise<boolean> {
  let stored = 0
  for (const pdu of [...events].sort((a, b) => a.depth - b.depth)) {
    if (room.reader.eventById(pdu.event_id)?.stateBefore !== undefined) continue
    const needsState = missingPrevEvents(room, pdu).length > 0 || pdu.prev_events.length === 0
    const state = needsState ? await stateBefore(room, requests, server, pdu) : undefined
    if (needsState && state === undefined && pdu.type !== 'm.room.create') continue
    const group = state ?? (pdu.type === 'm.room.create' ? room.groups.empty() : undefined)
    const received = room.transactor.turn(() => ({ ok: true, result: receivePdu(room, pdu, group, 'history') })).result
    if (received.kind === 'stored') stored++
  }
  return stored > 0
}

/** State before an event some of whose prev_events are missing, as the server tells it. */
async function stateBefore(
  room: Room,
  requests: FederationRequests,
  server: ServerName,
  pdu: Pdu,
): Promise<GroupId | undefined> {
  if (pdu.type === 'm.room.create') return undefined
  const { reader } = room
  const ids = await requests.stateIds(server, pdu.event_id)
  if (!ids) return undefined
  const unknown = [...new Set([...ids.state, ...ids.authChain])].filter((id) => reader.nidOf(id) === undefined)
  // The members of a large room are on their way already (complete-join.ts), and not to be held in memory here.
  if (reader.partial.isOpen && unknown.length > maxWhilePartial) return undefined
  if (unknown.length <= manyUnknown) {
    const fetched: Pdu[] = []
    for (const id of unknown) {
      const event = await requests.event(server, id)
      if (event) fetched.push(event)
    }
    storeOutliers(room, fetched)
  }
  // One by one a server gives only events whose place it knows; of those it was told when it joined it does not.
  const lacking = unknown.filter((id) => reader.nidOf(id) === undefined)
  if (lacking.length > 0) await storeToldState(room, requests, server, pdu.event_id, lacking)
  if (ids.state.some((id) => reader.nidOf(id) === undefined)) return undefined
  return room.transactor.turn(() => {
    const known = pdu.prev_events.flatMap((id) => {
      const event = reader.eventById(id)
      return event?.stateBefore === undefined ? [] : [afterEvent(room, event.stateBefore, event)]
    })
    const told = groupOf(room, ids.state)
    return { ok: true, group: mergeState(room, [...known, told]) }
  }).group
}
