/**
 * What a server that joins is told of the room: the state before its join and the auth chain of that, as a stream.
 *
 * Spec: server-server-api/#put_matrixfederationv2send_joinroomideventid. A large room's answer has some hundred thousand
 * events: only their numbers are held in memory, the events themselves are read in slices while the answer goes out.
 */
import { membershipOf } from '#protocol/events/fields.ts'
import { splitStateMapKey, stateMapKey, type StateMapKey } from '#protocol/events/state-map.ts'
import { type EventId, parseEventId } from '#protocol/identifiers/event-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { isObject, type JsonObject, type JsonValue, own } from '#protocol/json/json.ts'

import type { Room } from '../room.ts'
import type { GroupId, Nid } from '../stored-event.ts'
import { streamText } from '../stream-text.ts'

const slice = 200

export interface JoinState {
  readonly state: readonly Nid[]
  readonly authChain: readonly Nid[]
  /** Servers in the room before the join. */
  readonly servers: readonly string[]
}

/** The auth events of the join that is answered. */
export function citedBy({ event }: JsonObject): EventId[] {
  const list = isObject(event) ? own(event, 'auth_events') : undefined
  // Room versions 1 and 2 have pairs of an ID and hashes.
  const idOf = (entry: JsonValue) => parseEventId(Array.isArray(entry) ? entry[0] : entry) ?? []
  return Array.isArray(list) ? list.flatMap((entry: JsonValue) => idOf(entry)) : []
}

/**
 * Numbers of the events to tell. `cited`: the auth events of the join. `omitMembers`: memberships are left out of the state,
 * but for those that the join or other state needs as auth events and of the room's heroes ("… the homeserver may omit membership events").
 */
export function joinState(
  room: Room,
  stateBefore: GroupId,
  {
    omitMembers,
    joiner,
    cited,
  }: { readonly omitMembers: boolean; readonly joiner: ServerName; readonly cited: readonly EventId[] },
): JoinState {
  const { groups } = room
  const whole = [...groups.readAll(stateBefore)]
  const isMember = (key: string) => key.startsWith('13:m.room.member')
  const heroes = omitMembers ? heroesOf(room, whole) : new Set<Nid>()
  const state = whole.filter(([key, nid]) => !omitMembers || !isMember(key) || heroes.has(nid)).map(([, nid]) => nid)
  // "any events that are returned in `state` may be omitted from `auth_chain`": of an answer with all members none is.
  const isTold = new Set(omitMembers ? state : [])
  // Those that the join cites may be members who are left out.
  const more = cited.map((id) => room.reader.nidOf(id)).filter((nid) => nid !== undefined)
  const chain = new Set([...more, ...authChainOf(room, [...state, ...more])])
  const authChain = [...chain].filter((nid) => !isTold.has(nid)).sort((a, b) => a - b)
  return { state, authChain, servers: omitMembers ? serversBefore(room, joiner) : [] }
}

/** Servers with joined members, but for the joiner's where the joiner is its only one. */
function serversBefore({ reader }: Room, joiner: ServerName): ServerName[] {
  const query =
    "SELECT count(*) AS members FROM current_state WHERE type = 'm.room.member' AND membership = 'join' " +
    "AND substr(state_key, instr(state_key, ':') + 1) = ?"
  const { members } = reader.sql.exec<{ members: number }>(query, joiner).one()
  return [...reader.joinedServers()].filter((server) => server !== joiner || members > 1)
}

/** How many members stand in for the name of a room without one. Spec: client-server-api/#get_matrixclientv3sync `m.heroes`. */
const heroCount = 5

/** Memberships that name the room: none where it has a name or alias of its own. */
function heroesOf({ reader }: Room, state: readonly (readonly [StateMapKey, Nid])[]): Set<Nid> {
  const has = (type: string) => state.some(([key]) => key === stateMapKey(type, ''))
  if (has('m.room.name') || has('m.room.canonical_alias')) return new Set()
  const members = state.filter(([key]) => splitStateMapKey(key)[0] === 'm.room.member').map(([, nid]) => nid)
  members.sort((a, b) => a - b)
  const heroes = new Set<Nid>()
  // There may be 100,000 of them.
  for (let at = 0; at < members.length && heroes.size < heroCount; at += slice) {
    for (const { nid, pdu } of reader.events(members.slice(at, at + slice))) {
      if (membershipOf(pdu) === 'join' && heroes.size < heroCount) heroes.add(nid)
    }
  }
  return heroes
}

/** Auth events of these events, and theirs, to the create event. Iterative; each event is read once. */
export function authChainOf({ reader }: Room, nids: readonly Nid[]): Nid[] {
  // In room version 12 everything builds on the create event, and nothing cites it.
  const create = reader.rules.roomIdIsCreateHash ? reader.currentEntry('m.room.create', '') : undefined
  const chain = new Set<Nid>(create ? [create.nid] : [])
  for (let frontier = [...nids]; frontier.length > 0;) {
    const query = 'SELECT auth FROM events WHERE nid IN (SELECT value FROM json_each(?))'
    const rows = reader.sql.exec<{ auth: string }>(query, JSON.stringify(frontier)).toArray()
    const next = new Set<Nid>()
    for (const { auth } of rows) {
      const cited: Nid[] = JSON.parse(auth)
      for (const nid of cited) if (!chain.has(nid)) next.add(nid)
    }
    for (const nid of next) chain.add(nid)
    frontier = [...next]
  }
  return [...chain].sort((a, b) => a - b)
}

/** `"state":[…],"auth_chain":[…]` with `head` before them: the body of the answer. */
export function streamState(
  room: Room,
  head: JsonObject,
  name: 'state' | 'pdus',
  { state, authChain }: Pick<JoinState, 'state' | 'authChain'>,
): ReadableStream<Uint8Array> {
  return streamText(bodyParts(room, head, name, state, authChain))
}

/** `"auth_chain":[…]` alone. */
export function streamAuthChain(room: Room, authChain: readonly Nid[]): ReadableStream<Uint8Array> {
  return streamText(chainParts(room, authChain))
}

function* chainParts(room: Room, authChain: readonly Nid[]): Generator<string, void> {
  yield '{"auth_chain":['
  yield* eventList(room, authChain)
  yield ']}'
}

function* bodyParts(
  room: Room,
  head: JsonObject,
  name: string,
  state: readonly Nid[],
  authChain: readonly Nid[],
): Generator<string, void> {
  const fields = JSON.stringify(head).slice(1, -1)
  yield `{${fields}${fields === '' ? '' : ','}"${name}":[`
  yield* eventList(room, state)
  yield '],"auth_chain":['
  yield* eventList(room, authChain)
  yield ']}'
}

/** Straight from the rows: the memory of the object holds events that are in use. */
function* eventList({ reader }: Room, nids: readonly Nid[]): Generator<string, void> {
  for (let at = 0; at < nids.length; at += slice) {
    const query = 'SELECT json FROM events WHERE nid IN (SELECT value FROM json_each(?))'
    const rows = reader.sql.exec<{ json: string }>(query, JSON.stringify(nids.slice(at, at + slice))).toArray()
    const text = rows.map(({ json }) => json).join(',')
    if (text !== '') yield at === 0 ? text : `,${text}`
  }
}
