/**
 * A public room made up by foreign servers, of any size, whose events are as valid as any: hashed, signed, authorised. Its
 * members changed their names before, so that the auth chain has one and a half times as many events as the state.
 */
import { authEventKeys } from '../../../worker/protocol/events/auth-events-selection.ts'
import { buildEvent } from '../../../worker/protocol/events/build-event.ts'
import type { Pdu } from '../../../worker/protocol/events/pdu.ts'
import { stateMapKey } from '../../../worker/protocol/events/state-map.ts'
import type { EventId } from '../../../worker/protocol/identifiers/event-id.ts'
import { parseRoomId, type RoomId } from '../../../worker/protocol/identifiers/room-id.ts'
import { parseUserId, type UserId } from '../../../worker/protocol/identifiers/user-id.ts'
import type { JsonObject } from '../../../worker/protocol/json/json.ts'
import { rulesOf } from '../../../worker/protocol/room-versions/rules.ts'
import { nodeCrypto } from '../../../worker/node-crypto.ts'
import type { ForeignServer } from './foreign-server.ts'

/** Of what is in the room only what later events need; the events themselves are text. */
export interface FabricatedRoom {
  readonly roomId: RoomId
  readonly creator: UserId
  readonly state: readonly string[]
  readonly authChain: readonly string[]
  readonly stateIds: readonly EventId[]
  readonly authChainIds: readonly EventId[]
  /** The state without members, and its auth chain: what a joiner is told that asks for no more. */
  readonly core: { readonly state: readonly string[]; readonly authChain: readonly string[] }
  /** Builds the next event, on top of the one before. */
  send(type: string, content: JsonObject): Pdu
  /** A template for a membership, as `make_join` gives it. */
  template(user: string): JsonObject
  /** The room goes on from this event: our join. */
  goOnFrom(event: JsonObject, eventId: EventId): void
}

const version = '11'
let rooms = 0

/** `servers`: of the members, one after the other; the first one is the creator's. */
export function fabricateRoom(servers: readonly ForeignServer[], stateEvents: number): FabricatedRoom {
  const rules = must(rulesOf(version))
  const [home] = servers
  if (!home) throw new Error('a room needs a server')
  const roomId = must(parseRoomId(`!fabricated${(rooms += 1)}:${home.name}`))
  const creator = must(parseUserId(`@creator:${home.name}`))
  const state = new Map<string, EventId>()
  const current = new Map<string, string>()
  const [authChain, authChainIds]: [string[], EventId[]] = [[], []]
  let clock = Date.now() - 3_600_000
  let head: { readonly event_id: EventId; readonly depth: number }[] = []

  const make = (type: string, stateKey: string | undefined, sender: UserId, content: JsonObject, by: ForeignServer) => {
    const authEvents = authEventKeys(rules, { type, state_key: stateKey, sender, content }).flatMap(
      ([type, key]) => state.get(stateMapKey(type, key)) ?? [],
    )
    const input = { rules, roomId, type, stateKey, sender, content, prevEvents: head, authEvents }
    const built = buildEvent({ ...input, originServerTs: (clock += 10) }, by.name, by.key, nodeCrypto)
    if (!built.ok) throw new Error(built.message)
    head = [{ event_id: built.pdu.event_id, depth: built.pdu.depth }]
    return built.pdu
  }
  const set = (type: string, stateKey: string, sender: UserId, content: JsonObject, by: ForeignServer = home) => {
    const pdu = make(type, stateKey, sender, content, by)
    const key = stateMapKey(type, stateKey)
    const [before, beforeId] = [current.get(key), state.get(key)]
    if (before !== undefined) authChain.push(before)
    if (beforeId !== undefined) authChainIds.push(beforeId)
    state.set(key, pdu.event_id)
    current.set(key, JSON.stringify(pdu.json))
  }

  set('m.room.create', '', creator, { room_version: version })
  set('m.room.member', creator, creator, { membership: 'join' })
  set('m.room.power_levels', '', creator, { users: { [creator]: 100 } })
  set('m.room.join_rules', '', creator, { join_rule: 'public' })
  set('m.room.history_visibility', '', creator, { history_visibility: 'shared' })
  set('m.room.name', '', creator, { name: `A room of ${stateEvents}` })
  for (let n = 0; state.size < stateEvents; n++) {
    const server = servers[n % servers.length] ?? home
    const member = must(parseUserId(`@member${n}:${server.name}`))
    const names = n % 2 === 0 ? ['first', 'second', 'third'] : ['first', 'second']
    for (const name of names) set('m.room.member', member, member, { membership: 'join', displayname: name }, server)
  }
  return {
    roomId,
    creator,
    state: [...current.values()],
    authChain,
    stateIds: [...state.values()],
    authChainIds,
    core: {
      state: [...current].filter(([key]) => !key.includes('m.room.member')).map(([, json]) => json),
      authChain: [current.get(stateMapKey('m.room.member', creator)) ?? ''],
    },
    send: (type, content) => make(type, undefined, creator, content, home),
    template: (user) => {
      const {
        hashes: _,
        signatures: __,
        ...event
      } = make('m.room.member', user, must(parseUserId(user)), { membership: 'join' }, home).json
      return event
    },
    goOnFrom: (event, eventId) => {
      head = [{ event_id: eventId, depth: Number(event['depth']) }]
    },
  }
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('malformed')
  return value
}
