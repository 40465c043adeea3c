/**
 * Who must have signed an event, and whether they have.
 *
 * Spec: server-server-api/#signing-events, rooms/v8 "Authorisation rules" for `join_authorised_via_users_server`.
 */
import { isThirdPartyInvite } from '#protocol/events/fields.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import { serverNameOfEventId } from '#protocol/identifiers/event-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { parseUserId, serverNameOf } from '#protocol/identifiers/user-id.ts'
import { CanonicalJsonError } from '#protocol/json/canonical-json.ts'
import { own } from '#protocol/json/json.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'
import { contentHash } from './content-hash.ts'
import type { Crypto, SigningKey } from './crypto.ts'
import { addSignature, signatureOf } from './sign-json.ts'
import { eventSignedBytes } from './signed-bytes.ts'

/**
 * The event with its content hash and our signature. Signatures it has already, say of the server that asks us to sign
 * an invite, stay; they hold only if the content hash was right before. Throws CanonicalJsonError.
 */
export function signEvent(
  rules: RoomVersionRules,
  json: JsonObject,
  serverName: string,
  key: SigningKey,
  crypto: Crypto,
): JsonObject {
  const hashed = { ...json, hashes: { sha256: contentHash(json, crypto, rules) } }
  return addSignature(hashed, serverName, key.keyId, crypto.sign(eventSignedBytes(rules, hashed), key.seed))
}

/**
 * Each of these servers must have signed the event with at least one of its valid keys.
 *
 * Empty for third-party invites from room version 3 on: those stand by the identity server's signature, which the
 * authorisation rules check.
 */
export function requiredSigners(rules: RoomVersionRules, pdu: Pdu): ServerName[] {
  const signers = new Set<ServerName>()
  // The server of the sender. A third-party invite may have been sent by another one in the inviter's name.
  if (!isThirdPartyInvite(pdu)) signers.add(serverNameOf(pdu.sender))
  // Room versions 1 and 2: also the server which the event ID names.
  if (rules.eventId === 'in-event') {
    const namedByEventId = serverNameOfEventId(pdu.event_id)
    if (namedByEventId !== undefined) signers.add(namedByEventId)
  }
  // Room version 8 and later: the server which let somebody into a restricted room. A value that is no user ID has no
  // server; the authorisation rules reject it.
  if (rules.restrictedJoins && pdu.type === 'm.room.member') {
    const authoriser = parseUserId(own(pdu.content, 'join_authorised_via_users_server'))
    if (authoriser !== undefined) signers.add(serverNameOf(authoriser))
  }
  return [...signers]
}

/** True when `serverName` has signed the event with this key. Never throws, whatever the event holds. */
export function verifyEventSignature(
  rules: RoomVersionRules,
  json: JsonObject,
  serverName: string,
  keyId: string,
  publicKey: Uint8Array,
  crypto: Crypto,
): boolean {
  const signature = signatureOf(json, serverName, keyId)
  if (signature === undefined) return false
  try {
    return crypto.verify(eventSignedBytes(rules, json), signature, publicKey)
  } catch (error) {
    if (error instanceof CanonicalJsonError) return false
    throw error
  }
}
