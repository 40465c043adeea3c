/**
 * What a room asks other servers for, and how much of the answer it believes: only events that pass the first three checks
 * on receipt and are of this room.
 *
 * Spec: server-server-api/#backfilling-and-retrieving-missing-events, #retrieving-events, #authorization-rules. Each call
 * asks one server; `undefined` means that it did not help.
 */
import type { Pdu } from '#protocol/events/pdu.ts'
import { parseEventId, type EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { own, type JsonObject, type JsonValue } from '#protocol/json/json.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'

import type { Env } from '../../../worker/env.ts'
import { keyRing } from '../../../worker/federation-client/key-ring.ts'
import { signedFetch, signedStream, type FederationRequest } from '../../../worker/federation-client/signed-fetch.ts'
import { verifyPdus } from '../../../worker/federation-client/verify-pdus.ts'
import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { type AnswerLimits, takeApart } from './join-answer.ts'

/** Of a list of IDs. */
const idLimits = { bytes: 32 * 1024 * 1024, silence: 90_000 }
/** IDs of a state or an auth chain: some four times the largest known. More of them would not fit into memory. */
export const maxIds = 400_000
/** Milliseconds until a streamed answer has to be there, all of it. */
const longestAnswer = 600_000

/** The room as its requests need it: known before anything is stored of it. */
export interface RoomName {
  readonly roomId: RoomId
  readonly rules: RoomVersionRules
}

export class FederationRequests {
  readonly #env: Env
  readonly #roomId: RoomId
  readonly #rules: RoomVersionRules

  constructor(env: Env, { roomId, rules }: RoomName) {
    this.#env = env
    this.#roomId = roomId
    this.#rules = rules
  }

  /** Spec: #post_matrixfederationv1get_missing_eventsroomid */
  async missingEvents(
    destination: ServerName,
    body: { earliest_events: EventId[]; latest_events: EventId[]; limit: number; min_depth: number },
  ): Promise<Pdu[] | undefined> {
    const path = `/_matrix/federation/v1/get_missing_events/${encodeURIComponent(this.#roomId)}`
    return this.#pdus({ destination, method: 'POST', path, body }, 'events')
  }

  /** Spec: #get_matrixfederationv1backfillroomid */
  async backfill(destination: ServerName, from: readonly EventId[], limit: number): Promise<Pdu[] | undefined> {
    const query = [...from.map((id) => `v=${encodeURIComponent(id)}`), `limit=${limit}`].join('&')
    const path = `/_matrix/federation/v1/backfill/${encodeURIComponent(this.#roomId)}?${query}`
    return this.#pdus({ destination, method: 'GET', path }, 'pdus')
  }

  /** Spec: #get_matrixfederationv1event_authroomideventid */
  async eventAuth(destination: ServerName, eventId: EventId): Promise<Pdu[] | undefined> {
    const path = `/_matrix/federation/v1/event_auth/${encodeURIComponent(this.#roomId)}/${encodeURIComponent(eventId)}`
    return this.#pdus({ destination, method: 'GET', path }, 'auth_chain')
  }

  /** Spec: #get_matrixfederationv1eventeventid */
  async event(destination: ServerName, eventId: EventId): Promise<Pdu | undefined> {
    const path = `/_matrix/federation/v1/event/${encodeURIComponent(eventId)}`
    const pdus = await this.#pdus({ destination, method: 'GET', path }, 'pdus')
    return pdus?.find(({ event_id }) => event_id === eventId)
  }

  /** The event nearest to a moment, as they say. Spec: #get_matrixfederationv1timestamp_to_eventroomid */
  async eventAtTime(destination: ServerName, ts: number, dir: 'b' | 'f'): Promise<EventId | undefined> {
    const path = `/_matrix/federation/v1/timestamp_to_event/${encodeURIComponent(this.#roomId)}?ts=${ts}&dir=${dir}`
    const answer = await signedFetch(this.#env, { destination, method: 'GET', path, timeoutMs: 6_000 })
    return answer.ok ? parseEventId(own(answer.json, 'event_id')) : undefined
  }

  /** The state before an event, and its auth chain. Spec: #get_matrixfederationv1state_idsroomid */
  async stateIds(
    destination: ServerName,
    eventId: EventId,
  ): Promise<{ readonly state: EventId[]; readonly authChain: EventId[] } | undefined> {
    const [state, authChain] = [new Set<EventId>(), new Set<EventId>()]
    const lists = new Map([
      ['pdu_ids', state],
      ['auth_chain_ids', authChain],
    ])
    const take = (name: string, value: JsonValue) => {
      const [list, id] = [lists.get(name), parseEventId(value)]
      if (list && id && list.size <= maxIds) list.add(id)
    }
    const wanted = { lists: [...lists.keys()], values: [] }
    const isWhole = await this.#stream(destination, 'state_ids', eventId, (body) =>
      takeApart(body, wanted, idLimits, take, () => undefined),
    )
    if (!isWhole || state.size > maxIds || authChain.size > maxIds) return undefined
    return { state: [...state], authChain: [...authChain] }
  }

  /**
   * Hands out the events of the state before an event and of their auth chain as they come, unread; `rest` is waited for in
   * between. False where the answer did not come to its end. Spec: #get_matrixfederationv1stateroomid
   */
  async state(
    destination: ServerName,
    eventId: EventId,
    limits: AnswerLimits,
    take: (list: string, event: JsonValue, characters: number) => void,
    rest: () => Promise<void> | void,
  ): Promise<boolean> {
    const wanted = { lists: ['pdus', 'auth_chain'], values: [] }
    return this.#stream(destination, 'state', eventId, (body) => takeApart(body, wanted, limits, take, rest))
  }

  /** Of some events those that pass checks 1 to 3 and are of this room; each stands or falls alone. */
  async verified(events: readonly unknown[]): Promise<Pdu[]> {
    const deps = { keys: keyRing(this.#env), crypto: nodeCrypto, now: Date.now() }
    const results = await verifyPdus(this.#rules, events, deps)
    return results.flatMap((result) => (result.ok && result.pdu.room_id === this.#roomId ? [result.pdu] : []))
  }

  /** Asks for a state and has the answer read. False where there is none, or where `read` says so. */
  async #stream(
    destination: ServerName,
    what: 'state_ids' | 'state',
    eventId: EventId,
    read: (body: ReadableStream<Uint8Array>) => Promise<boolean>,
  ): Promise<boolean> {
    const query = `event_id=${encodeURIComponent(eventId)}`
    const path = `/_matrix/federation/v1/${what}/${encodeURIComponent(this.#roomId)}?${query}`
    const ended = new AbortController()
    const timer = setTimeout(() => ended.abort(), longestAnswer)
    try {
      const sent = await signedStream(this.#env, { destination, method: 'GET', path, signal: ended.signal })
      return sent.ok && sent.response.body !== null && (await read(sent.response.body))
    } finally {
      clearTimeout(timer)
    }
  }

  async #pdus(request: FederationRequest, ...fields: string[]): Promise<Pdu[] | undefined> {
    const answer = await signedFetch(this.#env, request)
    return answer.ok ? this.verified(fields.flatMap((field) => list(answer.json, field))) : undefined
  }
}

function list(json: JsonObject, field: string): readonly JsonValue[] {
  const value = own(json, field)
  return Array.isArray(value) ? value : []
}
