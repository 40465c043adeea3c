/**
 * The bytes of an event that its signatures cover and its reference hash is taken of: one and the same, the redacted
 * event without `signatures` and `unsigned`.
 *
 * Spec: server-server-api/#adding-hashes-and-signatures-to-outgoing-events, #calculating-the-reference-hash-for-an-event.
 */
import { redact } from '#protocol/events/redaction.ts'
import { canonicalJsonBytes } from '#protocol/json/canonical-json.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'

/** Throws CanonicalJsonError for what `parsePdu` would refuse. */
export function eventSignedBytes(rules: RoomVersionRules, json: JsonObject): Uint8Array {
  const covered = { ...redact(rules, json), signatures: undefined, unsigned: undefined }
  return canonicalJsonBytes(covered, !rules.strictCanonicalJson)
}
