/**
 * Parsing that refuses what JSON.parse lets through silently: the same key twice, integers that a double cannot hold,
 * nesting without end.
 *
 * Spec: appendices/#canonical-json; RFC 8259.
 */
import { CanonicalJsonError, canonicalJsonSpelled, maxJsonDepth } from './canonical-json.ts'
import { SpelledNumber, parseTree } from './json-parser.ts'
import type { ParseFault } from './json-parser.ts'
import type { JsonValue } from './json.ts'

export type StrictJsonFault = ParseFault
export type StrictJsonResult =
  | { readonly ok: true; readonly value: JsonValue }
  | { readonly ok: false; readonly reason: StrictJsonFault }

export interface StrictJsonLimits {
  /** Containers inside containers; 1000 unless said otherwise. */
  readonly maxDepth?: number
}

/**
 * Parses a whole document or refuses it: `not_json` for syntax, `bad_number` for a number beyond the range of Number or
 * an integer it would change. Floats pass; whole ones (`1.0`, `1e3`) and -0 become integers.
 */
export function parseStrictJson(text: string, limits: StrictJsonLimits = {}): StrictJsonResult {
  return parseTree(text, { maxDepth: limits.maxDepth ?? maxJsonDepth, number: exactNumber, instead: undefined })
}

/**
 * Parses what another server sent, where one bad event must not take the others down with it. What the strict parser
 * would refuse becomes NaN, and so does a number that is written otherwise than Number would write it (`1.0`, `1e3`):
 * its sender has signed another spelling than we would check. No canonical JSON can be made of NaN, so `parsePdu` refuses
 * the event around it, and only that one.
 */
export function parseFederationJson(
  text: string,
): { readonly ok: true; readonly value: JsonValue } | { readonly ok: false; readonly reason: 'not_json' } {
  // Events stand a few levels down; their own depth is judged where their canonical form is made.
  const result = parseTree(text, { maxDepth: maxJsonDepth + 8, number: signedNumber, instead: NaN })
  return result.ok ? result : { ok: false, reason: 'not_json' }
}

/**
 * The canonical form of a document with its numbers as they were written. For checking the signature on a request: its
 * sender may have signed floats (in to-device messages, say) that Number spells differently. Undefined for what no server
 * could have signed: bad syntax, duplicate keys, too deep, lone surrogates.
 */
export function canonicalJsonOfText(text: string): string | undefined {
  const number = (token: string) => new SpelledNumber(token)
  const result = parseTree(text, { maxDepth: maxJsonDepth, number, instead: undefined })
  if (!result.ok) return undefined
  try {
    return canonicalJsonSpelled(result.value)
  } catch (error) {
    if (error instanceof CanonicalJsonError) return undefined
    throw error
  }
}

const wholeNumber = /^-?\d+$/

function exactNumber(token: string): number | undefined {
  const value = Number(token) + 0
  if (Number.isSafeInteger(value)) return value
  if (!Number.isFinite(value)) return undefined
  return wholeNumber.test(token) && BigInt(token) !== BigInt(value) ? undefined : value
}

function signedNumber(token: string): number {
  const value = exactNumber(token)
  if (value === undefined) return NaN
  return Number.isInteger(value) && !wholeNumber.test(token) ? NaN : value
}
