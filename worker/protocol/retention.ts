/**
 * How long a room's messages are kept: the decision alone.
 *
 * Spec: MSC1763 (unstable), as servers and clients have it: milliseconds, and limits of the server. State events are kept
 * whatever a policy says. Never answers that something is over because of a content that nobody can understand.
 */
import { type JsonObject, own } from './json/json.ts'

/** `min_lifetime` and `max_lifetime` of a policy, in milliseconds; undefined: nothing is said. */
export interface Lifetimes {
  readonly min: number | undefined
  readonly max: number | undefined
}

/** What the owner of a server has to say of it. */
export interface RetentionRules {
  /** For rooms that say nothing themselves. */
  readonly defaults: Lifetimes
  /** Whatever rooms say, messages are kept for so long, and no longer than so long. */
  readonly allowed: Lifetimes
}

/**
 * What the content of `m.room.retention` says. "Must be null or an integer"; undefined where a value is neither, or is
 * negative: such a content is ignored as a whole.
 */
export function readRetention(content: JsonObject): Lifetimes | undefined {
  const [min, max] = [readLifetime(own(content, 'min_lifetime')), readLifetime(own(content, 'max_lifetime'))]
  return min === 'invalid' || max === 'invalid' ? undefined : { min, max }
}

function readLifetime(value: unknown): number | undefined | 'invalid' {
  if (value === undefined || value === null) return undefined
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 'invalid'
}

/**
 * For how long messages are kept in a room with this content of `m.room.retention`, in milliseconds; undefined: for ever.
 *
 * What the room does not say is as the server has it by default. "If the calculated max_lifetime is less than the
 * min_lifetime then the max_lifetime is set to be equal to the min_lifetime." The server's limits have the last word, but
 * make no policy where there is none.
 */
export function lifetimeOf({ defaults, allowed }: RetentionRules, content: JsonObject | undefined): number | undefined {
  const ofRoom = content && readRetention(content)
  const max = ofRoom?.max ?? defaults.max
  if (max === undefined) return undefined
  const asked = Math.max(max, ofRoom?.min ?? 0)
  return Math.max(Math.min(asked, allowed.max ?? Infinity), allowed.min ?? 0)
}

/** `GET …/org.matrix.msc1763/retention/configuration`: what clients have to know of a server's rules. */
export function retentionConfiguration({ defaults, allowed }: RetentionRules): JsonObject {
  const policy = spoken({ min_lifetime: defaults.min, max_lifetime: defaults.max })
  const limits = spoken({ min: allowed.min, max: allowed.max })
  return { policies: policy ? { '*': policy } : {}, limits: limits ? { max_lifetime: limits } : {} }
}

/** Without what is not said; undefined where nothing is. */
function spoken(values: Readonly<Record<string, number | undefined>>): JsonObject | undefined {
  const said = Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]))
  return said.length > 0 ? Object.fromEntries(said) : undefined
}
