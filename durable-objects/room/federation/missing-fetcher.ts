/** Runs `fetchMissing` when events wait: at once, one run at a time, and again by alarm until none waits. */
import type { AlarmScheduler } from '../../shared/alarm-scheduler.ts'
import { fetchMissing, type FetchDeps } from './fetch-missing.ts'
import type { Room } from '../room.ts'

/** Before the first request, in milliseconds. */
const patience = 50
const firstPause = 5_000
const longestPause = 3_600_000
/** A run that this object does not survive is taken up again after this. */
const safetyNet = 60_000

export class MissingFetcher {
  readonly #room: Room
  readonly #alarms: AlarmScheduler<'fetch'>
  readonly #deps: FetchDeps
  #running: Promise<void> | undefined
  #failures = 0

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
    this.#failures = isDone ? 0 : this.#failures + 1
    if (isDone) return this.#alarms.cancel('fetch')
    const pause = Math.min(firstPause * 2 ** Math.min(this.#failures - 1, 20), longestPause)
    this.#alarms.reset('fetch', Date.now() + pause)
  }
}
