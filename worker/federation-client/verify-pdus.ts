/**
 * Is an event what its sender's server made? The first three checks on receipt, for events from anywhere: transactions,
 * joins, backfill, state.
 *
 * Spec: server-server-api/#checks-performed-on-receipt-of-a-pdu. 1: valid event. 2: signatures, else dropped. 3: hashes, else
 * redacted. What comes out has not been authorised: that is the room's part.
 */
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { parsePdu } from '#protocol/events/event-format.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import { redact } from '#protocol/events/redaction.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'
import { contentHashMatches } from '#protocol/signing/content-hash.ts'
import type { Crypto } from '#protocol/signing/crypto.ts'
import { requiredSigners, verifyEventSignature } from '#protocol/signing/event-signatures.ts'
import { countsForEvent, type ServerKey } from '#protocol/signing/server-keys.ts'
import { signatureKeyIds } from '#protocol/signing/sign-json.ts'

import type { KeyRing, KeyWish } from './key-ring.ts'

export type Verified =
  /** `redacted`: the content hash was wrong, and this is what the redaction leaves. */
  | { readonly ok: true; readonly pdu: Pdu; readonly redacted: boolean }
  /** `eventId`: of an event whose format allowed to compute it. */
  | {
      readonly ok: false
      readonly eventId: EventId | undefined
      readonly message: string
      /** The format is right, but the keys it is signed with could not be had: nothing is known against the event. */
      readonly unverifiable?: Pdu
    }

/** Judges each event alone; the answer has the order of the question. */
export async function verifyPdus(
  rules: RoomVersionRules,
  events: readonly unknown[],
  deps: { readonly keys: KeyRing; readonly crypto: Crypto; readonly now: number },
): Promise<Verified[]> {
  const parsed = events.map((event) => parsePdu(rules, event, deps.crypto))
  const keyIds = new Map<ServerName, Set<string>>()
  const latest = new Map<ServerName, number>()
  for (const result of parsed) {
    if (!result.ok) continue
    for (const server of requiredSigners(rules, result.pdu)) {
      const ids = keyIds.get(server) ?? new Set()
      keyIds.set(server, ids)
      signatureKeyIds(result.pdu.json, server).forEach((keyId) => ids.add(keyId))
      latest.set(server, Math.max(latest.get(server) ?? 0, result.pdu.origin_server_ts))
    }
  }
  const wishes = new Map<ServerName, KeyWish>()
  for (const [server, ids] of keyIds) {
    // A key that counts for the latest event of a server counts for its earlier ones.
    const ts = latest.get(server) ?? 0
    wishes.set(server, { keyIds: ids, counts: (key) => countsForEvent(key, ts, rules.enforcesKeyValidity, deps.now) })
  }
  const keys = await deps.keys.keysOf(wishes)
  return parsed.map((result) => {
    if (!result.ok) return { ok: false, eventId: undefined, message: result.message }
    const unsigned = requiredSigners(rules, result.pdu).find(
      (server) => !hasSigned(rules, result.pdu, server, keys.get(server) ?? [], deps),
    )
    if (unsigned !== undefined) {
      const known = new Set((keys.get(unsigned) ?? []).map(({ keyId }) => keyId))
      const signedWith = signatureKeyIds(result.pdu.json, unsigned)
      const keyless = signedWith.length > 0 && !signedWith.some((keyId) => known.has(keyId))
      return {
        ok: false,
        eventId: result.pdu.event_id,
        message: `no valid signature by ${unsigned}`,
        ...(keyless ? { unverifiable: result.pdu } : {}),
      }
    }
    return withRightContent(rules, result.pdu, deps.crypto)
  })
}

function hasSigned(
  rules: RoomVersionRules,
  pdu: Pdu,
  server: ServerName,
  keys: readonly ServerKey[],
  { crypto, now }: { readonly crypto: Crypto; readonly now: number },
): boolean {
  return keys.some(
    (key) =>
      countsForEvent(key, pdu.origin_server_ts, rules.enforcesKeyValidity, now) &&
      verifyEventSignature(rules, pdu.json, server, key.keyId, key.publicKey, crypto),
  )
}

/** The event if its content hash is right, else what its redaction leaves: signatures cover that much. */
function withRightContent(rules: RoomVersionRules, pdu: Pdu, crypto: Crypto): Verified {
  if (contentHashMatches(rules, pdu.json, crypto)) return { ok: true, pdu, redacted: false }
  const bare = redact(rules, pdu.json)
  const parsed = parsePdu(rules, bare, crypto)
  return parsed.ok
    ? { ok: true, pdu: parsed.pdu, redacted: true }
    : { ok: false, eventId: pdu.event_id, message: parsed.message }
}
