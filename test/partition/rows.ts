/** What a server stored of a room, read from its database, whether the server is running or not. */
import { DatabaseSync } from 'node:sqlite'

import { pduFromStored } from '../../worker/protocol/events/event-format.ts'
import type { Pdu } from '../../worker/protocol/events/pdu.ts'
import type { StateMap, StateMapKey } from '../../worker/protocol/events/state-map.ts'
import type { EventId } from '../../worker/protocol/identifiers/event-id.ts'
import { isObject, type JsonObject } from '../../worker/protocol/json/json.ts'
import { type RoomVersionRules, rulesOf } from '../../worker/protocol/room-versions/rules.ts'

export interface StoredRow {
  readonly pdu: Pdu
  readonly outcome: 'accepted' | 'soft-failed' | 'rejected' | 'outlier'
  readonly reason: string | undefined
  /** Fetched to fill the past: not in the timeline of those who listened. */
  readonly isHistory: boolean
}

export interface RoomRows {
  readonly rules: RoomVersionRules
  readonly events: ReadonlyMap<EventId, StoredRow>
  readonly extremities: readonly EventId[]
  /** The current state. */
  readonly state: StateMap
  /** Events that wait for what they build on. */
  readonly staged: readonly EventId[]
  /** Cited, and not here. */
  readonly missing: readonly EventId[]
  /** The join by which the room last came to this server over another; none where it was made here. */
  readonly entry: EventId | undefined
  /** Each state that was the current one, newest first. */
  pastStates(): Iterable<StateMap>
}

const outcomes = ['accepted', 'soft-failed', 'rejected', 'outlier'] as const

/** The rows of a room; undefined where the file holds none or another. */
export function readRoom(files: readonly string[], roomId: string, serverName: string): RoomRows | undefined {
  for (const file of files) {
    const db = new DatabaseSync(file, { readOnly: true })
    try {
      const isRoom = db.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'room'").get()
      const header = isRoom && db.prepare('SELECT * FROM room').get()
      if (header?.['room_id'] === roomId) return rowsOf(db, header, serverName)
    } finally {
      db.close()
    }
  }
  return undefined
}

type Row = Record<string, unknown>

function rowsOf(db: DatabaseSync, header: Row, serverName: string): RoomRows {
  const rules = rulesOf(String(header['room_version']))
  if (!rules) throw new Error('a room without a version')
  const query = (sql: string): Row[] => db.prepare(sql).all()
  const [events, ids] = [new Map<EventId, StoredRow>(), new Map<number, EventId>()]
  for (const row of query('SELECT nid, event_id, outcome, pos, reject_reason, json FROM events')) {
    const json = objectIn(String(row['json']))
    const pdu = pduFromStored(rules, json, eventId(row['event_id']))
    ids.set(Number(row['nid']), pdu.event_id)
    events.set(pdu.event_id, {
      pdu,
      outcome: outcomes[Number(row['outcome'])] ?? 'outlier',
      reason: typeof row['reject_reason'] === 'string' ? row['reject_reason'] : undefined,
      isHistory: row['pos'] === null,
    })
  }
  const idOf = (nid: unknown): EventId => ids.get(Number(nid)) ?? eventId(`$no event ${String(nid)}`)
  const groups = groupsOf(query('SELECT id, base, delta FROM state_groups'))
  const stateOf = (group: number): StateMap => new Map([...groups(group)].map(([key, nid]) => [key, idOf(nid)]))
  const nids: unknown = JSON.parse(String(header['extremities']))
  const entry = query(
    `SELECT event_id FROM events JOIN timeline_gaps USING (pos) WHERE type = 'm.room.member' AND sender = state_key
     AND substr(sender, instr(sender, ':') + 1) = '${serverName}' AND json ->> '$.content.membership' = 'join'
     ORDER BY depth DESC LIMIT 1`,
  )[0]
  const current = query(
    `SELECT DISTINCT coalesce(state_group, state_after) AS state FROM events LEFT JOIN merged_states USING (pos)
     WHERE pos IS NOT NULL ORDER BY pos DESC`,
  ).map(({ state }) => Number(state))
  return {
    rules,
    events,
    extremities: (Array.isArray(nids) ? nids : []).map(idOf).sort(),
    state: header['current_group'] === null ? new Map() : stateOf(Number(header['current_group'])),
    staged: query('SELECT event_id FROM staged').map((row) => eventId(row['event_id'])),
    missing: query('SELECT event_id FROM missing_events').map((row) => eventId(row['event_id'])),
    entry: entry && eventId(entry['event_id']),
    *pastStates() {
      for (const group of current) yield stateOf(group)
    },
  }
}

function groupsOf(rows: readonly Row[]): (group: number) => Map<StateMapKey, number> {
  const byId = new Map(rows.map((row) => [Number(row['id']), row]))
  return (group) => {
    const state = new Map<StateMapKey, number>()
    for (let row = byId.get(group); row; row = byId.get(Number(row['base'] ?? -1))) {
      const delta: [StateMapKey, number][] = JSON.parse(String(row['delta']))
      for (const [key, nid] of delta) if (!state.has(key)) state.set(key, nid)
    }
    for (const [key, nid] of state) if (nid === 0) state.delete(key)
    return state
  }
}

function eventId(value: unknown): EventId {
  // What the server stored as an event ID.
  return String(value) as EventId
}

function objectIn(text: string): JsonObject {
  const json: unknown = JSON.parse(text)
  if (!isObject(json)) throw new Error('a stored event is no object')
  return json
}
