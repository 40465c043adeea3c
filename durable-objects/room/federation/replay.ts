/**
 * Judges anew, on the whole state, what came while the room's members were not all known here, and then puts that in place
 * of what was thought before.
 *
 * MSC3902 "Re-checking events". In the order in which they were given their place, which is one of the DAG: the state before
 * each follows from what its prev_events come to now. That goes slice by slice into the table `provisional`; nobody sees
 * anything of it until `finishReplay`, one turn that takes in what came meanwhile.
 *
 *     partial:  J ── a ── kick of @u (by whom?) ── b         @u's server is told, @u is out
 *     whole:    J ── a ── (rejected)            ── b         @u never was out
 *
 * For clients the positions up to then name what they heard, so the next answer tells them how that differs.
 */
import { stateMapKey } from '#protocol/events/state-map.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import { changeCurrentState } from '../current-state.ts'
import { extremitiesAfter } from '../extremities.ts'
import { mergeState } from '../merge-state.ts'
import type { PartialJoin } from '../partial-state.ts'
import { policyFault } from '../policy.ts'
import { applyRedactions } from '../redactions.ts'
import { noteRelation } from '../relations.ts'
import { type Room, stateLookup } from '../room.ts'
import { editedBy, noteSearchable, noteUnsaid } from '../search/search-index.ts'
import { noteSticky, reconsiderSticky } from '../sticky/sticky-events.ts'
import { unstick } from '../sticky/sticky-rows.ts'
import { type EventOutcome, type GroupId, type Nid, outcomes, type StoredEvent } from '../stored-event.ts'
import { authFault, stateFault } from './receive-pdu.ts'

/** Where the room has come to in the replay. */
interface Ends {
  readonly extremities: readonly Nid[]
  readonly group: GroupId | undefined
}

type Row = {
  nid: number
  seq: number
  given: number | null
  is_live: number
  is_cited: number
  outcome: EventOutcome | null
  state_before: number | null
  state_after: number | null
  reason: string | null
}

/** Judges some of the events that were not yet. False when none is left. Every partial join has its whole state by now. */
export function replaySome(room: Room, atOnce: number): boolean {
  const { sql, partial } = room.reader
  const rows = sql.exec<Row>('SELECT * FROM provisional WHERE outcome IS NULL ORDER BY seq LIMIT ?', atOnce).toArray()
  if (rows.length === 0) return false
  const joins = new Map(partial.joins().map((join) => [join.nid, join]))
  let ends = readEnds(sql)
  for (const row of rows) ends = replayOne(room, row, joins.get(row.nid), ends)
  sql.exec('UPDATE partial_span SET replay = ?', JSON.stringify(ends))
  return true
}

function readEnds(sql: SqlStorage): Ends {
  const { replay } = sql.exec<{ replay: string | null }>('SELECT replay FROM partial_span').one()
  return replay === null ? { extremities: [], group: undefined } : JSON.parse(replay)
}

function replayOne(room: Room, row: Row, join: PartialJoin | undefined, ends: Ends): Ends {
  const { reader, groups } = room
  const event = reader.eventOf(row.nid)
  const before = stateBefore(room, event, row, join)
  const { outcome, reason } = verdict(room, event, before, row.is_live === 1 ? ends.group : undefined)
  const counts = outcome !== outcomes.rejected && event.state_key !== undefined
  const after = counts
    ? groups.child(before, new Map([[stateMapKey(event.type, event.state_key ?? ''), event.nid]]))
    : before
  const query = 'UPDATE provisional SET outcome = ?, state_before = ?, state_after = ?, reason = ? WHERE seq = ?'
  reader.sql.exec(query, outcome, before, after, reason ?? null, row.seq)
  if (outcome !== outcomes.accepted || row.is_live === 0) return ends
  const extremities = extremitiesAfter(room, ends.extremities, event, row.is_cited === 1, (other) => {
    return outcomeNow(room, other)
  })
  const states = extremities.map((nid) => stateAfterOf(room, reader.eventOf(nid))).filter((id) => id !== undefined)
  const group = mergeState(room, states, isRejectedNow(room))
  return { extremities, group }
}

/** What the event stands on, now that all is known. */
function stateBefore(room: Room, event: StoredEvent, row: Row, join: PartialJoin | undefined): GroupId {
  if (join?.wholeGroup !== undefined) return join.wholeGroup
  const { reader } = room
  const prevs = event.pdu.prev_events.map((id) => reader.eventById(id)).filter((prev) => prev !== undefined)
  // Of those that came after it nothing was known; what was given stands for them.
  const states = prevs.flatMap((prev) => {
    const its = replayed(room, prev.nid)
    if (row.given !== null && (!its || its.seq > row.seq)) return []
    return stateAfterOf(room, prev) ?? []
  })
  return mergeState(room, row.given === null ? states : [row.given, ...states], isRejectedNow(room))
}

