/**
 * When the purge runs: by the alarm `expire`, some time after the oldest message is over.
 *
 * Readers do not see what is over (expiry.ts), so the purge may take its time and do much at once: a room wakes for it at most
 * once in `patienceFor` its lifetime, and never where no message waits. What a new policy ends is left for that long too: until
 * then whoever set it by mistake can take it back.
 */
import type { AlarmScheduler } from '../../shared/alarm-scheduler.ts'
import type { Room } from '../room.ts'
import type { Nid } from '../stored-event.ts'
import { horizonOf, lifetimeIn } from './expiry.ts'
import { earliestMessage, purge } from './purge.ts'

/** Messages taken away in one turn, and the pause before the next; milliseconds. */
const atOnce = 500
const breath = 100

const [minute, day] = [60_000, 86_400_000]

/** No alarm is set further ahead than this; milliseconds. */
const farthest = 365 * day

/** How long what is over may wait, in milliseconds. */
const patienceFor = (lifetime: number) => Math.min(Math.max(lifetime / 4, minute), day)

export class Purger {
  readonly #room: Room
  readonly #alarms: AlarmScheduler<'expire'>
  /** Up to this nid there was no message. */
  #empty: Nid | undefined
  /** Null: for no lifetime. Undefined: not read yet. */
  #timedFor: number | null | undefined

  constructor(room: Room, alarms: AlarmScheduler<'expire'>) {
    this.#room = room
    this.#alarms = alarms
  }

  /** Something was stored, or the object has woken. `older`: of the past, so that it may be over before all others. */
  changed(now: number, { older = false } = {}): void {
    const { reader, retention } = this.#room
    if (!retention || !reader.isKnown()) return
    const lifetime = lifetimeIn(this.#room)
    if ((lifetime ?? null) !== this.#readTimedFor()) {
      this.#alarms.cancel('expire')
      this.#noteTimedFor(lifetime ?? null)
      this.#empty = undefined
    }
    if (lifetime === undefined || (!older && this.#alarms.time('expire') !== undefined)) return
    if (this.#empty === reader.lastNid()) return
    this.#aim(lifetime, now)
  }

  async alarm(now: number): Promise<void> {
    const lifetime = lifetimeIn(this.#room)
    if (lifetime === undefined) return
    if (purge(this.#room, horizonOf(this.#room, now), atOnce)) this.#alarms.reset('expire', now + breath)
    else this.#aim(lifetime, now)
  }

  #aim(lifetime: number, now: number): void {
    const earliest = earliestMessage(this.#room)
    this.#empty = earliest === undefined ? this.#room.reader.lastNid() : undefined
    if (earliest === undefined) return
    // A room may ask for more years than there are dates.
    const over = Math.min(Math.max(earliest + lifetime, now), now + farthest)
    const at = Math.ceil(over + patienceFor(lifetime))
    const set = this.#alarms.time('expire')
    if (set === undefined || set <= now || at < set) this.#alarms.reset('expire', at)
  }

  #readTimedFor(): number | null {
    const query = 'SELECT lifetime FROM retention_timing'
    if (this.#timedFor === undefined) {
      this.#timedFor = this.#room.reader.sql.exec<{ lifetime: number | null }>(query).toArray()[0]?.lifetime ?? null
    }
    return this.#timedFor
  }

  #noteTimedFor(lifetime: number | null): void {
    this.#timedFor = lifetime
    this.#room.reader.sql.exec('INSERT OR REPLACE INTO retention_timing(id, lifetime) VALUES (1, ?)', lifetime)
  }
}
