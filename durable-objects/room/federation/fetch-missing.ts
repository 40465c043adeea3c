/**
 * Goes for what staged events build on, until none waits: first the events in between, then the state behind the hole. A
 * hole that was passed over like that is filled afterwards, as far as this server was in the room then.
 *
 * Spec: server-server-api/#backfilling-and-retrieving-missing-events. After every answer of another server the room is read
 * anew: it has moved meanwhile. One run is bounded; what it could not get is tried again by the room's alarm, with ever
 * longer pauses, from all servers in the room, for as long as an event waits or a hole is open.
 */
import type { Pdu } from '#protocol/events/pdu.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'

import { withPolicySignatures } from './ask-policy-server.ts'
import { maxWhilePartial, takeHistory } from './backfill.ts'
import { afterEvent, groupOf } from './explicit-state.ts'
import { FederationRequests } from './federation-requests.ts'
import type { Env } from '../../../worker/env.ts'
import { mergeState } from '../merge-state.ts'
import { entryDepth, holesSinceEntry, noteHoleTry } from './holes.ts'
import { storeOutliers } from './outliers.ts'
import { missingPrevEvents, receivePdu } from './receive-pdu.ts'
import { receiveStaged } from './receive-staged.ts'
import type { Room } from '../room.ts'
import { isStaged, noteTry, stage, type Staged, stagedCount, stagedEvents, stagedPdu, unstage } from './staged.ts'
import type { GroupId } from '../stored-event.ts'
import { storeToldState } from './told-state.ts'

/** Requests to other servers in one run. */
const maxRequests = 200
/** Events asked for at once; servers give at most about this many. */
const perRequest = 20
/** Rounds of get_missing_events before a hole is taken as a hole. */
const maxRounds = 30
/** Beyond this many unknown events the whole state is asked for. */
const manyUnknown = 30
/** Servers asked for the same thing. */
const maxServers = 4
/** Events asked for at once to fill a hole. */
const perHole = 50
/** Holes looked at in one run. */
const maxHoles = 20

export interface FetchDeps {
  readonly env: Env
  /** Called in the turn that stored events. */
  readonly stored: (changedMembers: readonly UserId[]) => void
  /** Whether holes are to be filled in this run. */
  readonly fillsHoles: () => boolean
}

/** One run. True when no event waits any more and no hole is open. */
export async function fetchMissing(room: Room, deps: FetchDeps): Promise<boolean> {
  const requests = new FederationRequests(deps.env, room.reader.header())
  const budget = { left: maxRequests, rounds: maxRounds }
  const [failed, ends] = [new Set<EventId>(), new Set<string>()]
  const errand: Errand = { room, env: deps.env, requests, budget, ends, stored: deps.stored }
  for (;;) {
    receiveStaged(room, deps.stored)
    const staged = stagedEvents(room)
    passOverHeirs(room, staged, failed)
    const next = staged.find(({ eventId }) => !failed.has(eventId))
    if (!next || budget.left <= 0) {
      if (deps.fillsHoles()) await fillHoles(errand)
      return stagedCount(room) === 0 && holesSinceEntry(room, 1).length === 0
    }
    const helped = await goFor(errand, next)
    if (!helped) {
      failed.add(next.eventId)
      noteTry(room, next.eventId)
    }
  }
}

/**
 * What builds on nothing but events that could not be placed in this run waits for them; only the next run looks for a way
 * around them.
 */
function passOverHeirs(room: Room, staged: readonly Staged[], failed: Set<EventId>): void {
  if (failed.size === 0) return
  for (const { eventId, prevEvents, tries } of staged) {
    // First those that cost nothing: most of what an event builds on is here or has not failed.
    if (failed.has(eventId) || tries > 0 || !prevEvents.some((id) => failed.has(id))) continue
    const missing = missingPrevEvents(room, { prev_events: prevEvents })
    if (missing.length === 0 || !missing.every((id) => failed.has(id))) continue
    failed.add(eventId)
    noteTry(room, eventId)
  }
}

interface Errand {
  readonly room: Room
  readonly env: Env
  readonly requests: FederationRequests
  readonly budget: { left: number; rounds: number }
  /** Events behind which a server has given all that it has. */
  readonly ends: Set<string>
  readonly stored: FetchDeps['stored']
}

