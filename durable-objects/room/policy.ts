/**
 * The room's policy server: which events still need its word, and that word once it is given.
 *
 * Spec: server-server-api/#policy-servers, #validating-policy-server-signatures. Whoever stores events asks beforehand
 * (`federation/ask-policy-server.ts`), since here nobody waits; what comes without a signature is soft-failed, and what is
 * of our own users is not sent.
 */
import type { Pdu } from '#protocol/events/pdu.ts'
import { isRecommended, needsNoPolicy, type PolicyServer, policyServerOf } from '#protocol/policy-server.ts'

import { currentStateLookup, type Room } from './room.ts'

/** The policy server that the room uses now. A room cannot make this server one. */
export function policyServer(room: Room): PolicyServer | undefined {
  const { reader } = room
  const found = policyServerOf(currentStateLookup(room), (server) => reader.serversIn().has(server))
  return found?.name === room.serverName ? undefined : found
}

/** The policy server whose signature the event lacks; undefined where it needs none, or has it. */
export function lackedPolicy(room: Room, pdu: Pdu): PolicyServer | undefined {
  if (needsNoPolicy(pdu)) return undefined
  const policy = policyServer(room)
  return policy && !isRecommended(room.reader.rules, pdu, policy, room.crypto) ? policy : undefined
}

/** Why an event of the present is not recommended for inclusion, if it is not. */
export function policyFault(room: Room, pdu: Pdu): string | undefined {
  const policy = lackedPolicy(room, pdu)
  return policy && `the policy server ${policy.name} has not signed it`
}

/** The event that was made just now and lacks the signature, once. */
export function takeUnendorsed({ memory }: Room): { readonly pdu: Pdu; readonly policy: PolicyServer } | undefined {
  const { unendorsed } = memory
  memory.unendorsed = undefined
  return unendorsed
}
