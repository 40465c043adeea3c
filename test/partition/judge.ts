/**
 * What the room's rules say of every event, worked out from nothing but the events themselves: the union of what all
 * servers stored, judged in the order of the DAG. Whether an event is rejected depends on that alone, not on when it came
 * to whom; so every server must have come to the same.
 *
 * Spec: server-server-api/#checks-performed-on-receipt-of-a-pdu 4 and 5, #room-state-resolution.
 */
import { checkAuthEventsOf } from '../../worker/protocol/event-auth/auth-events.ts'
import { checkAuthRules } from '../../worker/protocol/event-auth/check-auth-rules.ts'
import { membershipOf } from '../../worker/protocol/events/fields.ts'
import type { Pdu, StateLookup } from '../../worker/protocol/events/pdu.ts'
import { splitStateMapKey, type StateMap, stateMapKey } from '../../worker/protocol/events/state-map.ts'
import type { EventId } from '../../worker/protocol/identifiers/event-id.ts'
import type { RoomVersionRules } from '../../worker/protocol/room-versions/rules.ts'
import { resolveState, stateAfter } from '../../worker/protocol/state-resolution/resolve-state.ts'
import { nodeCrypto } from '../../worker/node-crypto.ts'
import type { RoomRows } from './rows.ts'

export interface Judged {
  readonly pdu: Pdu
  /** Why it is rejected. */
  readonly fault: string | undefined
  readonly before: StateMap
  readonly after: StateMap
}

export interface Judgement {
  readonly events: ReadonlyMap<EventId, Judged>
  /** Events whose ancestors no server has. */
  readonly unjudged: readonly EventId[]
  /** Whether the room's rules allow an event in a state. */
  isAllowed(pdu: Pdu, state: StateMap): boolean
  /** Servers with a joined member. */
  serversIn(state: StateMap): Set<string>
  isAncestor(ancestor: EventId, of: EventId): boolean
}

export function judge(rules: RoomVersionRules, rooms: readonly RoomRows[]): Judgement {
  const pdus = new Map<EventId, Pdu>()
  for (const { events } of rooms) for (const [id, { pdu }] of events) if (!pdus.has(id)) pdus.set(id, pdu)
  const judged = new Map<EventId, Judged>()
  const order = new Map<EventId, number>()
  const accepted = (id: EventId) => {
    const known = judged.get(id)
    return known && known.fault === undefined ? known.pdu : undefined
  }
  const lookupIn =
    (state: StateMap): StateLookup =>
    (type, stateKey) => {
      const id = state.get(stateMapKey(type, stateKey))
      return id === undefined ? undefined : pdus.get(id)
    }
  const isAllowed = (pdu: Pdu, state: StateMap) => checkAuthRules(rules, pdu, lookupIn(state), nodeCrypto).ok
  const graph = {
    authEvents: (id: EventId) => pdus.get(id)?.auth_events ?? [],
    order: (id: EventId) => order.get(id) ?? -1,
  }

  for (const pdu of inOrder(pdus)) {
    const prev = pdu.prev_events.map((id) => judged.get(id)).filter((each) => each !== undefined)
    if (prev.length < pdu.prev_events.length || pdu.auth_events.some((id) => !judged.has(id))) continue
    const before = resolveState({
      rules,
      stateSets: prev.map(({ after }) => after),
      lookup: accepted,
      graph,
      crypto: nodeCrypto,
    })
    order.set(pdu.event_id, order.size)
    const cited = checkAuthEventsOf(rules, pdu, (id) => {
      const known = judged.get(id)
      return known && { pdu: known.pdu, rejected: known.fault !== undefined }
    })
    const byCited = cited.ok ? checkAuthRules(rules, pdu, lookupIn(stateOf(rules, pdu, pdus)), nodeCrypto) : cited
    const verdict = byCited.ok ? checkAuthRules(rules, pdu, lookupIn(before), nodeCrypto) : byCited
    const after = verdict.ok ? stateAfter(before, pdu) : before
    judged.set(pdu.event_id, { pdu, fault: verdict.ok ? undefined : verdict.message, before, after })
  }
  return {
    events: judged,
    unjudged: [...pdus.keys()].filter((id) => !judged.has(id)),
    isAllowed,
    serversIn: (state) => serversIn(state, pdus),
    isAncestor: (ancestor, of) => isAncestor(pdus, ancestor, of),
  }
}

/** The state that an event's auth events make up. */
function stateOf(rules: RoomVersionRules, pdu: Pdu, pdus: ReadonlyMap<EventId, Pdu>): StateMap {
  const create = rules.roomIdIsCreateHash ? [...pdus.values()].find(({ type }) => type === 'm.room.create') : undefined
  const state = new Map(create ? [[stateMapKey('m.room.create', ''), create.event_id]] : [])
  for (const id of pdu.auth_events) {
    const event = pdus.get(id)
    if (event?.state_key !== undefined) state.set(stateMapKey(event.type, event.state_key), id)
  }
  return state
}

/** Each event after all that it cites, as far as that is there. */
function inOrder(pdus: ReadonlyMap<EventId, Pdu>): Pdu[] {
  const [done, ordered] = [new Set<EventId>(), Array<Pdu>()]
  const start = [...pdus.values()].sort((a, b) => a.depth - b.depth)
  for (const first of start) {
    const walk = [first]
    for (let pdu = walk.at(-1); pdu; pdu = walk.at(-1)) {
      const next = [...pdu.prev_events, ...pdu.auth_events].find((id) => !done.has(id) && pdus.has(id))
      const cited = next === undefined ? undefined : pdus.get(next)
      if (cited) walk.push(cited)
      else {
        if (!done.has(pdu.event_id)) ordered.push(pdu)
        done.add(pdu.event_id)
        walk.pop()
      }
    }
  }
  return ordered
}

function serversIn(state: StateMap, pdus: ReadonlyMap<EventId, Pdu>): Set<string> {
  const servers = new Set<string>()
  for (const [key, id] of state) {
    const [type, userId] = splitStateMapKey(key)
    const event = pdus.get(id)
    if (type !== 'm.room.member' || !event || membershipOf(event) !== 'join') continue
    servers.add(userId.slice(userId.indexOf(':') + 1))
  }
  return servers
}

function isAncestor(pdus: ReadonlyMap<EventId, Pdu>, ancestor: EventId, of: EventId): boolean {
  const seen = new Set<EventId>()
  const walk: EventId[] = [of]
  for (let id = walk.pop(); id !== undefined; id = walk.pop()) {
    if (id === ancestor) return true
    if (seen.has(id)) continue
    seen.add(id)
    walk.push(...(pdus.get(id)?.prev_events ?? []))
  }
  return false
}
