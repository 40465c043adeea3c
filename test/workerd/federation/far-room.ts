/** A room that another server made, for tests: ours can join it over that server, and ask for its past. */
import { authEventKeys } from '#protocol/events/auth-events-selection.ts'
import { buildEvent } from '#protocol/events/build-event.ts'
import { parsePdu } from '#protocol/events/event-format.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import { stateMapKey } from '#protocol/events/state-map.ts'
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { type JsonObject, own } from '#protocol/json/json.ts'
import { type RoomVersion, rulesOf } from '#protocol/room-versions/rules.ts'

import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { user } from '../room/rooms.ts'
import type { Asked, OtherServer } from './other-server.ts'

interface Placed {
  readonly pdu: Pdu
  /** The state before it. */
  readonly before: ReadonlyMap<string, Pdu>
}
export interface NewEvent {
  readonly type: string
  readonly content: JsonObject
  readonly stateKey?: string
  readonly sender?: UserId
  readonly ts?: number
  readonly stickyDuration?: number
}

let rooms = 0

export class FarRoom {
  readonly server: OtherServer
  readonly version: RoomVersion
  readonly creator: UserId
  readonly events = new Map<string, Placed>()
  #state: ReadonlyMap<string, Pdu> = new Map()
  #last: Pdu | undefined
  // Two rooms of the same moment would be the same room in version 12, whose ID is a hash.
  #clock = Date.now() - 100_000 + ++rooms

  constructor(server: OtherServer, version: RoomVersion = '11') {
    this.server = server
    this.version = version
    this.creator = user(`@far:${server.name}`)
    const creator = this.rules.creatorIsSender ? {} : { creator: this.creator }
    this.add({ type: 'm.room.create', stateKey: '', content: { room_version: version, ...creator } })
    this.add({ type: 'm.room.member', stateKey: this.creator, content: { membership: 'join' } })
    this.add({ type: 'm.room.join_rules', stateKey: '', content: { join_rule: 'public' } })
    this.add({ type: 'm.room.history_visibility', stateKey: '', content: { history_visibility: 'shared' } })
  }

  get rules() {
    const rules = rulesOf(this.version)
    if (!rules) throw new TypeError(this.version)
    return rules
  }

  get roomId() {
    const [first] = this.events.values()
    if (!first) throw new TypeError('no create event')
    return first.pdu.room_id
  }

  /** An event that is not in the room, yet. */
  build({ type, content, stateKey, sender = this.creator, ts = (this.#clock += 1000), stickyDuration }: NewEvent): Pdu {
    const keys = authEventKeys(this.rules, { type, state_key: stateKey, sender, content })
    const auth = keys.map(([each, key]) => this.#state.get(stateMapKey(each, key))?.event_id)
    const newId = this.rules.roomIdIsCreateHash ? undefined : parseRoomId(`!far${this.#clock}:${this.server.name}`)
    const built = buildEvent(
      {
        rules: this.rules,
        roomId: this.#last ? this.roomId : newId,
        type,
        stateKey,
        sender,
        content,
        prevEvents: this.#last ? [this.#last] : [],
        authEvents: auth.filter((id) => id !== undefined),
        originServerTs: ts,
        stickyDuration,
      },
      this.server.identity.serverName,
      this.server.identity.key,
      nodeCrypto,
    )
    if (!built.ok) throw new Error(built.message)
    return built.pdu
  }

  add(event: NewEvent): Pdu {
    const pdu = this.build(event)
    this.place(pdu)
    return pdu
  }

  place(pdu: Pdu): void {
    this.events.set(pdu.event_id, { pdu, before: this.#state })
    if (pdu.state_key !== undefined) {
      this.#state = new Map([...this.#state, [stateMapKey(pdu.type, pdu.state_key), pdu]])
    }
    this.#last = pdu
  }

  say(body: string, ts?: number): Pdu {
    return this.add({
      type: 'm.room.message',
      content: { msgtype: 'm.text', body },
      ...(ts === undefined ? {} : { ts }),
    })
  }

  /** What its server answers about it. */
  answer({ method, path, query, body }: Asked): object | undefined {
    const [, name = '', ...rest] = /^\/_matrix\/federation\/v[12]\/([a-z_]+)\/?(.*)$/.exec(path) ?? []
    const placed = (id: string | null | undefined) => this.events.get(id ?? '')
    const last = (rest[0] ?? '').split('/').at(-1)
    switch (`${method} ${name}`) {
      case 'GET make_join': {
        const sender = user(last ?? '')
        const template = this.build({
          type: 'm.room.member',
          stateKey: sender,
          sender,
          content: { membership: 'join' },
        })
        return { room_version: this.version, event: template.json }
      }
      case 'PUT send_join': {
        const parsed = parsePdu(this.rules, body, nodeCrypto)
        if (!parsed.ok) throw new Error(parsed.message)
        const state = [...this.#state.values()]
        this.place(parsed.pdu)
        return { origin: this.server.name, state: state.map(json), auth_chain: authChain(this, state).map(json) }
      }
      case 'GET event': {
        const found = placed(last)
        return found && { origin: this.server.name, pdus: [found.pdu.json] }
      }
      case 'GET state_ids': {
        const found = placed(query.get('event_id'))
        if (!found) return undefined
        const state = [...found.before.values()]
        return { pdu_ids: state.map(id), auth_chain_ids: authChain(this, state).map(id) }
      }
      case 'GET backfill': {
        const from = query.getAll('v').map((each) => placed(each)?.pdu.depth ?? 0)
        const past = [...this.events.values()].map(({ pdu }) => pdu).filter(({ depth }) => depth <= Math.max(...from))
        return { pdus: past.slice(-Number(query.get('limit'))).map(json) }
      }
      case 'POST get_missing_events': {
        const latest = own(body ?? {}, 'latest_events')
        const found = placed(Array.isArray(latest) ? String(latest[0]) : '')
        const prev = found?.pdu.prev_events.map((each) => placed(each)?.pdu).filter((pdu) => pdu !== undefined)
        return { events: (prev ?? []).map(json) }
      }
      case 'GET timestamp_to_event': {
        const ts = Number(query.get('ts'))
        const all = [...this.events.values()].map(({ pdu }) => pdu)
        const found =
          query.get('dir') === 'f'
            ? all.find((pdu) => pdu.origin_server_ts >= ts)
            : all.findLast((pdu) => pdu.origin_server_ts <= ts)
        return found && { event_id: found.event_id, origin_server_ts: found.origin_server_ts }
      }
    }
    return undefined
  }
}

const json = (pdu: Pdu) => pdu.json
const id = (pdu: Pdu) => pdu.event_id

function authChain(room: FarRoom, state: readonly Pdu[]): Pdu[] {
  const chain = new Set<Pdu>()
  const add = (ids: readonly string[]) => {
    for (const each of ids) {
      const pdu = room.events.get(each)?.pdu
      if (!pdu || chain.has(pdu)) continue
      chain.add(pdu)
      add(pdu.auth_events)
    }
  }
  state.forEach((pdu) => add(pdu.auth_events))
  return [...chain]
}
