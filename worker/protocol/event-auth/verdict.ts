/** What the authorisation rules say of an event. */
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'
import { clauseNumber } from './clauses.ts'
import type { Clause } from './clauses.ts'

export interface Rejection {
  readonly ok: false
  /** The number of the rule in the event's room version, such as `4.3.5.2`. */
  readonly rule: string
  /** For logs and error messages; never compared. */
  readonly message: string
}

export type Verdict = { readonly ok: true } | Rejection

export const allow: Verdict = { ok: true }

export function reject(rules: RoomVersionRules, clause: Clause, message: string): Rejection {
  return { ok: false, rule: clauseNumber(rules, clause), message }
}
