/**
 * Invites by a third-party identifier, redeemed: an identity server has signed who the invited person is, and of that comes
 * an invite like any other.
 *
 * Spec: server-server-api/#third-party-invites, client-server-api/#third-party-invites. This server asks no identity server
 * on behalf of its users; what others began it carries on. Whether the proof holds is for the authorisation rules; beyond
 * those it is asked whether the key has been revoked, where the invite names a place to ask.
 */
import { type InviteKey, vouchingKey } from '#protocol/event-auth/member-third-party-invite.ts'
import { type RoomId, serverNameOfRoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { parseUserId, serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, own, type JsonObject } from '#protocol/json/json.ts'

import { profileOf } from './accounts/profiles.ts'
import type { Env } from './env.ts'
import { fetchGuarded, readCapped } from './federation-client/fetch-capped.ts'
import { signedFetch } from './federation-client/signed-fetch.ts'
import { nodeCrypto } from './node-crypto.ts'
import { refuseBanned } from './policy-lists.ts'
import { refuse, unwrap } from './refusal.ts'
import { roomOf } from './rooms.ts'
import { settingsOf } from './settings.ts'

export interface Proof {
  readonly roomId: RoomId
  /** Who was invited. */
  readonly target: UserId
  /** `mxid`, `token` and the identity server's signature. */
  readonly signed: JsonObject
  /** Who invited, where that is known. */
  readonly sender?: UserId
}

/** Invites a user of this server who can prove to be the person meant; over the inviter's server where we are not in the room. */
export async function redeemInvite(env: Env, proof: Proof): Promise<void> {
  const { roomId, target, signed } = proof
  if (own(signed, 'mxid') !== target) refuse('invalid_param', 'third_party_signed is not yours')
  const pending = await roomOf(env, roomId).thirdPartyInvite({ token: tokenOf(signed), target })
  if (pending.ok) return inviteByProof(env, proof, pending)
  if (pending.reason !== 'unknown_room') return void unwrap(pending)
  const sender = proof.sender ?? parseUserId(own(signed, 'sender'))
  if (sender === undefined || serverNameOf(sender) === settingsOf(env).serverName) return refuse('unknown_room')
  await askInviter(env, { ...proof, sender })
}

/** The same for a user of another server, at that server's request. */
export async function redeemForServer(env: Env, origin: ServerName, proof: Proof & { readonly sender: UserId }) {
  const { roomId, target, sender, signed } = proof
  const pending = unwrap(await roomOf(env, roomId).thirdPartyInvite({ token: tokenOf(signed), target, origin }))
  if (pending.sender !== sender) refuse('forbidden', 'Somebody else sent that invite')
  await inviteByProof(env, proof, pending)
}

interface Pending {
  readonly sender: UserId
  readonly content: JsonObject
  readonly membership: string | undefined
}

async function inviteByProof(env: Env, { roomId, target, signed }: Proof, pending: Pending): Promise<void> {
  const { sender, content, membership } = pending
  // The rules would let the same proof, shown again, make a member an invited one.
  if (membership === 'join') return
  await refuseBanned(env, { users: [sender, target], roomId })
  const key = vouchingKey(signed, content, nodeCrypto) ?? refuse('forbidden', 'The proof is not signed as it must be')
  if (!(await stillCounts(env, key))) refuse('forbidden', 'The key of the identity server does not count any more')
  const name = own(content, 'display_name')
  const proof = { display_name: typeof name === 'string' ? name : '', signed }
  const isLocal = serverNameOf(target) === settingsOf(env).serverName
  unwrap(
    await roomOf(env, roomId).setMembership({
      sender,
      target,
      membership: 'invite',
      via: { roomId, servers: [] },
      content: { third_party_invite: proof },
      ...(isLocal ? { profile: await profileOf(env, target) } : {}),
    }),
  )
}

function tokenOf(signed: JsonObject): string {
  const token = own(signed, 'token')
  return typeof token === 'string' ? token : refuse('invalid_param', 'The proof has no token')
}

/** "The URL must return a JSON object containing a boolean property named `valid`." No answer is no yes. */
async function stillCounts(env: Env, { publicKey, validityUrl }: InviteKey): Promise<boolean> {
  if (validityUrl === undefined) return true
  const url = URL.parse(validityUrl)
  if (url?.protocol !== 'https:') return false
  url.searchParams.set('public_key', publicKey)
  const { allowPrivateAddresses } = settingsOf(env)
  const answer = await fetchGuarded(url, {}, { timeoutMs: 5_000, maxBytes: 16_384, allowPrivateAddresses })
  if (!answer.ok || !answer.response.ok) return false
  const body = await readCapped(answer.response, 16_384)
  return body.ok && saysValid(new TextDecoder().decode(body.bytes))
}

function saysValid(text: string): boolean {
  try {
    const json: unknown = JSON.parse(text)
    return isObject(json) && own(json, 'valid') === true
  } catch {
    return false
  }
}

/** Spec: server-server-api/#put_matrixfederationv1exchange_third_party_inviteroomid. The invite comes by another request. */
async function askInviter(env: Env, { roomId, sender, target, signed }: Proof & { readonly sender: UserId }) {
  const event = {
    type: 'm.room.member',
    room_id: roomId,
    sender,
    state_key: target,
    content: { membership: 'invite', third_party_invite: { display_name: '', signed } },
  }
  const path = `/_matrix/federation/v1/exchange_third_party_invite/${encodeURIComponent(roomId)}`
  const creators = serverNameOfRoomId(roomId)
  const servers = new Set([serverNameOf(sender), ...(creators ? [creators] : [])])
  servers.delete(settingsOf(env).serverName)
  let message = 'nobody could be asked'
  for (const destination of servers) {
    const answer = await signedFetch(env, { destination, method: 'PUT', path, body: event, timeoutMs: 20_000 })
    if (answer.ok) return
    message = answer.message
  }
  refuse('forbidden', `The server of who invited did not take the proof: ${message}`)
}
