/** A room of another server that tells who joins no more of its members than it must, for tests. */
import { buildEvent } from '#protocol/events/build-event.ts'
import { parsePdu } from '#protocol/events/event-format.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { RoomVersion } from '#protocol/room-versions/rules.ts'

import { expect } from 'vitest'

import { nodeCrypto } from '../../../worker/node-crypto.ts'
import type { User } from '../client.ts'
import { user } from '../room/rooms.ts'
import { ok } from '../rooms/rooms.ts'
import { FarRoom } from './far-room.ts'
import { type Asked, type OtherServer, serversAnswer } from './other-server.ts'

export const lazy = encodeURIComponent(JSON.stringify({ room: { state: { lazy_load_members: true } } }))

let transactions = 0

export class PartialRoom extends FarRoom {
  /** Told as `servers_in_room`. */
  servers: readonly string[]
  /** The state is told once this resolves. */
  gate: Promise<void> = Promise.resolve()
  /** Lets it. */
  open: () => void = () => undefined
  readonly told: string[] = []
  /** It says nothing of its state. */
  isDown = false

  constructor(server: OtherServer, version: RoomVersion = '11') {
    super(server, version)
    this.servers = [server.name]
    this.shut()
  }

  shut(): void {
    this.gate = new Promise((resolve) => {
      this.open = resolve
    })
  }

  who(name: string): UserId {
    return user(`@${name}:${this.server.name}`)
  }

  /** A membership of one of its users, or of somebody else's. */
  member(name: string, membership = 'join', sender = this.who(name), stateKey: string = this.who(name)): Pdu {
    return this.add({ type: 'm.room.member', stateKey, sender, content: { membership } })
  }

  /** The same event with other auth events. */
  rebuilt(pdu: Pdu, auth: (ids: readonly EventId[]) => readonly EventId[]): Pdu {
    const { type, state_key: stateKey, sender, content, auth_events, prev_events, depth } = pdu
    const prevEvents = prev_events.map((event_id) => ({ event_id, depth: depth - 1 }))
    const { serverName, key } = this.server.identity
    const draft = { rules: this.rules, roomId: this.roomId, type, stateKey, sender, content, prevEvents }
    const times = { authEvents: [...auth(auth_events)], originServerTs: pdu.origin_server_ts }
    const built = buildEvent({ ...draft, ...times }, serverName, key, nodeCrypto)
    if (!built.ok) throw new Error(built.message)
    return built.pdu
  }

  /** Sends events of this room to our server. */
  async deliver(...pdus: readonly Pdu[]): Promise<void> {
    const body = { origin: this.server.name, origin_server_ts: Date.now(), pdus: pdus.map(({ json }) => json) }
    expect(await this.server.ask('PUT', `/send/t${(transactions += 1)}`, body)).toMatchObject({ status: 200 })
  }

  /** One of our users joins. */
  async joinedBy({ post }: User): Promise<string> {
    const { name } = this.server
    serversAnswer({ [name]: (asked) => this.answer(asked) })
    const joined = await ok(post<{ room_id: string }>(`/join/${encodeURIComponent(this.roomId)}?via=${name}`))
    return joined.room_id
  }

  override answer(asked: Asked): object | undefined {
    const { method, path, query, body } = asked
    const name = /^\/_matrix\/federation\/v[12]\/([a-z_]+)/.exec(path)?.[1] ?? ''
    this.told.push(name)
    if (`${method} ${name}` === 'PUT send_join' && query.get('omit_members') === 'true') {
      const parsed = parsePdu(this.rules, body, nodeCrypto)
      if (!parsed.ok) throw new Error(parsed.message)
      // What the join itself cites is asked for.
      const state = this.state().filter(({ type }) => type !== 'm.room.member')
      this.place(parsed.pdu)
      return {
        origin: this.server.name,
        members_omitted: true,
        servers_in_room: this.servers,
        state: state.map(({ json }) => json),
        auth_chain: this.chain(state).map(({ json }) => json),
      }
    }
    if (this.isDown && name.startsWith('state')) return undefined
    if (name === 'state_ids') return this.gate.then(() => super.answer(asked))
    if (name === 'state') {
      const state = [...(this.events.get(query.get('event_id') ?? '')?.before.values() ?? [])]
      const told = { pdus: state.map(({ json }) => json), auth_chain: this.chain(state).map(({ json }) => json) }
      return this.gate.then(() => told)
    }
    if (name === 'event_auth') {
      const event = this.events.get(path.split('/').at(-1) ?? '')?.pdu
      return event && { auth_chain: this.chain([event]).map(({ json }) => json) }
    }
    return super.answer(asked)
  }

  /** The state now. */
  state(): Pdu[] {
    const last = [...this.events.values()].at(-1)
    if (!last) return []
    const state = [...last.before.values()].filter(
      ({ type, state_key }) => type !== last.pdu.type || state_key !== last.pdu.state_key,
    )
    return last.pdu.state_key === undefined ? state : [...state, last.pdu]
  }

  chain(from: readonly Pdu[]): Pdu[] {
    const chain = new Set<Pdu>()
    const add = (ids: readonly string[]) => {
      for (const id of ids) {
        const pdu = this.events.get(id)?.pdu
        if (!pdu || chain.has(pdu)) continue
        chain.add(pdu)
        add(pdu.auth_events)
      }
    }
    from.forEach((pdu) => add(pdu.auth_events))
    return [...chain]
  }
}
