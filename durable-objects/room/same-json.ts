/** Whether two JSON values say the same, whatever the order of their keys. */
import type { JsonValue } from '#protocol/json/json.ts'
import { isObject } from '#protocol/json/json.ts'

/** Values nested deeper count as different: nothing is lost but a saving. */
const maxDepth = 100

export function sameJson(a: JsonValue | undefined, b: JsonValue | undefined, depth = 0): boolean {
  if (a === b) return true
  if (depth > maxDepth) return false
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((value, index) => sameJson(value, b[index], depth + 1))
  }
  if (!isObject(a) || !isObject(b)) return false
  const keys = Object.keys(a)
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && sameJson(a[key], b[key], depth + 1))
  )
}