function replayed({ reader }: Room, nid: Nid): Row | undefined {
  return reader.sql.exec<Row>('SELECT * FROM provisional WHERE nid = ?', nid).toArray()[0]
}

/** As far as the replay has come to it. */
function outcomeNow(room: Room, event: StoredEvent): EventOutcome {
  return replayed(room, event.nid)?.outcome ?? event.outcome
}

function isRejectedNow(room: Room): (event: StoredEvent) => boolean {
  return (event) => outcomeNow(room, event) === outcomes.rejected
}

function stateAfterOf(room: Room, event: StoredEvent): GroupId | undefined {
  const row = replayed(room, event.nid)
  return row ? (row.state_after ?? undefined) : event.stateAfter
}

/** The checks on receipt, as in receive-pdu.ts. `present`: the room's state when it came; undefined for what is past. */
function verdict(
  room: Room,
  { pdu }: StoredEvent,
  before: GroupId,
  present: GroupId | undefined,
): { outcome: EventOutcome; reason: string | undefined } {
  const rejection = authFault(room, pdu, isRejectedNow(room)) ?? stateFault(room, pdu, stateLookup(room, before))
  if (rejection !== undefined) return { outcome: outcomes.rejected, reason: rejection }
  const misfit = present === undefined ? undefined : stateFault(room, pdu, stateLookup(room, present))
  const reason = misfit ?? (present === undefined ? undefined : policyFault(room, pdu))
  return { outcome: reason === undefined ? outcomes.accepted : outcomes.softFailed, reason }
}

/**
 * In one turn: what the replay came to becomes what is so. Returns the local users whose membership is another now;
 * undefined where events came that have not been judged anew yet.
 */
export function finishReplay(room: Room): UserId[] | undefined {
  const { reader, transactor, groups } = room
  const { sql } = reader
  if (sql.exec('SELECT 1 AS found FROM provisional WHERE outcome IS NULL LIMIT 1').toArray().length > 0)
    return undefined
  const ends = readEnds(sql)
  const whole = reader.partial.joins().at(-1)?.wholeGroup
  const to = ends.group ?? whole ?? groups.empty()
  const before = reader.header().currentGroup
  const [first] = sql.exec<Row>('SELECT * FROM provisional ORDER BY seq LIMIT 1').toArray()
  // What clients heard at each position, they heard.
  sql.exec(`INSERT OR IGNORE INTO merged_states(pos, state_group)
    SELECT pos, events.state_after FROM events JOIN provisional USING (nid) WHERE pos IS NOT NULL AND events.state_after IS NOT NULL`)
  const flipped = replace(room)
  const changed = first === undefined ? [] : changeCurrentState(room, before, to, reader.eventOf(first.nid))
  transactor.setHeader({ extremities: ends.extremities, currentGroup: to })
  const pos = transactor.nextPos()
  transactor.noteMergedState(pos, to)
  reader.partial.end(pos)
  for (const event of flipped) followUp(room, event)
  reconsiderSticky(room)
  return changed
}

/** Writes the new outcomes and states to the events; returns those of which the outcome is another. */
function replace(room: Room): StoredEvent[] {
  const { reader, transactor } = room
  const flipped: Nid[] = []
  for (const row of reader.sql.exec<Row>('SELECT * FROM provisional ORDER BY seq').toArray()) {
    const event = reader.eventOf(row.nid)
    const outcome = row.outcome ?? event.outcome
    const isShown = outcome === outcomes.accepted && row.is_live === 1
    transactor.judgeAnew(event, {
      outcome,
      pos: isShown ? (event.pos ?? transactor.nextPos()) : undefined,
      stateBefore: row.state_before ?? undefined,
      stateAfter: row.state_after ?? undefined,
      rejectReason: row.reason ?? undefined,
    })
    if (outcome !== event.outcome) flipped.push(row.nid)
  }
  return reader.events(flipped)
}

/** What an event does beside the state: relations, the search index, redactions. */
function followUp(room: Room, event: StoredEvent): void {
  if (event.outcome === outcomes.accepted) {
    noteRelation(room, event)
    noteSearchable(room, event, false)
    noteSticky(room, event, 'live')
    applyRedactions(room, event, 'live')
    return
  }
  unstick(room, event)
  noteSticky(room, event, 'live')
  room.transactor.removeRelation(event)
  room.transactor.removeSearchText(event.nid)
  noteUnsaid(room, event, editedBy(room, event))
}