/** Gets something that brings one staged event nearer. False when nobody could help. */
async function goFor(errand: Errand, staged: Staged): Promise<boolean> {
  const { room } = errand
  const servers = serversToAsk(room, staged)
  const entry = entryDepth(room)
  const pdu = stagedPdu(room, staged.eventId)
  for (const server of servers) if (await askForEvents(errand, pdu, server, entry)) return true
  // Nobody has the events in between. (What a server that is gone for good sent last, only those who heard it have.)
  if (missingPrevEvents(room, pdu).length === 0) return false
  for (const server of servers) if (await skipHole(errand, pdu, server)) return true
  // Nobody tells the state: what is left is to go back, beyond our own time, to where the fork began.
  if (entry > 0) for (const server of servers) if (await fillGap(errand, pdu, server, 0)) return true
  return false
}

/** Asks for what the event cites: events between what we have and it, and its auth chain. */
async function askForEvents(errand: Errand, pdu: Pdu, server: ServerName, minDepth: number): Promise<boolean> {
  const { room, requests, budget } = errand
  const { reader } = room
  const unknownAuth = () => pdu.auth_events.filter((id) => reader.nidOf(id) === undefined)
  if (unknownAuth().length > 0) {
    budget.left--
    const chain = await requests.eventAuth(server, pdu.event_id)
    if (chain) storeOutliers(room, chain)
    // What the auth chain did not bring may come with the state.
    if (missingPrevEvents(room, pdu).length === 0) return unknownAuth().length === 0
  }
  // What leads to it is all of the time before this server came; many servers would give it none the less.
  return pdu.depth > minDepth && fillGap(errand, pdu, server, minDepth)
}

/** Asks for the events between what we have and this one. True when some came that we had not. */
async function fillGap(
  { room, env, requests, budget, ends: dead }: Errand,
  pdu: Pdu,
  server: ServerName,
  minDepth: number,
): Promise<boolean> {
  const endOf = (id: EventId) => `${server} ${minDepth} ${id}`
  if (budget.rounds <= 0 || dead.has(endOf(pdu.event_id))) return false
  const { reader } = room
  const ends = reader.events(reader.header().extremities)
  budget.left--
  budget.rounds--
  const events = await requests.missingEvents(server, {
    earliest_events: ends.map(({ event_id }) => event_id),
    latest_events: [pdu.event_id],
    limit: perRequest,
    // Not the depth of our ends: a fork that was made while we were cut off may begin long before them.
    min_depth: minDepth,
  })
  const wanted = new Set<EventId>(pdu.prev_events)
  const endorsed = await withPolicySignatures(room, env, events ?? [])
  const news = endorsed.filter(
    ({ event_id }) => reader.eventById(event_id)?.stateBefore === undefined && !isStaged(room, event_id),
  )
  // Fewer than asked for, and no way back to what is here: asked again, the server would give nothing more.
  if (endorsed.length < perRequest) for (const { event_id } of endorsed) dead.add(endOf(event_id))
  // Only what leads back from this event: a server that sends other things does not get us to store them.
  let found = 0
  for (const event of news.sort((a, b) => b.depth - a.depth)) {
    if (!wanted.has(event.event_id) || !stage(room, event, server)) continue
    event.prev_events.forEach((id) => wanted.add(id))
    found++
  }
  return found > 0
}

/**
 * Takes the state before each missing prev event from the server, or else, if it does not know of that one, the state before
 * the event itself, and receives the event on top of it.
 */
async function skipHole(errand: Errand, pdu: Pdu, server: ServerName): Promise<boolean> {
  const { room, stored } = errand
  const { reader } = room
  const states = new Map<EventId, readonly EventId[]>()
  let before: readonly EventId[] | undefined
  for (const prev of missingPrevEvents(room, pdu)) {
    const told = await stateAt(errand, prev, server)
    if (told === 'incomplete') return false
    // Without the event itself it is not known what it changed.
    if (told !== 'unknown' && reader.nidOf(prev) !== undefined) {
      states.set(prev, told)
      continue
    }
    const own = await stateAt(errand, pdu.event_id, server)
    if (own === 'unknown' || own === 'incomplete') return false
    before = own
    break
  }
  return room.transactor.turn(() => {
    const missing = missingPrevEvents(room, pdu)
    if (!before && missing.some((id) => !states.has(id))) return { ok: false } as const
    const known = pdu.prev_events.map((id) => reader.eventById(id)?.stateAfter).filter((group) => group !== undefined)
    const told: GroupId[] = missing.map((id) =>
      afterEvent(room, groupOf(room, states.get(id) ?? []), reader.eventById(id)),
    )
    const result = receivePdu(room, pdu, before ? groupOf(room, before) : mergeState(room, [...known, ...told]))
    if (result.kind === 'waiting') return { ok: false } as const
    if (result.kind === 'stored') stored(result.changedMembers)
    unstage(room, pdu.event_id)
    return { ok: true } as const
  }).ok
}

