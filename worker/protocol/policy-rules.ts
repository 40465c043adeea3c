/**
 * Moderation policy lists: what the rules of a room ban.
 *
 * Spec: client-server-api/#moderation-policy-lists. Rules are state events that strangers wrote: what is malformed is no
 * rule, and what a rule costs does not depend on how its pattern is built (glob.ts). Only `m.ban` is a recommendation that
 * the specification knows; others say nothing here. The names that the types had before they were specified count too,
 * since lists of that time are still in use.
 */
import { compileGlob } from './glob.ts'
import { parseServerName, splitServerName } from './identifiers/server-name.ts'
import { type JsonObject, own } from './json/json.ts'

export type PolicyKind = 'user' | 'room' | 'server'

export interface PolicyRule {
  readonly kind: PolicyKind
  /** A glob: whom or what the rule is about. */
  readonly entity: string
  readonly reason: string | undefined
}

export interface PolicySubject {
  readonly kind: PolicyKind
  /** A user ID, a room ID or alias, or a server name. */
  readonly text: string
}

const kinds: Readonly<Record<string, PolicyKind>> = {
  'm.policy.rule.user': 'user',
  'm.policy.rule.room': 'room',
  'm.policy.rule.server': 'server',
  'org.matrix.mjolnir.rule.user': 'user',
  'org.matrix.mjolnir.rule.room': 'room',
  'org.matrix.mjolnir.rule.server': 'server',
  // Older still.
  'm.room.rule.user': 'user',
  'm.room.rule.room': 'room',
  'm.room.rule.server': 'server',
}
export const policyRuleTypes: readonly string[] = Object.keys(kinds)

const bans: ReadonlySet<unknown> = new Set(['m.ban', 'org.matrix.mjolnir.ban'])

/** Identifiers have no more characters, so a longer pattern is a mistake or worse. */
const longestEntity = 255
const longestReason = 1000

/** The rule in a state event that bans somebody; undefined for anything else, such as a rule that was taken back. */
export function parsePolicyRule(type: string, content: JsonObject): PolicyRule | undefined {
  const kind = Object.hasOwn(kinds, type) ? kinds[type] : undefined
  const entity = own(content, 'entity')
  if (kind === undefined || !bans.has(own(content, 'recommendation'))) return undefined
  if (typeof entity !== 'string' || entity === '' || entity.length > longestEntity) return undefined
  const reason = own(content, 'reason')
  return { kind, entity, reason: typeof reason === 'string' ? reason.slice(0, longestReason) : undefined }
}

/** Patterns with wildcards that are looked at; rules without any are found at once, however many there are. */
export const maxPatterns = 5_000

/** All rules of a list, ready to be asked. */
export class PolicyRules {
  readonly #literals = new Map<string, PolicyRule>()
  readonly #patterns = new Map<PolicyKind, PolicyRule[]>()
  #patternCount = 0
  readonly #counts: Record<PolicyKind, number> = { user: 0, room: 0, server: 0 }

  constructor(rules: Iterable<PolicyRule>) {
    for (const rule of rules) this.#add(rule)
  }

  /** How many rules there are of each kind. */
  get counts(): Readonly<Record<PolicyKind, number>> {
    return this.#counts
  }

  /** The rule that bans this, if there is one. */
  find({ kind, text }: PolicySubject): PolicyRule | undefined {
    for (const form of formsOf(kind, text)) {
      const rule =
        this.#literals.get(keyOf(kind, form)) ?? this.#patterns.get(kind)?.find(({ entity }) => matches(entity, form))
      if (rule) return rule
    }
    return undefined
  }

  #add(rule: PolicyRule): void {
    const kept = rule.kind === 'server' ? { ...rule, entity: lowerCase(rule.entity) } : rule
    this.#counts[rule.kind] += 1
    if (!/[*?]/.test(rule.entity)) {
      this.#literals.set(keyOf(rule.kind, kept.entity), kept)
      return
    }
    this.#patternCount += 1
    if (this.#patternCount > maxPatterns) return
    const patterns = this.#patterns.get(rule.kind)
    if (patterns) patterns.push(kept)
    else this.#patterns.set(rule.kind, [kept])
  }
}

const keyOf = (kind: PolicyKind, entity: string) => `${kind} ${entity}`

/** A server is meant whatever the port it listens on, as in access control lists of rooms. */
function formsOf(kind: PolicyKind, text: string): readonly string[] {
  if (kind !== 'server') return [text]
  const name = parseServerName(text)
  if (name === undefined) return [lowerCase(text)]
  const { host, kind: form } = splitServerName(name)
  return [...new Set([lowerCase(text), lowerCase(form === 'ipv6' ? `[${host}]` : host)])]
}

/** Patterns are compiled when their fixed ends fit: of thousands of rules few do, and compiled ones would fill the memory. */
function matches(pattern: string, text: string): boolean {
  const head = pattern.slice(0, pattern.search(/[*?]/))
  const tail = pattern.slice(Math.max(pattern.lastIndexOf('*'), pattern.lastIndexOf('?')) + 1)
  if (!text.startsWith(head) || !text.endsWith(tail)) return false
  return compileGlob(pattern).matches(text)
}

/** Only ASCII, as server names are. */
function lowerCase(text: string): string {
  return text.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase())
}
