/**
 * Canonical JSON: the one way to write a value, so that every server hashes and signs the same bytes.
 *
 * Spec: appendices/#canonical-json. Strict from room version 6 on; versions 1 to 5 let floats and large integers pass
 * (rooms/v1 "Canonical JSON"). It must never write something that another server would write differently: it throws
 * instead. Keys are sorted by code point. JavaScript compares UTF-16 units, which puts U+1F600 (d83d de00) before U+FFFF
 * and so differs as soon as a key leaves the Basic Multilingual Plane.
 */
import { utf8ToBytes } from '@noble/hashes/utils.js'
import { isWellFormed } from '#protocol/identifiers/characters.ts'
import type { JsonValue } from './json.ts'
import { SpelledNumber } from './json-parser.ts'
import type { Tree } from './json-parser.ts'

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
  return write(value, false, 0)
}

/** The same for room versions 1 to 5, where floats and large integers have a form: the one that Python gives them. */
export function canonicalJsonLoose(value: JsonValue): string {
  return write(value, true, 0)
}

/** UTF-8 of the canonical form: what is hashed and signed. */
export function canonicalJsonBytes(value: JsonValue, loose = false): Uint8Array {
  return utf8ToBytes(write(value, loose, 0))
}

/** The canonical form of JSON whose numbers keep the spelling they had. */
export function canonicalJsonSpelled(value: Tree<SpelledNumber>): string {
  return write(value, true, 0)
}

type Writable = JsonValue | SpelledNumber | readonly Writable[] | WritableObject
interface WritableObject {
  readonly [key: string]: Writable | undefined
}

function write(value: Writable | undefined, loose: boolean, depth: number): string {
  switch (typeof value) {
    case 'string':
      return writeString(value)
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
    text += (text === '' ? '' : ',') + writeString(key) + ':' + write(value, loose, depth)
  }
  return '{' + text + '}'
}

function sortedKeys(object: object): string[] {
  const keys = Object.keys(object)
  let sorted = true
  for (let index = 1; index < keys.length && sorted; index++) sorted = (keys[index - 1] ?? '') < (keys[index] ?? '')
  if (!sorted) keys.sort()
  // Only a key with a surrogate in it can stand elsewhere by code point than by UTF-16 unit.
  return keys.some((key) => surrogate.test(key)) ? keys.sort(compareCodePoints) : keys
}

const surrogate = /[\ud800-\udfff]/

/** Order by Unicode code point. */
export function compareCodePoints(left: string, right: string): number {
  const length = Math.min(left.length, right.length)
  for (let index = 0; index < length; index++) {
    const a = left.charCodeAt(index)
    const b = right.charCodeAt(index)
    // Where two strings first differ, surrogates stand for code points above every other unit.
    if (a !== b) return rank(a) - rank(b)
  }
  return left.length - right.length
}

function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}

/** What JSON.stringify does to strings is what the grammar asks for, except that it escapes lone surrogates. */
function writeString(text: string): string {
  if (surrogate.test(text) && !isWellFormed(text)) throw new CanonicalJsonError('not_unicode')
  return JSON.stringify(text)
}

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
