/**
 * Inviting a user of another server: their server signs the invite before the room has it.
 *
 * Spec: server-server-api/#inviting-to-a-room. The event is built and judged as any of ours, but not stored; it is stored
 * when their server has signed that very event. What else it sends back is not looked at.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import { serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, own, type JsonObject } from '#protocol/json/json.ts'
import { addSignature, signatureKeyIds, signatureOf } from '#protocol/signing/sign-json.ts'

import type { Env } from '../../../worker/env.ts'
import { signedFetch } from '../../../worker/federation-client/signed-fetch.ts'
import type { ServerIdentity } from '../../../worker/server-identity.ts'
import { composeEvent, type Draft } from '../author-event.ts'
import { lackedPolicy } from '../policy.ts'
import type { Room } from '../room.ts'
import { toldStateForInvite } from '../stripped-state.ts'
import { askPolicyServer } from './ask-policy-server.ts'
import { FederationRequests } from './federation-requests.ts'
import { remoteFailure } from './handshake.ts'
import { receivePdu } from './receive-pdu.ts'
import { noteRelayed } from './news-for-servers.ts'

export interface InviteDeps {
  readonly env: Env
  readonly identity: ServerIdentity
  readonly stored: (changedMembers: readonly UserId[]) => void
}

export async function inviteRemote(
  room: Room,
  deps: InviteDeps,
  draft: Draft,
  target: UserId,
): Promise<Outcome<{ event_id: EventId }>> {
  const { env, identity } = deps
  const composed = composeEvent(room, identity, draft)
  if (!composed.ok) return composed
  const policy = lackedPolicy(room, composed.pdu)
  const endorsed = policy ? await askPolicyServer(room, env, composed.pdu, policy) : composed
  if (!endorsed.ok) return endorsed
  const { pdu } = endorsed
  const { roomId, rules } = room.reader.header()
  const place = `${encodeURIComponent(roomId)}/${encodeURIComponent(pdu.event_id)}`
  const answer = await signedFetch(env, {
    destination: serverNameOf(target),
    method: 'PUT',
    path: `/_matrix/federation/v2/invite/${place}`,
    body: { room_version: rules.version, event: pdu.json, invite_room_state: toldStateForInvite(room, pdu.sender) },
    timeoutMs: 30_000,
  })
  if (!answer.ok) return remoteFailure(answer)
  const event = own(answer.json, 'event')
  const signed = isObject(event) ? withTheirSignatures(pdu, event, serverNameOf(target)) : undefined
  const [verified] = signed ? await new FederationRequests(env, { roomId, rules }).verified([signed]) : []
  if (!verified || verified.event_id !== pdu.event_id)
    return fail('bad_gateway', 'Their server did not sign the invite')
  // The room may have moved on meanwhile: the invite is judged anew, at its own place.
  return room.transactor.turn((): Outcome<{ event_id: EventId }> => {
    const received = receivePdu(room, verified)
    if (received.kind !== 'stored' || received.outcome !== 'accepted') {
      return fail('event_not_allowed', received.kind === 'stored' ? received.message : undefined)
    }
    noteRelayed(room, verified.event_id)
    deps.stored(received.changedMembers)
    return { ok: true, event_id: verified.event_id }
  })
}

/** Our event with the signatures of their server; undefined where there are none. */
function withTheirSignatures(ours: Pdu, theirs: JsonObject, server: string): JsonObject | undefined {
  const keyIds = signatureKeyIds(theirs, server)
  let signed = ours.json
  for (const keyId of keyIds) {
    const signature = signatureOf(theirs, server, keyId)
    if (signature) signed = addSignature(signed, server, keyId, signature)
  }
  return keyIds.length > 0 ? signed : undefined
}
