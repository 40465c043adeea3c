/**
 * The parser behind `strict-json.ts`: RFC 8259 with a stack of its own, so that no nesting can exhaust the machine's.
 *
 * It must never reach a member through the prototype: `__proto__` and `constructor` are keys like any other.
 */

/** A number that keeps the spelling it had. */
export class SpelledNumber {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

/** JSON values; `Num` is what numbers become. */
export type Tree<Num> = string | boolean | null | Num | Tree<Num>[] | { [key: string]: Tree<Num> }

export type ParseFault = 'not_json' | 'too_deep' | 'duplicate_key' | 'bad_number'
export type ParseResult<Num> =
  | { readonly ok: true; readonly value: Tree<Num> }
  | { readonly ok: false; readonly reason: ParseFault }

export interface ParseOptions<Num> {
  /** Containers inside containers. */
  readonly maxDepth: number
  /** The value of a number token; undefined refuses the document with `bad_number`. */
  readonly number: (token: string) => Num | undefined
  /**
   * What stands in place of a container that is too deep and of a member whose key was there before. Undefined: the
   * document is refused.
   */
  readonly instead: Num | undefined
}

const quote = 0x22
const comma = 0x2c
const colon = 0x3a
const openBracket = 0x5b
const backslash = 0x5c
const openBrace = 0x7b

const numberToken = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y

/** What ends a parse early; never leaves this module. */
class Fault extends Error {
  readonly reason: ParseFault
  constructor(reason: ParseFault) {
    super(reason)
    this.reason = reason
  }
}

interface Cursor {
  readonly text: string
  at: number
}

/** A container whose end has not been seen: one of `items` and `members`, and the key whose value comes next. */
interface Open<Num> {
  readonly items: Tree<Num>[] | undefined
  readonly members: { [key: string]: Tree<Num> }
  key: string
}

/** Parses one document; white space around it is allowed, anything else is not. */
export function parseTree<Num>(text: string, options: ParseOptions<Num>): ParseResult<Num> {
  try {
    return { ok: true, value: parseDocument({ text, at: 0 }, options) }
  } catch (error) {
    if (error instanceof Fault) return { ok: false, reason: error.reason }
    throw error
  }
}

function parseDocument<Num>(cursor: Cursor, options: ParseOptions<Num>): Tree<Num> {
  const { maxDepth, instead } = options
  const stack: Open<Num>[] = []
  for (;;) {
    // A value begins: a container is opened, anything else is read whole.
    const first = skipSpace(cursor)
    let value: Tree<Num>
    if (first === openBrace || first === openBracket) {
      if (stack.length >= maxDepth && instead === undefined) throw new Fault('too_deep')
      const open: Open<Num> = { items: first === openBracket ? [] : undefined, members: {}, key: '' }
      cursor.at++
      if (skipSpace(cursor) !== closerOf(open)) {
        stack.push(open)
        if (open.items === undefined) open.key = readKey(cursor)
        continue
      }
      cursor.at++
      value = stack.length >= maxDepth && instead !== undefined ? instead : (open.items ?? open.members)
    } else {
      value = readScalar(cursor, first, options)
    }
    // A value is complete: it goes into its container, which may be complete with it, and so on outwards.
    for (;;) {
      const open = stack.at(-1)
      const next = skipSpace(cursor)
      if (open === undefined) {
        if (cursor.at < cursor.text.length) throw new Fault('not_json')
        return value
      }
      put(open, value, instead)
      cursor.at++
      if (next === comma) {
        if (open.items === undefined) open.key = readKey(cursor)
        break
      }
      if (next !== closerOf(open)) throw new Fault('not_json')
      stack.pop()
      value = stack.length >= maxDepth && instead !== undefined ? instead : (open.items ?? open.members)
    }
  }
}

function closerOf<Num>(open: Open<Num>): number {
  return open.items === undefined ? 0x7d : 0x5d
}

function put<Num>(open: Open<Num>, value: Tree<Num>, instead: Num | undefined): void {
  const { items, members, key } = open
  if (items !== undefined) {
    items.push(value)
    return
  }
  const isDuplicate = Object.hasOwn(members, key)
  if (isDuplicate && instead === undefined) throw new Fault('duplicate_key')
  const kept = isDuplicate && instead !== undefined ? instead : value
  // An assignment to `__proto__` would set the prototype.
  if (key === '__proto__') {
    Object.defineProperty(members, key, { value: kept, writable: true, enumerable: true, configurable: true })
  } else {
    members[key] = kept
  }
}

/** Moves past white space and returns the character there, NaN at the end. */
function skipSpace(cursor: Cursor): number {
  const { text } = cursor
  for (;;) {
    const code = text.charCodeAt(cursor.at)
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return code
    cursor.at++
  }
}

function readKey(cursor: Cursor): string {
  if (skipSpace(cursor) !== quote) throw new Fault('not_json')
  const key = readString(cursor)
  if (skipSpace(cursor) !== colon) throw new Fault('not_json')
  cursor.at++
  return key
}

function readScalar<Num>(cursor: Cursor, first: number, options: ParseOptions<Num>): Tree<Num> {
  if (first === quote) return readString(cursor)
  const { text, at } = cursor
  numberToken.lastIndex = at
  if (numberToken.test(text)) {
    cursor.at = numberToken.lastIndex
    const value = options.number(text.slice(at, cursor.at))
    if (value === undefined) throw new Fault('bad_number')
    return value
  }
  if (text.startsWith('true', at)) {
    cursor.at += 4
    return true
  }
  if (text.startsWith('false', at)) {
    cursor.at += 5
    return false
  }
  if (text.startsWith('null', at)) {
    cursor.at += 4
    return null
  }
  throw new Fault('not_json')
}

/** Reads the string that begins at the cursor. Escapes are left to JSON.parse, which knows them all. */
function readString(cursor: Cursor): string {
  const { text, at } = cursor
  let end = at + 1
  let hasEscape = false
  for (;;) {
    const code = text.charCodeAt(end)
    if (code === quote) break
    if (code === backslash) {
      hasEscape = true
      end++
    } else if (!(code >= 0x20)) {
      // A control character, or NaN: the text is at its end.
      throw new Fault('not_json')
    }
    end++
  }
  cursor.at = end + 1
  return hasEscape ? unescape(text.slice(at, end + 1)) : text.slice(at + 1, end)
}

function unescape(literal: string): string {
  try {
    const value: unknown = JSON.parse(literal)
    if (typeof value === 'string') return value
  } catch {
    // An escape that JSON does not have.
  }
  throw new Fault('not_json')
}