/** The state before an event as a server tells it, all of it stored; `incomplete` where any of it does not come. */
async function stateAt(
  { room, requests, budget }: Errand,
  eventId: EventId,
  server: ServerName,
): Promise<readonly EventId[] | 'unknown' | 'incomplete'> {
  const { reader } = room
  budget.left -= 2
  const ids = await requests.stateIds(server, eventId)
  if (!ids || ids.state.length === 0) return 'unknown'
  const wanted = new Set([...(isStaged(room, eventId) ? [] : [eventId]), ...ids.state, ...ids.authChain])
  const unknown = [...wanted].filter((id) => reader.nidOf(id) === undefined)
  // The members of a large room are on their way already (complete-join.ts), and not to be held in memory here.
  if (reader.partial.isOpen && unknown.length > maxWhilePartial) return 'incomplete'
  if (unknown.length <= manyUnknown) await fetchEvents({ room, requests, budget }, server, unknown)
  const lacking = unknown.filter((id) => reader.nidOf(id) === undefined)
  if (lacking.length > 0) {
    // One by one a server gives only events whose place it knows; of those it was told when it joined it does not.
    budget.left--
    await storeToldState(room, requests, server, eventId, lacking)
    if (lacking.includes(eventId)) await fetchEvents({ room, requests, budget }, server, [eventId])
  }
  // Without every event of the state, the state is a guess.
  return ids.state.some((id) => reader.nidOf(id) === undefined) ? 'incomplete' : ids.state
}

/**
 * Fetches what is missing before events that are here already: of the time in which this server was in the room nothing
 * shall be missing. What came before that is fetched when somebody reads that far (backfill.ts).
 */
async function fillHoles({ room, requests, budget, stored }: Errand): Promise<void> {
  const failed = new Set<EventId>()
  const { pos } = room.reader.header()
  while (budget.left > 0) {
    const hole = holesSinceEntry(room, maxHoles).find(({ eventId }) => !failed.has(eventId))
    if (!hole) break
    for (const server of rotated([...room.reader.serversIn()], hole.tries, room)) {
      budget.left--
      if (await fillAlone({ room, requests }, server, hole.eventId)) break
      budget.left--
      const events = await requests.backfill(server, [hole.eventId], perHole)
      if (events && (await takeHistory(room, requests, server, events))) break
    }
    if (room.reader.eventById(hole.eventId)?.stateBefore !== undefined) continue
    failed.add(hole.eventId)
    noteHoleTry(room, hole.eventId)
  }
  // Of the past, clients hear at once of what is sticky.
  if (room.reader.header().pos !== pos) stored([])
}

/** Most holes are one event, and what it builds on is here. */
async function fillAlone(
  { room, requests }: Pick<Errand, 'room' | 'requests'>,
  server: ServerName,
  eventId: EventId,
): Promise<boolean> {
  const event = await requests.event(server, eventId)
  const hasPlace = event !== undefined && missingPrevEvents(room, event).length === 0 && event.prev_events.length > 0
  return hasPlace && (await takeHistory(room, requests, server, [event]))
}

async function fetchEvents(
  { room, requests, budget }: Pick<Errand, 'room' | 'requests' | 'budget'>,
  server: ServerName,
  unknown: readonly EventId[],
): Promise<void> {
  const events: Pdu[] = []
  for (const id of unknown) {
    budget.left--
    const event = await requests.event(server, id)
    if (event) events.push(event)
  }
  storeOutliers(room, events)
}

/** Who sent the event, its sender's server, and others in the room; another order at each try. */
function serversToAsk(room: Room, { sender, origin, tries }: Staged): ServerName[] {
  return rotated([origin, serverNameOf(sender), ...room.reader.serversIn()], tries, room)
}

/** Some of the servers, others at each try; never ourselves. */
function rotated(names: readonly ServerName[], tries: number, room: Room): ServerName[] {
  const servers = [...new Set(names)].filter((name) => name !== room.serverName)
  const start = tries === 0 ? 0 : (tries * maxServers) % servers.length
  return [...servers.slice(start), ...servers.slice(0, start)].slice(0, maxServers)
}
