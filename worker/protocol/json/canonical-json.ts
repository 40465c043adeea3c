/**
 * Canonical JSON: the one way to write a value, so that every server hashes and signs the same bytes.
 *
 * Spec: appendices/#canonical-json. Strict from room version 6 on; versions 1 to 5 let floats and large integers pass
 * (rooms/v1 "Canonical JSON"). It must never write what another server would write differently: it throws instead.
 *
 * Written by hand since it is the hottest code of a homeserver; package `canonicalize` is the twin it is tested against.
 */
import { utf8ToBytes } from '@noble/hashes/utils.js'
import { SpelledNumber } from './json-parser.ts'
import type { Tree } from './json-parser.ts'
import type { JsonValue } from './json.ts'

/** Containers inside containers beyond this are refused: writing them recurses. Python's servers stop near here too. */
export const maxJsonDepth = 1000

export type CanonicalJsonFault = 'not_an_integer' | 'integer_out_of_range' | 'not_unicode' | 'too_deep' | 'not_json'

export class CanonicalJsonError extends Error {
  readonly fault: CanonicalJsonFault
  constructor(fault: CanonicalJsonFault) {
    super(`no canonical JSON: ${fault}`)
    this.name = 'CanonicalJsonError'
    this.fault = fault
  }
}

/** The canonical form. Throws CanonicalJsonError for floats, integers beyond ±(2^53-1), lone surrogates, deep nesting. */
export function canonicalJson(value: JsonValue): string {
  return checkUnicode(write(value, false, 0))
}

/** The same for room versions 1 to 5, where floats and large integers have a form: the one that Python gives them. */
export function canonicalJsonLoose(value: JsonValue): string {
  return checkUnicode(write(value, true, 0))
}

/** UTF-8 of the canonical form: what is hashed and signed. */
export function canonicalJsonBytes(value: JsonValue, loose = false): Uint8Array {
  return utf8ToBytes(checkUnicode(write(value, loose, 0)))
}

/** The canonical form of JSON whose numbers keep the spelling they had. */
export function canonicalJsonSpelled(value: Tree<SpelledNumber>): string {
  return checkUnicode(write(value, true, 0))
}

type Writable = JsonValue | SpelledNumber | readonly Writable[] | WritableObject
interface WritableObject {
  readonly [key: string]: Writable | undefined
}

function write(value: Writable | undefined, loose: boolean, depth: number): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value)
    case 'number':
      return writeNumber(value, loose)
    case 'boolean':
      return value ? 'true' : 'false'
    case 'object':
      if (value === null) return 'null'
      if (value instanceof SpelledNumber) return value.text
      if (depth >= maxJsonDepth) throw new CanonicalJsonError('too_deep')
      return isArray(value) ? writeArray(value, loose, depth + 1) : writeObject(value, loose, depth + 1)
    default:
      throw new CanonicalJsonError('not_json')
  }
}

/** `Array.isArray` alone does not narrow a readonly array away. */
function isArray(value: readonly Writable[] | WritableObject): value is readonly Writable[] {
  return Array.isArray(value)
}

function writeArray(items: readonly Writable[], loose: boolean, depth: number): string {
  let text = '['
  for (let index = 0; index < items.length; index++) {
    if (index > 0) text += ','
    text += write(items[index], loose, depth)
  }
  return text + ']'
}

/** A member whose value is undefined is no member, as in JSON.stringify. */
function writeObject(object: WritableObject, loose: boolean, depth: number): string {
  let text = ''
  for (const key of sortedKeys(object)) {
    const value = object[key]
    if (value === undefined) continue
    text += (text === '' ? '' : ',') + (commonKeys.get(key) ?? JSON.stringify(key) + ':') + write(value, loose, depth)
  }
  return '{' + text + '}'
}

/**
 * Keys by code point. JavaScript compares UTF-16 units, which puts U+1F600 (d83d de00) before U+FFFF: once a key leaves
 * the Basic Multilingual Plane the two orders differ.
 */
function sortedKeys(object: WritableObject): string[] {
  const keys = Object.keys(object)
  if (keys.some((key) => !commonKeys.has(key) && surrogate.test(key))) return keys.sort(compareCodePoints)
  if (keys.length > 20) return keys.sort()
  // Insertion sort: three times as fast as the built-in for the few, often sorted keys of an event.
  for (let index = 1; index < keys.length; index++) {
    const key = keys[index] ?? ''
    let place = index
    for (let before = keys[place - 1] ?? ''; place > 0 && before > key; before = keys[place - 1] ?? '') {
      keys[place--] = before
    }
    keys[place] = key
  }
  return keys
}

const surrogate = /[\ud800-\udfff]/

/** Order by Unicode code point. */
export function compareCodePoints(left: string, right: string): number {
  const length = Math.min(left.length, right.length)
  for (let index = 0; index < length; index++) {
    const a = left.charCodeAt(index)
    const b = right.charCodeAt(index)
    // Where two strings first differ, a surrogate stands for a code point above every unit that is none.
    if (a !== b) return rank(a) - rank(b)
  }
  return left.length - right.length
}

function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}

/**
 * JSON.stringify escapes what the grammar asks for, and lone surrogates besides, which UTF-8 cannot hold. Looking for
 * such an escape in the result is cheaper than looking for surrogates in every string; `\\ud83d`, a backslash and then
 * letters, is none.
 */
function checkUnicode(text: string): string {
  if (text.includes('\\ud') && loneSurrogateEscape.test(text)) throw new CanonicalJsonError('not_unicode')
  return text
}

const loneSurrogateEscape = /(?<!\\)(?:\\\\)*\\ud[89a-f]/

function writeNumber(value: number, loose: boolean): string {
  // Also writes -0 as 0.
  if (Number.isSafeInteger(value)) return String(value)
  if (!Number.isFinite(value)) throw new CanonicalJsonError('not_json')
  if (!loose) throw new CanonicalJsonError(Number.isInteger(value) ? 'integer_out_of_range' : 'not_an_integer')
  return Number.isInteger(value) ? BigInt(value).toString() : writeFloat(value)
}

/**
 * The shortest digits that read back as the same number, as JavaScript also picks them, but with Python's choice of
 * where the exponent begins: below 1e-4 (not 1e-6), and with two digits at least (`1e-07`).
 */
function writeFloat(value: number): string {
  const [digits = '', exponent = '0'] = value.toExponential().split('e')
  if (Number(exponent) >= -4) return String(value)
  return `${digits}e-${exponent.slice(1).padStart(2, '0')}`
}

/** Keys of events, with quotes and colon: most keys are among these. */
const commonKeys = new Map(
  [
    'auth_events content depth event_id hashes origin origin_server_ts prev_events prev_state redacts room_id sender',
    'sha256 signatures state_key type membership displayname avatar_url reason third_party_invite is_direct',
    'join_authorised_via_users_server body msgtype format formatted_body url info file mimetype size w h duration',
    'thumbnail_url thumbnail_info m.mentions user_ids m.relates_to m.in_reply_to rel_type key m.new_content',
    'algorithm ciphertext device_id sender_key session_id name topic users users_default events events_default',
    'state_default ban kick redact invite join_rule history_visibility room_version creator predecessor',
  ]
    .flatMap((line) => line.split(' '))
    .map((key) => [key, `"${key}":`]),
)
