/**
 * Inviting a user of another server: their server signs the invite before the room has it.
 *
 * Spec: server-server-api/#inviting-to-a-room. The event is built and judged as any of ours, but not stored; it is stored
 * when their server has signed that very event. What else it sends back is not looked at.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
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
  const answer = await send(room, env, pdu, serverNameOf(target))
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

/**
 * "Senders which receive a 400 or 404 response to this endpoint should retry using the v1 API …, if the room version is "1" or
 * "2"."
 */
async function send(room: Room, env: Env, { event_id, json, sender }: Pdu, server: ServerName) {
  const { roomId, rules } = room.reader.header()
  const told = toldStateForInvite(room, sender)
  const place = `${encodeURIComponent(roomId)}/${encodeURIComponent(event_id)}`
  const request = { destination: server, method: 'PUT' as const, timeoutMs: 30_000 }
  const answer = await signedFetch(env, {
    ...request,
    path: `/_matrix/federation/v2/invite/${place}`,
    body: { room_version: rules.version, event: json, invite_room_state: told },
  })
  const isOlder = !answer.ok && answer.kind === 'http' && (answer.status === 400 || answer.status === 404)
  if (!isOlder || rules.eventId !== 'in-event') return answer
  const unsigned = own(json, 'unsigned')
  return signedFetch(env, {
    ...request,
    path: `/_matrix/federation/v1/invite/${place}`,
    body: { ...json, unsigned: { ...(isObject(unsigned) ? unsigned : {}), invite_room_state: told } },
    isWrapped: true,
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
