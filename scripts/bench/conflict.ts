/**
 * A room whose two sides went their own way for long, made of bare events: nothing is hashed or signed, so that building
 * ten thousand of them takes no time.
 */
import type { Pdu } from '../../worker/protocol/events/pdu.ts'
import { stateMapKey } from '../../worker/protocol/events/state-map.ts'
import type { StateMap, StateMapKey } from '../../worker/protocol/events/state-map.ts'
import { authEventKeys } from '../../worker/protocol/events/auth-events-selection.ts'
import { parseEventId } from '../../worker/protocol/identifiers/event-id.ts'
import type { EventId } from '../../worker/protocol/identifiers/event-id.ts'
import { parseRoomId } from '../../worker/protocol/identifiers/room-id.ts'
import { parseUserId } from '../../worker/protocol/identifiers/user-id.ts'
import type { JsonObject } from '../../worker/protocol/json/json.ts'
import { rulesOf } from '../../worker/protocol/room-versions/rules.ts'
import type { RoomVersion } from '../../worker/protocol/room-versions/rules.ts'
import type { ResolutionInput } from '../../worker/protocol/state-resolution/resolution-input.ts'

export type Conflict = Omit<ResolutionInput, 'crypto'>

/** On each side half of the events: members come and go, moderators ban them and change the power levels. */
export function buildConflict(version: RoomVersion, eventsInConflict: number): Conflict {
  const rules = must(rulesOf(version))
  const events = new Map<EventId, Pdu>()
  const orders = new Map<EventId, number>()
  const roomId = must(parseRoomId(rules.roomIdIsCreateHash ? `!${'0'.padStart(43, 'e')}` : '!room:a.example'))

  const send = (
    state: Map<StateMapKey, EventId>,
    type: string,
    stateKey: string,
    sender: string,
    content: JsonObject,
  ) => {
    const order = events.size
    const authEvents = authEventKeys(rules, { type, state_key: stateKey, sender, content }).flatMap(
      ([type, stateKey]) => state.get(stateMapKey(type, stateKey)) ?? [],
    )
    const pdu: Pdu = {
      event_id: must(parseEventId(`$${String(order).padStart(43, 'e')}`)),
      room_id: roomId,
      type,
      state_key: stateKey,
      sender: must(parseUserId(sender)),
      content,
      depth: order,
      origin_server_ts: order * 1000,
      prev_events: [],
      auth_events: authEvents,
      redacts: undefined,
      json: {},
    }
    events.set(pdu.event_id, pdu)
    orders.set(pdu.event_id, order)
    state.set(stateMapKey(type, stateKey), pdu.event_id)
  }

  const trunk = new Map<StateMapKey, EventId>()
  const [creator, left, right] = ['@creator:a.example', '@left:a.example', '@right:b.example'] as const
  const levels = { users: { [left]: 100, [right]: 100, ...(rules.privilegedCreators ? {} : { [creator]: 100 }) } }
  send(trunk, 'm.room.create', '', creator, { creator, room_version: version })
  send(trunk, 'm.room.member', creator, creator, { membership: 'join' })
  send(trunk, 'm.room.power_levels', '', creator, levels)
  send(trunk, 'm.room.join_rules', '', creator, { join_rule: 'public' })
  for (const moderator of [left, right]) send(trunk, 'm.room.member', moderator, moderator, { membership: 'join' })

  const side = (moderator: string): StateMap => {
    const state = new Map(trunk)
    for (let n = 0; n < eventsInConflict / 2; n++) {
      const member = `@member${n % Math.ceil(eventsInConflict / 5)}:c.example`
      if (n % 50 === 49) {
        send(state, 'm.room.power_levels', '', moderator, { ...levels, events: { 'm.room.topic': n % 100 } })
      } else if (n % 10 === 9) send(state, 'm.room.member', `@spam${n}:d.example`, moderator, { membership: 'ban' })
      else send(state, 'm.room.member', member, member, { membership: 'join', displayname: `${n} of ${moderator}` })
    }
    return state
  }
  return {
    rules,
    stateSets: [side(left), side(right)],
    lookup: (id) => events.get(id),
    graph: { authEvents: (id) => events.get(id)?.auth_events ?? [], order: (id) => orders.get(id) ?? -1 },
  }
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the benchmark is wrong')
  return value
}
