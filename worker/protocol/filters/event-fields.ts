/**
 * The `event_fields` of a filter: which fields of an event are sent.
 *
 * Spec: client-server-api/#filtering, appendices/#dot-separated-property-paths. A dot separates segments; `\.` is a dot
 * and `\\` a backslash within one; a backslash before anything else is a backslash.
 */
import { isObject, type JsonObject, type JsonValue, own } from '../json/json.ts'

/** The segments of a dot-separated path. */
export function parsePropertyPath(path: string): readonly string[] {
  const segments: string[] = []
  let segment = ''
  for (let i = 0; i < path.length; i++) {
    const next = path[i + 1]
    if (path[i] === '\\' && (next === '.' || next === '\\')) {
      segment += next
      i++
    } else if (path[i] === '.') {
      segments.push(segment)
      segment = ''
    } else {
      segment += path[i]
    }
  }
  return [...segments, segment]
}

/** A copy of the event with only the given fields. Paths that lead nowhere add nothing. */
export function pickFields(event: JsonObject, paths: readonly (readonly string[])[]): JsonObject {
  const picked: Record<string, JsonValue> = {}
  for (const path of paths) copyPath(event, picked, path)
  return picked
}

function copyPath(from: JsonObject, to: Record<string, JsonValue>, path: readonly string[]): void {
  let source: JsonValue | undefined = from
  const values: JsonValue[] = []
  for (const segment of path) {
    source = isObject(source) ? own(source, segment) : undefined
    if (source === undefined) return
    values.push(source)
  }
  let target = to
  path.forEach((segment, depth) => {
    const value = values[depth]
    if (value === undefined) return
    if (depth === path.length - 1) {
      define(target, segment, value)
      return
    }
    // Copied level by level: a path that was picked whole before stays whole.
    const copy: Record<string, JsonValue> = {}
    const before = own(target, segment)
    if (isObject(before))
      for (const [key, kept] of Object.entries(before)) if (kept !== undefined) define(copy, key, kept)
    define(target, segment, copy)
    target = copy
  })
}

/** Assignment would call the setter of `__proto__`. */
function define(object: Record<string, JsonValue>, key: string, value: JsonValue): void {
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
}
