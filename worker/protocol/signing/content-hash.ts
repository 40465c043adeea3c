/**
 * The content hash covers the whole event, so that what a redaction takes away could not have been changed before.
 *
 * Spec: server-server-api/#calculating-the-content-hash-for-an-event, #validating-hashes-and-signatures-on-received-events.
 */
import { canonicalJsonBytes } from '#protocol/json/canonical-json.ts'
import { isObject, own } from '#protocol/json/json.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'
import { decodeBase64, encodeBase64Unpadded } from './base64.ts'
import type { Crypto } from './crypto.ts'

/**
 * SHA-256 of an event without `unsigned`, `signatures` and `hashes`, in unpadded base64. Without `rules` numbers are
 * written as room versions 1 to 5 have them, which for every canonical event is the same. Throws CanonicalJsonError.
 */
export function contentHash(json: JsonObject, crypto: Crypto, rules?: RoomVersionRules): string {
  return encodeBase64Unpadded(hashOf(json, crypto, rules))
}

/** Whether `hashes.sha256` is this event's content hash. If not, only the redacted event may be used. */
export function contentHashMatches(rules: RoomVersionRules, json: JsonObject, crypto: Crypto): boolean {
  const hashes = own(json, 'hashes')
  const claimed = isObject(hashes) ? own(hashes, 'sha256') : undefined
  const bytes = typeof claimed === 'string' ? decodeBase64(claimed) : undefined
  return bytes !== undefined && encodeBase64Unpadded(bytes) === contentHash(json, crypto, rules)
}

function hashOf(json: JsonObject, crypto: Crypto, rules: RoomVersionRules | undefined): Uint8Array {
  const covered = { ...json, unsigned: undefined, signatures: undefined, hashes: undefined }
  return crypto.sha256(canonicalJsonBytes(covered, rules?.strictCanonicalJson !== true))
}
