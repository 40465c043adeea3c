/**
 * Invites that come of an `m.room.third_party_invite`: an identity server vouches, with a key named there, that the target
 * is the person who was meant. The sender need not be joined any more.
 *
 * Spec: rooms/vN "Authorisation rules", rule 5.3.1 (v6, v7: 4.3.1; v8–v11: 4.4.1; v12: 5.4.1);
 * client-server-api/#mroomthird_party_invite.
 */
import { thirdPartyInviteSigned } from '#protocol/events/fields.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
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
  if (isSignedByAny(signed, publicKeysOf(invite), crypto)) return allow

  // "Otherwise, reject."
  return reject(rules, 'member.invite.thirdParty.otherwise', 'no signature matches a key of the invite')
}

function isSignedByAny(signed: JsonObject, publicKeys: readonly Uint8Array[], crypto: Crypto): boolean {
  const signatures = own(signed, 'signatures')
  let attempts = 0
  for (const entity of isObject(signatures) ? Object.keys(signatures) : []) {
    for (const keyId of signatureKeyIds(signed, entity)) {
      for (const publicKey of publicKeys) {
        if (attempts++ >= maxAttempts) return false
        if (verifySignedJson(signed, entity, keyId, publicKey, crypto)) return true
      }
    }
  }
  return false
}

/** "A single public key in the public_key property. A list of public keys in the public_keys property." */
function publicKeysOf(invite: Pdu): Uint8Array[] {
  const listed = own(invite.content, 'public_keys')
  const texts = [own(invite.content, 'public_key')]
  for (const item of Array.isArray(listed) ? listed : []) if (isObject(item)) texts.push(own(item, 'public_key'))
  const keys: Uint8Array[] = []
  for (const text of new Set(texts)) {
    const key = typeof text === 'string' ? decodeBase64(text) : undefined
    if (key?.length === 32) keys.push(key)
  }
  return keys
}
