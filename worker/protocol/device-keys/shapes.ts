/** Shapes that all uploaded keys share. */
import { canonicalJsonBytes, CanonicalJsonError } from '#protocol/json/canonical-json.ts'
import { isObject, type JsonObject, type JsonValue } from '#protocol/json/json.ts'

/** True for `{ [userId]: { [keyId]: string } }`. */
export function isSignatures(value: JsonValue | undefined): boolean {
  return (
    isObject(value) &&
    Object.values(value).every(
      (ofUser) => isObject(ofUser) && Object.values(ofUser).every((signature) => typeof signature === 'string'),
    )
  )
}

/** Bytes of canonical JSON; undefined for what cannot be written so, and so cannot be signed. */
export function jsonSize(json: JsonObject): number | undefined {
  try {
    return canonicalJsonBytes(json, true).length
  } catch (error) {
    if (error instanceof CanonicalJsonError) return undefined
    throw error
  }
}
