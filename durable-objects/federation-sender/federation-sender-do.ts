/**
 * What other servers must hear of us: one object for a shard of destinations, which for a personal server is all of them.
 *
 * Rooms tell it that they have news and for whom; it fetches the events from the room when a destination can take them,
 * ≤ 50 PDUs and ≤ 100 EDUs a transaction, one transaction at a time per destination (spec: server-server-api/#transactions).
 * A server that fails waits for its back-off (backoff.ts) and holds up nobody else; the alarm wakes us for it.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { DurableObject } from 'cloudflare:workers'

import type { Env } from '../../worker/env.ts'
import { meterAlarm } from '../../worker/observe/meter.ts'
import { dumpStorage } from '../shared/dump.ts'
import { loadPortion, type Portion } from '../shared/load.ts'
import { Lru } from '../shared/lru.ts'
import { migrate } from '../shared/migrate.ts'
import { retryDelay } from './backoff.ts'
import { migrations } from './migrations.ts'
import { Outgoing } from './outgoing.ts'
import { type Failing, SenderStorage } from './sender-storage.ts'
import { Slots } from './slots.ts'
import { sendTransaction, type Sent } from './transaction.ts'

/** When to try a server that gave a sign of life: not as one of those that are probably dead. */
const alive = 0
/** After a try that failed while there was a sign of life, in milliseconds. */
const soon = 1_000
/** While something is unsent an alarm stands, so that a lost object resumes. */
const safetyNet = 30_000
/** How long a server may take over a transaction, in ms. */
const [firstPatience, patience] = [6_000, 30_000]

export interface RoomNews {
  readonly roomId: RoomId
  /** Events after this position of the room… */
  readonly after: number
  /** …up to this one. */
  readonly pos: number
  readonly destinations: readonly ServerName[]
  /** The destinations had it, and have to have it again. */
  readonly again?: boolean
}

interface PendingRoom {
  after: number
  pos: number
  readonly destinations: Set<ServerName>
}

