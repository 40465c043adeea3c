/**
 * Which request of a connection is the newest. Clients give up requests and ask anew; what the former one was going to be
 * answered must not count then. Kept in memory: a request does not outlive it by much.
 */
import { Lru } from '../../shared/lru.ts'

export class Turns {
  readonly #newest = new Lru<number, number>(100)
  #last = 0

  /** The number of a new request. `now` keeps it above those of a former life of the object. */
  next(now: number): number {
    this.#last = Math.max(this.#last + 1, now)
    return this.#last
  }

  taken(connection: number, turn: number): void {
    this.#newest.set(connection, turn)
  }

  isOver(connection: number, turn: number): boolean {
    return turn < (this.#newest.get(connection) ?? 0)
  }
}
