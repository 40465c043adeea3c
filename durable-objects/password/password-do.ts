/**
 * Checks passwords. Accounts are spread over a fixed number of objects by their name, also names that nobody has.
 *
 * An object for two reasons. Its CPU limit allows for a hash that is worth its name, the Worker's need not. And all
 * attempts on one account meet here, from whatever address and isolate, so that guesses can be counted. It stores
 * nothing: what it counts may be lost, and asking for a name leaves no trace. For its CPU limit it also reads and fills D1 for
 * backups.
 */
import { type BucketPolicy, drawToken } from '#protocol/token-bucket.ts'
import { DurableObject } from 'cloudflare:workers'

import { dumpDatabase } from '../../worker/backup/dump-database.ts'
import { dumpLinesIn } from '../../worker/backup/dump-line.ts'
import { loadLines } from '../../worker/backup/load-database.ts'
import type { Env } from '../../worker/env.ts'
import { settingsOf } from '../../worker/settings.ts'
import { hashPassword, verifyNothing, verifyPassword } from './password-hash.ts'

/** Wrong passwords for one account. */
const wrongPasswords: BucketPolicy = { burst: 10, every: 10_000 }
/** Accounts whose wrong passwords are being counted at a time. More of them at once are nobody's mistakes. */
const maxCounted = 1000

export interface PasswordAttempt {
  readonly userId: string
  readonly password: string
  /** Null for a name without a password, which takes as long and never matches. */
  readonly hash: string | null
}

export type PasswordCheck =
  | {
      readonly ok: true
      readonly matches: boolean
      /** To be stored: the old one is too cheap. */
      readonly newHash?: string
    }
  /** Too many wrong ones; `wait` in milliseconds. */
  | { readonly ok: false; readonly wait: number }

export class PasswordDO extends DurableObject<Env> {
  /** By account, when its bucket is full again. */
  readonly #fullAt = new Map<string, number>()

  async hash(password: string): Promise<string> {
    return hashPassword(password, settingsOf(this.env).passwordCost)
  }

  async check({ userId, password, hash }: PasswordAttempt): Promise<PasswordCheck> {
    const { passwordCost, rateLimits } = settingsOf(this.env)
    const now = Date.now()
    if (this.#fullAt.size >= maxCounted) this.#forgetFull(now)
    const { wait, fullAt } = drawToken(wrongPasswords, this.#fullAt.get(userId), now)
    const uncounted = this.#fullAt.size >= maxCounted && !this.#fullAt.has(userId)
    if (rateLimits && (wait > 0 || uncounted)) return { ok: false, wait: wait || wrongPasswords.every }
    const { matches, outdated } =
      hash === null ? nobody(password, passwordCost) : verifyPassword(password, hash, passwordCost)
    if (!matches && rateLimits) this.#fullAt.set(userId, fullAt)
    return { ok: true, matches, ...(matches && outdated ? { newHash: hashPassword(password, passwordCost) } : {}) }
  }

  async dumpDatabase(): Promise<Response> {
    return dumpDatabase(this.env.DB)
  }

  /** Carries out lines of a backup; says how many rows had to be left out. Null where they are none. */
  async loadDatabase(text: string): Promise<number | null> {
    const lines = dumpLinesIn(text)
    return lines ? loadLines(this.env.DB, lines) : null
  }

  #forgetFull(now: number): void {
    for (const [userId, fullAt] of this.#fullAt) if (fullAt <= now) this.#fullAt.delete(userId)
  }
}

function nobody(password: string, cost: number) {
  verifyNothing(password, cost)
  return { matches: false, outdated: false }
}
