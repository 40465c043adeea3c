/**
 * Invites that come of an `m.room.third_party_invite`: an identity server vouches, with a key named there, that the target
 * is the person who was meant. The sender need not be joined any more.
 *
 * Spec: rooms/vN "Authorisation rules", rule 5.3.1 (v6, v7: 4.3.1; v8–v11: 4.4.1; v12: 5.4.1);
 * client-server-api/#mroomthird_party_invite.
 */
import { thirdPartyInviteSigned } from '#protocol/events/fields.ts'
import { isObject, own } from '#protocol/json/json.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { decodeBase64 } from '#protocol/signing/base64.ts'
import type { Crypto } from '#protocol/signing/crypto.ts'
import { signatureKeyIds, verifySignedJson } from '#protocol/signing/sign-json.ts'
import { currentMembership } from './current-state.ts'
import type { MembershipChange } from './membership-change.ts'
import { allow, reject } from './verdict.ts'
import type { Verdict } from './verdict.ts'

/**
 * How many pairs of a signature and a key are tried. Identity servers sign once and name two keys; an event has room for
 * hundreds of each, whose pairs would take half a minute.
 */
const maxAttempts = 64

export function checkInviteByThirdParty({ rules, pdu, target, state }: MembershipChange, crypto: Crypto): Verdict {
  // "If target user is banned, reject."
  if (currentMembership(state, target) === 'ban') {
    return reject(rules, 'member.invite.thirdParty.banned', 'the target is banned')
  }

  // "If content.third_party_invite does not have a signed property, reject."
  const signed = thirdPartyInviteSigned(pdu)
  if (signed === undefined) return reject(rules, 'member.invite.thirdParty.noSigned', 'there is no signed object')

  // "If signed does not have mxid and token properties, reject."
  const mxid = own(signed, 'mxid')
  const token = own(signed, 'token')
  if (typeof mxid !== 'string' || typeof token !== 'string') {
    return reject(rules, 'member.invite.thirdParty.fields', 'signed lacks mxid or token')
  }

  // "If mxid does not match state_key, reject."
  if (mxid !== target) return reject(rules, 'member.invite.thirdParty.mxid', 'signed is for another user')

  // "If there is no m.room.third_party_invite event in the current room state with state_key matching token, reject."
  const invite = state('m.room.third_party_invite', token)
  if (invite === undefined) return reject(rules, 'member.invite.thirdParty.noEvent', 'nobody was invited by this token')

  // "If sender does not match sender of the m.room.third_party_invite, reject."
  if (pdu.sender !== invite.sender) return reject(rules, 'member.invite.thirdParty.sender', 'somebody else invited')

  // "If any signature in signed matches any public key in the m.room.third_party_invite event, allow."
  if (vouchingKey(signed, invite.content, crypto)) return allow

  // "Otherwise, reject."
  return reject(rules, 'member.invite.thirdParty.otherwise', 'no signature matches a key of the invite')
}

/** A key of an `m.room.third_party_invite`, as it stands there. */
export interface InviteKey {
  readonly publicKey: string
  /** Where to ask whether the key still counts. */
  readonly validityUrl: string | undefined
}

/** The key of an `m.room.third_party_invite` with which `signed` is signed; undefined where there is none. */
export function vouchingKey(signed: JsonObject, invite: JsonObject, crypto: Crypto): InviteKey | undefined {
  const signatures = own(signed, 'signatures')
  const keys = keysOf(invite)
  let attempts = 0
  for (const entity of isObject(signatures) ? Object.keys(signatures) : []) {
    for (const keyId of signatureKeyIds(signed, entity)) {
      for (const { bytes, ...key } of keys) {
        if (attempts++ >= maxAttempts) return undefined
        if (verifySignedJson(signed, entity, keyId, bytes, crypto)) return key
      }
    }
  }
  return undefined
}

/** "A single public key in the public_key property. A list of public keys in the public_keys property." */
function keysOf(invite: JsonObject): (InviteKey & { readonly bytes: Uint8Array })[] {
  const listed = own(invite, 'public_keys')
  const entries = [invite, ...(Array.isArray(listed) ? listed : [])].filter(isObject)
  const keys = new Map<string, InviteKey & { readonly bytes: Uint8Array }>()
  for (const entry of entries) {
    const [publicKey, url] = [own(entry, 'public_key'), own(entry, 'key_validity_url')]
    const bytes = typeof publicKey === 'string' && !keys.has(publicKey) ? decodeBase64(publicKey) : undefined
    if (typeof publicKey !== 'string' || bytes?.length !== 32) continue
    keys.set(publicKey, { publicKey, validityUrl: typeof url === 'string' ? url : undefined, bytes })
  }
  return [...keys.values()]
}
