/**
 * Users with pushers, who have to hear of every event and not only of the first since they read (notify.ts).
 *
 * Who they are is written down when their object first asks what rings here (push-news.ts). One who was told is not told
 * again until their object has asked: so a busy room costs two calls for as many events as come in between. That is kept in
 * memory only: after a restart somebody is told once too often.
 */
import type { UserId } from '#protocol/identifiers/user-id.ts'

import type { Room } from './room.ts'

export class Ringer {
  readonly #room: Room
  #listening: Set<UserId> | undefined
  readonly #rung = new Set<UserId>()

  constructor(room: Room) {
    this.#room = room
  }

  /** True for a user with pushers who has to be told of a change that happens in this turn. */
  rings(user: UserId): boolean {
    if (!this.#users().has(user) || this.#rung.has(user)) return false
    this.#rung.add(user)
    return true
  }

  /** True for a user with pushers. */
  isListening(user: UserId): boolean {
    return this.#users().has(user)
  }

  /** A user's object asks, in the turn in which this is called. */
  asked(user: UserId): void {
    this.#rung.delete(user)
    if (this.#users().has(user)) return
    this.#users().add(user)
    this.#room.transactor.addRinging(user)
  }

  /** A user has no pushers any more. */
  stop(user: UserId): void {
    this.#rung.delete(user)
    if (this.#users().delete(user)) this.#room.transactor.removeRinging(user)
  }

  /** The newest position at which something may have rung or been read, for a user with pushers. */
  newest(user: UserId): number | undefined {
    if (!this.#users().has(user)) return undefined
    const query = `SELECT max(coalesce((SELECT max(pos) FROM events), 0),
      coalesce((SELECT max(pos) FROM receipts WHERE user_id = ?1), 0)) AS pos`
    return this.#room.reader.sql.exec<{ pos: number }>(query, user).one().pos
  }

  #users(): Set<UserId> {
    if (!this.#listening) {
      const rows = this.#room.reader.sql.exec<{ user: UserId }>('SELECT user_id AS user FROM ringing').toArray()
      this.#listening = new Set(rows.map(({ user }) => user))
    }
    return this.#listening
  }
}
