/**
 * Who is typing in a room. In memory only: it is over within seconds, and lost without harm.
 *
 * Spec: client-server-api/#typing-notifications. Clients replace what they know by each list they are given. So a client is
 * given the list exactly when it last saw another one, which is what versions are for: each list of this object's life has
 * a number of its own, the empty ones that follow others too, and 0 is the empty list before anybody typed.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import type { Room } from './room.ts'

export interface TypingRequest {
  readonly user: UserId
  readonly typing: boolean
  readonly timeoutMs: number
}

/** A member begins, goes on or stops typing. Fails with `not_in_room`. */
export function setTyping(
  { reader, memory }: Room,
  { user, typing, timeoutMs }: TypingRequest,
  now: number,
): Outcome<{ changed: boolean }> {
  if (!reader.isKnown() || reader.membership(user) !== 'join') return fail('not_in_room')
  return { ok: true, changed: memory.typing.set(user, typing ? now + timeoutMs : undefined, now) }
}

/** Who is shown as typing to somebody who ignores these users. Spec: client-server-api/#ignoring-users. */
export function typistsFor({ reader, memory }: Room, ignoredUsers: readonly string[]): UserId[] {
  return memory.typing.users.filter((user) => reader.mayBeJoined(user) && !ignoredUsers.includes(user))
}

export class Typing {
  #version = 0
  /** Until when each types, in milliseconds since 1970. */
  readonly #until = new Map<UserId, number>()

  get version(): number {
    return this.#version
  }

  /** Who is typing, in the order in which they began. */
  get users(): UserId[] {
    return [...this.#until.keys()]
  }

  /** Whether anybody is. */
  get isQuiet(): boolean {
    return this.#until.size === 0
  }

  /** The user types until `until`, or stopped (undefined). Returns whether that changes the list. */
  set(user: UserId, until: number | undefined, now: number): boolean {
    const knew = this.#until.has(user)
    if (until === undefined) this.#until.delete(user)
    else this.#until.set(user, until)
    return knew === (until !== undefined) ? false : this.#changed(now)
  }

  /** Takes out those whose time is over. Returns whether there were any. */
  expire(now: number): boolean {
    const over = [...this.#until].filter(([, until]) => until <= now)
    for (const [user] of over) this.#until.delete(user)
    return over.length > 0 && this.#changed(now)
  }

  /** When the next user's time is over. */
  nextExpiry(): number | undefined {
    return this.isQuiet ? undefined : Math.min(...this.#until.values())
  }

  /** Seeded by the clock, so that a number of a former life of this object does not come again. */
  #changed(now: number): true {
    this.#version = Math.max(this.#version + 1, now)
    return true
  }
}
