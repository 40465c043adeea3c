/** The forms that many operations share: bodies that are kept as they are, IDs in bodies, numbers and filters in queries. */
import type { RoomEventFilter } from '#protocol/filters/filter.ts'
import { parseRoomEventFilter } from '#protocol/filters/parse-filter.ts'
import { parseServerName, type ServerName } from '#protocol/identifiers/server-name.ts'
import { parseUserId, type UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'
import { maxStickyDuration, parseStickyDuration } from '#protocol/sticky-events.ts'
import * as v from 'valibot'

import { refuse } from '../refusal.ts'

/** A JSON object passed on untouched: valibot's own object schemas drop keys such as `constructor`. */
export const jsonObject = v.custom<JsonObject>(isObject, 'Expected a JSON object')

/** An object passed on untouched, of which some fields must have these types where they are present. */
export function jsonObjectWith(types: Readonly<Record<string, 'string' | 'boolean'>>) {
  const isWrong = (object: JsonObject, name: string) =>
    own(object, name) !== undefined && typeof own(object, name) !== types[name]
  return v.pipe(
    jsonObject,
    v.check((object) => !Object.keys(types).some((name) => isWrong(object, name)), 'A field has the wrong type'),
  )
}

/** A body that may say why. */
export const reasonBody = v.looseObject({ reason: v.optional(v.string()) })

/** A user ID from a body, or M_INVALID_PARAM. */
export function userIdFrom(text: string): UserId {
  return parseUserId(text) ?? refuse('invalid_param', `${JSON.stringify(text.slice(0, 80))} is not a user ID`)
}

/** A whole number of a query, 0 or more, cut down to `most`; M_INVALID_PARAM for anything else. */
export function wholeNumber(query: URLSearchParams, name: string, otherwise: number, most: number): number {
  const text = query.get(name)
  if (text === null) return otherwise
  if (!/^\d{1,15}$/.test(text)) return refuse('invalid_param', `${name} must be a whole number`)
  return Math.min(Number(text), most)
}

/** How long an event is to be sticky, if at all, in ms. MSC4354 (unstable). */
export function stickyDuration(query: URLSearchParams): { readonly stickyDuration?: number } {
  const name = 'org.matrix.msc4354.sticky_duration_ms'
  const text = query.get(name)
  if (text === null) return {}
  const duration = parseStickyDuration(text)
  return duration === undefined
    ? refuse('invalid_param', `${name} must be a whole number from 0 to ${maxStickyDuration}`)
    : { stickyDuration: duration }
}

/** The moment `ts` of a query, in milliseconds since 1970. */
export function timestamp(query: URLSearchParams): number {
  const text = query.get('ts') ?? refuse('missing_param', 'ts is needed')
  const number = /^-?\d{1,16}$/.test(text) ? Number(text) : NaN
  return Number.isSafeInteger(number) ? number : refuse('invalid_param', 'ts must be a whole number of milliseconds')
}

/** One of the words that a query parameter takes; undefined when it is not given. */
export function oneOf<const T extends string>(
  query: URLSearchParams,
  name: string,
  words: readonly T[],
): T | undefined {
  const text = query.get(name)
  if (text === null) return undefined
  return words.find((word) => word === text) ?? refuse('invalid_param', `${name} must be one of ${words.join(', ')}`)
}

/** The `filter` of a query: a RoomEventFilter as JSON. */
export function roomEventFilter(query: URLSearchParams): RoomEventFilter | undefined {
  const text = query.get('filter')
  if (text === null || text === '') return undefined
  const parsed = parseRoomEventFilter(parseJson(text))
  return parsed.ok ? parsed.filter : refuse('bad_json', `The filter is malformed at "${parsed.path}"`)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return refuse('not_json', 'The filter is not JSON')
  }
}

/** The servers through which a room may be reached: `via`, and `server_name` as it was called before. Hints: bad ones go. */
export function viaServers(query: URLSearchParams): ServerName[] {
  const names = [...query.getAll('via'), ...query.getAll('server_name')].map(parseServerName)
  return [...new Set(names.filter((name) => name !== undefined))]
}