export class FederationSenderDO extends DurableObject<Env> {
  readonly #storage: SenderStorage
  readonly #outgoing = new Map<ServerName, Outgoing>()
  readonly #failing = new Map<ServerName, Failing>()
  readonly #pending = new Map<RoomId, PendingRoom>()
  readonly #edus = new Map<number, Set<ServerName>>()
  readonly #sending = new Set<ServerName>()
  /** Servers that wait for their turn. */
  readonly #queued = new Set<ServerName>()
  /** Servers that were heard from while we were sending to them. */
  readonly #heard = new Set<ServerName>()
  /** Servers that took something since this object woke. */
  readonly #proven = new Set<ServerName>()
  readonly #healthy = new Slots(5)
  /** Of the healthy ones' slots, those that servers not heard of yet may hold: they may be dead. */
  readonly #unproven = new Slots(4)
  readonly #probes = new Slots(1)
  /** Up to which position of a room a destination has all: only of late, and only what this object did in its present life. */
  readonly #reached = new Lru<string, number>(10_000)
  #alarmAt = Infinity

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    migrate(ctx.storage, migrations)
    this.#storage = new SenderStorage(ctx.storage.sql)
    this.#load()
  }

  /**
   * A room has events for these servers: those after `after` up to `pos` (positions of the room). Told again, or late, it
   * does no harm: events are known by their IDs.
   */
  async roomHasNews(news: RoomNews): Promise<void> {
    const pending = this.#pending.get(news.roomId) ?? { after: news.after, pos: news.pos, destinations: new Set() }
    pending.after = Math.min(pending.after, news.after)
    pending.pos = Math.max(pending.pos, news.pos)
    for (const destination of news.destinations) {
      // The room may tell of what it gave us already, while an earlier transaction was being made.
      const reached = news.again ? 0 : (this.#reached.get(`${destination} ${news.roomId}`) ?? 0)
      const after = Math.max(news.after, reached)
      if (after >= news.pos) continue
      if (this.#failing.has(destination)) this.#storage.saveBehind(destination, news.roomId, after)
      else pending.destinations.add(destination)
      this.#outgoingOf(destination).addRoom(news.roomId, after, news.pos)
    }
    if (pending.destinations.size > 0) {
      this.#pending.set(news.roomId, pending)
      this.#savePending(news.roomId, pending)
    }
    await this.#wakeWithin(safetyNet)
    this.#start(news.destinations)
  }

  /** An EDU that must arrive (to-device messages, device lists, signing keys). */
  async sendEdu({ edu, destinations }: { edu: JsonObject; destinations: ServerName[] }): Promise<void> {
    if (destinations.length === 0) return
    const id = this.#storage.insertEdu(edu, destinations, Date.now())
    this.#edus.set(id, new Set(destinations))
    for (const destination of destinations) this.#outgoingOf(destination).edus.set(id, edu)
    await this.#wakeWithin(safetyNet)
    this.#start(destinations)
  }

  /** An EDU that may be lost (typing, receipts, presence); a newer one with the same key replaces it while it waits. */
  async sendPassingEdu(passing: { key: string; edu: JsonObject; destinations: ServerName[] }): Promise<void> {
    const reachable = passing.destinations.filter((destination) => !this.#failing.has(destination))
    for (const destination of reachable) this.#outgoingOf(destination).addPassing(passing.key, passing.edu)
    this.#start(reachable)
  }

  /** A request came from this server, so it is alive: what it missed goes out at once. */
  async heardFrom(server: ServerName): Promise<void> {
    // What is under way may fail yet, for having been sent too early.
    if (this.#sending.has(server)) this.#heard.add(server)
    const failing = this.#failing.get(server)
    if (!failing || this.#sending.has(server)) return
    this.#failing.set(server, { ...failing, retryAt: alive })
    this.#start([server])
  }

  override async alarm(): Promise<void> {
    meterAlarm()
    this.#alarmAt = Infinity
    this.#storage.deleteOldEdus(Date.now())
    await Promise.all([...this.#outgoing.keys()].map((destination) => this.#send(destination)))
    await this.#wakeForNext()
  }

  /** Memory from rows: everybody on a pending room's list gets it from its start, which at worst says something twice. */
  #load(): void {
    for (const { destination, ...failing } of this.#storage.failing()) this.#failing.set(destination, failing)
    for (const { roomId, after, pos, destinations } of this.#storage.pending()) {
      this.#pending.set(roomId, { after, pos, destinations: new Set(destinations) })
      for (const destination of destinations) this.#outgoingOf(destination).addRoom(roomId, after, pos)
    }
    for (const { destination, roomId, after } of this.#storage.behind()) {
      this.#outgoingOf(destination).addRoom(roomId, after, after)
    }
    for (const { id, edu, destinations } of this.#storage.edus()) {
      this.#edus.set(id, new Set(destinations))
      for (const destination of destinations) this.#outgoingOf(destination).edus.set(id, edu)
    }
  }

  #outgoingOf(destination: ServerName): Outgoing {
    let outgoing = this.#outgoing.get(destination)
    if (!outgoing) this.#outgoing.set(destination, (outgoing = new Outgoing()))
    return outgoing
  }

  #start(destinations: readonly ServerName[]): void {
    for (const destination of destinations) this.ctx.waitUntil(this.#send(destination).then(() => this.#wakeForNext()))
  }

  /** Sends to one server until it has everything or fails. One at a time per server. */
  async #send(destination: ServerName): Promise<void> {
    const isAlive = this.#failing.get(destination)?.retryAt === alive
    if (!this.#mayTry(destination) || (this.#queued.has(destination) && !isAlive)) return
    this.#queued.add(destination)
    await this.#inSlot(destination, async () => {
      this.#queued.delete(destination)
      // While this waited for its turn, a sign of life may have brought it to another.
      if (!this.#mayTry(destination)) return
      this.#sending.add(destination)
      try {
        const outgoing = this.#outgoingOf(destination)
        while (!outgoing.isEmpty) {
          const sent = await sendTransaction(this.env, destination, outgoing, this.#patienceWith(destination))
          if (!sent.ok) return this.#failed(destination, outgoing)
          this.#succeeded(destination, outgoing, sent)
        }
        this.#outgoing.delete(destination)
      } finally {
        this.#sending.delete(destination)
        this.#heard.delete(destination)
      }
    })
  }

  #mayTry(destination: ServerName): boolean {
    return !this.#sending.has(destination) && (this.#failing.get(destination)?.retryAt ?? alive) <= Date.now()
  }

  #inSlot(destination: ServerName, work: () => Promise<void>): Promise<void> {
    if ((this.#failing.get(destination)?.retryAt ?? alive) !== alive) return this.#probes.run(work)
    const healthy = () => this.#healthy.run(work)
    return this.#proven.has(destination) ? healthy() : this.#unproven.run(healthy)
  }

  /** The first answer is soon there or not at all; a server that is only slow has its time at the next try. In ms. */
  #patienceWith(destination: ServerName): number {
    return this.#proven.has(destination) || this.#failing.has(destination) ? patience : firstPatience
  }

  #succeeded(destination: ServerName, outgoing: Outgoing, sent: Sent): void {
    if (sent.isAnswered) {
      this.#proven.add(destination)
      if (this.#failing.delete(destination)) this.#storage.deleteFailing(destination)
    }
    for (const { roomId, ...reached } of sent.rooms) {
      this.#reached.set(`${destination} ${roomId}`, reached.upTo)
      if (outgoing.roomReached(roomId, reached)) {
        this.#storage.deleteBehind(destination, roomId)
        this.#strikeFromPending(destination, roomId)
      } else this.#storage.advanceBehind(destination, roomId, outgoing.rooms.get(roomId)?.after ?? reached.upTo)
    }
    for (const id of sent.edus) {
      outgoing.edus.delete(id)
      this.#strikeFromEdu(destination, id)
    }
  }

  #failed(destination: ServerName, outgoing: Outgoing): void {
    this.#proven.delete(destination)
    const failures = (this.#failing.get(destination)?.failures ?? 0) + 1
    const delay = this.#heard.has(destination) ? soon : retryDelay(failures, Math.random())
    const failing = { failures, retryAt: Date.now() + delay }
    this.#failing.set(destination, failing)
    this.#storage.saveFailing(destination, failing)
    outgoing.dropPassing()
    for (const [roomId, { after }] of outgoing.rooms) {
      this.#storage.saveBehind(destination, roomId, after)
      this.#strikeFromPending(destination, roomId)
    }
    // Rows of EDUs keep the names of those who failed; now is when the others leave them.
    for (const id of outgoing.edus.keys()) this.#storage.saveEduDestinations(id, [...(this.#edus.get(id) ?? [])])
  }

  #strikeFromPending(destination: ServerName, roomId: RoomId): void {
    const pending = this.#pending.get(roomId)
    if (!pending?.destinations.delete(destination) || pending.destinations.size > 0) return
    this.#pending.delete(roomId)
    this.#storage.deletePending(roomId)
  }

  #strikeFromEdu(destination: ServerName, id: number): void {
    const left = this.#edus.get(id)
    if (!left?.delete(destination)) return
    const onlyFailing = [...left].every((name) => this.#failing.has(name))
    if (onlyFailing) this.#storage.saveEduDestinations(id, [...left])
    if (left.size === 0) this.#edus.delete(id)
  }

  #savePending(roomId: RoomId, { after, pos, destinations }: PendingRoom): void {
    this.#storage.savePending({ roomId, after, pos, destinations: [...destinations] })
  }

  /** The alarm stands for the next try of whoever failed, and never further off than the safety net while we send. */
  async #wakeForNext(): Promise<void> {
    const waiting = [...this.#outgoing].filter(([, outgoing]) => !outgoing.isEmpty).map(([destination]) => destination)
    if (waiting.length === 0) return
    const times = waiting.map((destination) => this.#failing.get(destination)?.retryAt ?? Date.now() + safetyNet)
    await this.#wakeWithin(Math.max(Math.min(...times) - Date.now(), 100))
  }

  async #wakeWithin(ms: number): Promise<void> {
    const at = Date.now() + ms
    if (this.#alarmAt <= at && this.#alarmAt > Date.now()) return
    this.#alarmAt = at
    await this.ctx.storage.setAlarm(at)
  }

  // —— Backup ——

  /** All that is stored here, for a backup. */
  async dump(name: string): Promise<Response> {
    return dumpStorage(this.ctx.storage, 'FEDERATION_SENDER', name)
  }

  /** Takes a portion of a backup; false where it is none. After the last comes `end`. */
  async load(portion: Portion): Promise<boolean> {
    const isLoaded = await loadPortion(this.ctx.storage, portion, () => migrate(this.ctx.storage, migrations))
    if (isLoaded && portion.last) await this.ctx.storage.setAlarm(Date.now() + safetyNet)
    return isLoaded
  }

  /** Forgets what is in memory: the next call finds an object that has just woken. Always fails. */
  async end(): Promise<void> {
    this.ctx.abort('loaded from a backup')
  }
}
