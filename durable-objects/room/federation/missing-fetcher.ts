/**
 * Runs `fetchMissing` when events wait: at once, one run at a time, and again by alarm until none waits and no hole is open.
 * Holes are left to the alarm: what is new comes first, and whoever reads there before has them filled (backfill.ts). How
 * often that was in vain is written down with what is missing: an object that slept does not begin anew.
 */
import type { AlarmScheduler } from '../../shared/alarm-scheduler.ts'
import { fetchMissing, type FetchDeps } from './fetch-missing.ts'
import { holesSinceEntry } from './holes.ts'
import type { Room } from '../room.ts'
import { leastTries } from './staged.ts'

/** Before the first request, in milliseconds. */
const patience = 50
const soon = 1_000
/** While events wait. */
const [firstPause, longestPause] = [5_000, 3_600_000]
/** While nothing but a hole in the past is open. */
const [firstForHoles, longestForHoles] = [30_000, 24 * 3_600_000]
/** A run that this object does not survive is taken up again after this. */
const safetyNet = 60_000

export class MissingFetcher {
  readonly #room: Room
  readonly #alarms: AlarmScheduler<'fetch'>
  readonly #deps: Omit<FetchDeps, 'fillsHoles'>
  #running: Promise<void> | undefined
  #hasRung = false

  constructor(room: Room, alarms: AlarmScheduler<'fetch'>, deps: Omit<FetchDeps, 'fillsHoles'>) {
    this.#room = room
    this.#alarms = alarms
    this.#deps = deps
  }

  /** Starts a run, unless one is under way, which then sees the new events itself. `now` is in milliseconds since 1970. */
  start(now: number): Promise<void> {
    this.#alarms.ensure('fetch', now + safetyNet)
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  /**
   * Starts a run in a moment: something came that those may build on which waited in vain before. What clients are told of it
   * is not told together with what they waited for, and it may be sent again.
   */
  startSoon(now: number): void {
    this.#alarms.ensure('fetch', now + soon)
  }

  /** The alarm rang: for holes as well. */
  async alarm(now: number): Promise<void> {
    this.#hasRung = true
    await this.start(now)
  }

  async #run(): Promise<void> {
    // Transactions overtake each other: what is missing now is often here in a moment, without being asked for.
    await new Promise((resolve) => setTimeout(resolve, patience))
    const isDone = await fetchMissing(this.#room, { ...this.#deps, fillsHoles: () => this.#hasRung })
    const hasRung = this.#hasRung
    this.#hasRung = false
    if (isDone) return this.#alarms.cancel('fetch')
    const at = Date.now() + this.#pause()
    // In a room where events are always waited for, the holes have their turn all the same.
    if (hasRung) this.#alarms.reset('fetch', at)
    else this.#alarms.ensure('fetch', at)
  }

  #pause(): number {
    const waiting = leastTries(this.#room)
    const tries = waiting ?? holesSinceEntry(this.#room, 1)[0]?.tries ?? 0
    const [first, longest] = waiting === undefined ? [firstForHoles, longestForHoles] : [firstPause, longestPause]
    return Math.min(first * 2 ** Math.min(Math.max(tries - 1, 0), 20), longest)
  }
}
