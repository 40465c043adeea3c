/**
 * Named alarms over the one alarm a Durable Object has.
 *
 * Needs a table `alarms(name TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID`, which the object's migrations make. An
 * alarm rings at least once: its row goes only after its handler is done. One that fails rings again later and never keeps
 * others from ringing.
 */
import { meterAlarm } from '../../worker/observe/meter.ts'

/** Rings at `at`, milliseconds since 1970. Its handler must be idempotent. */
export type AlarmHandlers<Name extends string> = Readonly<Record<Name, () => Promise<void>>>

/** After a failure, in milliseconds. */
const retryAfter = 30_000

export class AlarmScheduler<Name extends string> {
  readonly #storage: DurableObjectStorage
  #at: Map<string, number> | undefined

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage
  }

  /** Rings at `at`, unless it is set to ring earlier. Costs nothing then. */
  ensure(name: Name, at: number): void {
    const set = this.#read().get(name)
    if (set === undefined || at < set) this.#set(name, at)
  }

  /** Rings at `at` instead of whenever it was set to. */
  reset(name: Name, at: number): void {
    if (this.#read().get(name) !== at) this.#set(name, at)
  }

  /** When it rings; undefined: it is not set. */
  time(name: Name): number | undefined {
    return this.#read().get(name)
  }

  cancel(name: Name): void {
    if (!this.#read().has(name)) return
    this.#delete(name)
    this.#aim()
  }

  /** Rings what is due. For the object's `alarm()`. Names that nobody handles any more are dropped. */
  async run(now: number, handlers: AlarmHandlers<Name>): Promise<void> {
    meterAlarm()
    const due = [...this.#read()].filter(([, at]) => at <= now)
    for (const [name, at] of due) {
      const handler = Object.entries<() => Promise<void>>(handlers).find(([known]) => known === name)?.[1]
      try {
        await handler?.()
        // The handler may have set its alarm anew.
        if (this.#read().get(name) === at) this.#delete(name)
      } catch (error) {
        console.error(`alarm ${name} failed`, error)
        this.#write(name, now + retryAfter)
      }
    }
    this.#aim()
  }

  /** Rows are no longer what this scheduler wrote: a transaction was rolled back, or the storage emptied. */
  forget(): void {
    this.#at = undefined
  }

  #set(name: Name, at: number): void {
    this.#write(name, at)
    this.#aim()
  }

  #write(name: string, at: number): void {
    this.#read().set(name, at)
    this.#storage.sql.exec('INSERT OR REPLACE INTO alarms(name, at) VALUES (?, ?)', name, at)
  }

  #delete(name: string): void {
    this.#read().delete(name)
    this.#storage.sql.exec('DELETE FROM alarms WHERE name = ?', name)
  }

  /** Points the object's alarm at the earliest. Its write is part of the turn: rows and alarm are stored together. */
  #aim(): void {
    const times = [...this.#read().values()]
    const done = times.length === 0 ? this.#storage.deleteAlarm() : this.#storage.setAlarm(Math.min(...times))
    done.catch((error: unknown) => console.error('the alarm could not be set', error))
  }

  #read(): Map<string, number> {
    this.#at ??= new Map(
      this.#storage.sql
        .exec<{ name: string; at: number }>('SELECT name, at FROM alarms')
        .toArray()
        .map(({ name, at }) => [name, at]),
    )
    return this.#at
  }
}
