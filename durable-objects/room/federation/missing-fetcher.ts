/**
 * Runs `fetchMissing` when events wait: at once, one run at a time, and again by alarm until none waits and no hole is open.
 * How often that was in vain is written down with what is missing: an object that slept does not begin anew.
 */
import type { AlarmScheduler } from '../../shared/alarm-scheduler.ts'
import { fetchMissing, type FetchDeps } from './fetch-missing.ts'
import { holesSinceEntry } from './holes.ts'
import type { Room } from '../room.ts'
import { leastTries } from './staged.ts'

/** Before the first request, in milliseconds. */
const patience = 50
const firstPause = 5_000
/** While events wait. */
const longestPause = 3_600_000
/** While nothing but a hole in the past is open. */
const longestForHoles = 24 * 3_600_000
/** A run that this object does not survive is taken up again after this. */
const safetyNet = 60_000

export class MissingFetcher {
  readonly #room: Room
  readonly #alarms: AlarmScheduler<'fetch'>
  readonly #deps: FetchDeps
  #running: Promise<void> | undefined

  constructor(room: Room, alarms: AlarmScheduler<'fetch'>, deps: FetchDeps) {
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

  async #run(): Promise<void> {
    // Transactions overtake each other: what is missing now is often here in a moment, without being asked for.
    await new Promise((resolve) => setTimeout(resolve, patience))
    const isDone = await fetchMissing(this.#room, this.#deps)
    if (isDone) return this.#alarms.cancel('fetch')
    this.#alarms.reset('fetch', Date.now() + this.#pause())
  }

  #pause(): number {
    const waiting = leastTries(this.#room)
    const tries = waiting ?? holesSinceEntry(this.#room, 1)[0]?.tries ?? 0
    const longest = waiting === undefined ? longestForHoles : longestPause
    return Math.min(firstPause * 2 ** Math.min(Math.max(tries - 1, 0), 20), longest)
  }
}
