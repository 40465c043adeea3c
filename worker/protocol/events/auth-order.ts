/** Events in an order in which each comes after its auth events: the only order in which they can be judged. */
import type { EventId } from '#protocol/identifiers/event-id.ts'

import type { Pdu } from './pdu.ts'

type Node = Pick<Pdu, 'event_id' | 'auth_events'>

/**
 * Auth events first, as far as they are among the events given; every event once. Takes time linear in events and edges.
 * Events that are their own ancestors, which no honest server makes, are left out, and so is what builds on them.
 * `createId`: the create event of a room of version 12, which everything builds on and nothing cites.
 */
export function authOrder<T extends Node>(events: readonly T[], createId?: EventId): T[] {
  const byId = new Map(events.map((event) => [event.event_id, event]))
  const order = new AuthOrder(byId.keys())
  for (const event of byId.values()) order.cites(event.event_id, event.auth_events)
  return [...order.take(createId)].map((id) => byId.get(id)).filter((event) => event !== undefined)
}

/**
 * The same over event IDs alone: some 100 bytes an event, where a large room's state and auth chain have 200,000. All IDs are
 * given first, then what each cites, then the order is taken.
 */
export class AuthOrder {
  readonly #ids: readonly EventId[]
  readonly #numbers: ReadonlyMap<EventId, number>
  /** Edges by number: `#cited[n]` is cited by `#citing[n]`. */
  #cited = new Int32Array(1024)
  #citing = new Int32Array(1024)
  #edges = 0

  constructor(ids: Iterable<EventId>) {
    this.#ids = [...ids]
    this.#numbers = new Map(this.#ids.map((id, number) => [id, number]))
  }

  /** What an event cites; what was not given does not count. Called once for each. */
  cites(id: EventId, authEvents: readonly EventId[]): void {
    const citing = this.#numbers.get(id)
    if (citing === undefined) return
    for (const auth of new Set(authEvents)) {
      const cited = this.#numbers.get(auth)
      if (cited === undefined) continue
      if (this.#edges === this.#cited.length) {
        this.#cited = doubled(this.#cited)
        this.#citing = doubled(this.#citing)
      }
      this.#cited[this.#edges] = cited
      this.#citing[this.#edges] = citing
      this.#edges++
    }
  }

  /** Auth events first. */
  *take(createId?: EventId): Generator<EventId, void> {
    const count = this.#ids.length
    const waitingFor = new Int32Array(count)
    // Those that cite event n are `citing[first[n]]` to `citing[first[n + 1] - 1]`.
    const first = new Int32Array(count + 1)
    for (let edge = 0; edge < this.#edges; edge++) {
      add(waitingFor, this.#citing[edge], 1)
      add(first, (this.#cited[edge] ?? 0) + 1, 1)
    }
    for (let number = 0; number < count; number++) add(first, number + 1, first[number] ?? 0)
    const next = first.slice()
    const citing = new Int32Array(this.#edges)
    for (let edge = 0; edge < this.#edges; edge++) {
      const cited = this.#cited[edge] ?? 0
      citing[next[cited] ?? 0] = this.#citing[edge] ?? 0
      add(next, cited, 1)
    }
    const create = createId === undefined ? undefined : this.#numbers.get(createId)
    const ready: number[] = []
    for (let number = 0; number < count; number++) {
      // Taken from the end: the create event before all others.
      if (waitingFor[number] === 0 && number !== create) ready.push(number)
    }
    if (create !== undefined) ready.push(create)
    for (let number = ready.pop(); number !== undefined; number = ready.pop()) {
      const id = this.#ids[number]
      if (id !== undefined) yield id
      for (let at = first[number] ?? 0; at < (first[number + 1] ?? 0); at++) {
        const event = citing[at] ?? 0
        add(waitingFor, event, -1)
        if (waitingFor[event] === 0 && event !== create) ready.push(event)
      }
    }
  }
}

function add(counts: Int32Array, at: number | undefined, much: number): void {
  if (at !== undefined) counts[at] = (counts[at] ?? 0) + much
}

function doubled(numbers: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(numbers.length * 2)
  larger.set(numbers)
  return larger
}
