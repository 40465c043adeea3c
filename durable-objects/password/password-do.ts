/**
 * Checks passwords, one object per account name: `idFromName(user_id)`, also for names that nobody has.
 *
 * An object for two reasons. Its CPU limit allows for a hash that is worth its name, the Worker's need not. And all
 * attempts on one account meet here, from whatever address and isolate, so that guesses can be counted. It stores
 * nothing: what it counts may be lost, and asking for a name leaves no trace.
 */
import { type BucketPolicy, drawToken } from '#protocol/token-bucket.ts'
import { DurableObject } from 'cloudflare:workers'

import type { Env } from '../../worker/env.ts'
import { settingsOf } from '../../worker/settings.ts'
import { hashPassword, verifyNothing, verifyPassword } from './password-hash.ts'

/** Wrong passwords for one account. */
const wrongPasswords: BucketPolicy = { burst: 10, every: 10_000 }

export type PasswordCheck =
  | {
      readonly ok: true
      readonly matches: boolean
      /** To be stored: the old one is too cheap. */ readonly newHash?: string
    }
  /** Too many wrong ones; `wait` in milliseconds. */
  | { readonly ok: false; readonly wait: number }

export class PasswordDO extends DurableObject<Env> {
  #fullAt: number | undefined

  async hash(password: string): Promise<string> {
    return hashPassword(password, settingsOf(this.env).passwordCost)
  }

  /** Checks a password; `hash` is null for a name without one, which takes as long and never matches. */
  async check({ password, hash }: { password: string; hash: string | null }): Promise<PasswordCheck> {
    const { passwordCost, rateLimits } = settingsOf(this.env)
    const draw = drawToken(wrongPasswords, this.#fullAt, Date.now())
    if (rateLimits && draw.wait > 0) return { ok: false, wait: draw.wait }
    const { matches, outdated } =
      hash === null ? nobody(password, passwordCost) : verifyPassword(password, hash, passwordCost)
    if (!matches) this.#fullAt = draw.fullAt
    return { ok: true, matches, ...(matches && outdated ? { newHash: hashPassword(password, passwordCost) } : {}) }
  }
}

function nobody(password: string, cost: number) {
  verifyNothing(password, cost)
  return { matches: false, outdated: false }
}
