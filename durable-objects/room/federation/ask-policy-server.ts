/**
 * Asks the room's policy server to sign events.
 *
 * Spec: server-server-api/#post_matrixpolicyv1sign. Its answer is read for one thing: its signature by the key that the room's
 * state names. Events that came from others are asked for all at once and each once only; a policy server that does not
 * answer costs a bounded time, and is then left alone for a while, in which such events are soft-failed.
 */
import { fail, type Failure, type Outcome } from '#protocol/errors.ts'
import { pduFromStored } from '#protocol/events/event-format.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { isObject, own } from '#protocol/json/json.ts'
import { isRecommended, policyKeyId, type PolicyServer } from '#protocol/policy-server.ts'
import { addSignature, signatureOf } from '#protocol/signing/sign-json.ts'

import type { Env } from '../../../worker/env.ts'
import { ExpiringMap } from '../../../worker/federation-client/expiring-map.ts'
import { type FederationFailure, signedFetch } from '../../../worker/federation-client/signed-fetch.ts'
import { lackedPolicy } from '../policy.ts'
import type { Room } from '../room.ts'

/** For an event of our users, who wait. */
const ownTimeoutMs = 30_000
/** For events that others sent. */
const inboundTimeoutMs = 10_000
const silenceMs = 60_000
/** Policy servers that could not be reached lately. */
const silent = new ExpiringMap<ServerName, true>(100)
/** Events that a policy server would not sign. */
const refused = new ExpiringMap<EventId, true>(2_000)
const rememberMs = 600_000

/** The event with the policy server's signature, or why it gave none. */
export async function askPolicyServer(
  room: Room,
  env: Env,
  pdu: Pdu,
  policy: PolicyServer,
  timeoutMs = ownTimeoutMs,
): Promise<Outcome<{ pdu: Pdu }>> {
  const path = '/_matrix/policy/v1/sign'
  const asked = { destination: policy.name, method: 'POST', path, body: pdu.json, timeoutMs, maxBytes: 65_536 } as const
  const answer = await signedFetch(env, asked)
  if (!answer.ok) return failureOf(policy, answer)
  const signature = isObject(own(answer.json, policy.name))
    ? signatureOf({ signatures: answer.json }, policy.name, policyKeyId)
    : undefined
  const { rules } = room.reader
  // Signatures that the event has already stay: the policy server may bear the name of who sent it.
  const json = signature && addSignature(pdu.json, policy.name, policyKeyId, signature)
  const signed = json && pduFromStored(rules, json, pdu.event_id)
  if (!signed || !isRecommended(rules, signed, policy, room.crypto)) {
    return fail('policy_unavailable', `The policy server ${policy.name} did not sign the event as it should`)
  }
  return { ok: true, pdu: signed }
}

/** Events that came from others, with the signature of the policy server where they lacked it and it gives one. */
export async function withPolicySignatures(room: Room, env: Env, pdus: readonly Pdu[]): Promise<Pdu[]> {
  return Promise.all(
    pdus.map(async (pdu) => {
      const policy = room.reader.nidOf(pdu.event_id) === undefined ? lackedPolicy(room, pdu) : undefined
      const now = Date.now()
      if (!policy || silent.get(policy.name, now) || refused.get(pdu.event_id, now)) return pdu
      const asked = await askPolicyServer(room, env, pdu, policy, inboundTimeoutMs)
      if (asked.ok) return asked.pdu
      if (asked.reason === 'policy_unreachable') silent.set(policy.name, true, Date.now() + silenceMs)
      else refused.set(pdu.event_id, true, Date.now() + rememberMs)
      return pdu
    }),
  )
}

/** "If the Policy Server returned an error, that error SHOULD be provided to the client verbatim", as far as we have its like. */
function failureOf({ name }: PolicyServer, failure: FederationFailure): Failure {
  if (failure.kind !== 'http') return fail('policy_unreachable', `The policy server ${name} could not be asked`)
  const { status, errcode, message } = failure
  if (errcode === 'M_FORBIDDEN') return fail('policy_refused', message)
  if (errcode === 'M_LIMIT_EXCEEDED' || status === 429) return fail('limit_exceeded', message)
  if (errcode === 'M_BAD_JSON') return fail('bad_json', message)
  if (errcode === 'M_NOT_FOUND') return fail('not_found', message)
  return fail('policy_unavailable', message)
}
