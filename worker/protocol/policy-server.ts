/**
 * The policy server of a room: who it is, and whether it recommends an event.
 *
 * Spec: server-server-api/#policy-servers, client-server-api/#mroompolicy. Its key stands in the room's state, so that what it
 * signed can be checked without it. What it recommends says nothing of whether the rules of the room allow an event.
 */
import type { Pdu, StateLookup } from './events/pdu.ts'
import { parseServerName, type ServerName } from './identifiers/server-name.ts'
import { isObject, own } from './json/json.ts'
import type { RoomVersionRules } from './room-versions/rules.ts'
import { decodeBase64 } from './signing/base64.ts'
import type { Crypto } from './signing/crypto.ts'
import { verifyEventSignature } from './signing/event-signatures.ts'

/** "The Key ID for the `ed25519` key in `m.room.policy` is *always* `ed25519:policy_server`." */
export const policyKeyId = 'ed25519:policy_server'

export interface PolicyServer {
  readonly name: ServerName
  /** Undefined where the state names something that is no key: then nothing is signed by it. */
  readonly publicKey: Uint8Array | undefined
}

/**
 * The policy server of a room with that current state. "For a room to be considered as using a Policy Server, all of the
 * following conditions MUST be true": a valid state event, and a joined user of the server it names.
 */
export function policyServerOf(
  state: StateLookup,
  isJoined: (server: ServerName) => boolean,
): PolicyServer | undefined {
  const content = state('m.room.policy', '')?.content
  if (!content) return undefined
  const [name, keys] = [parseServerName(own(content, 'via')), own(content, 'public_keys')]
  const text = isObject(keys) ? own(keys, 'ed25519') : undefined
  const publicKey = typeof text === 'string' ? decodeBase64(text) : undefined
  if (!name || typeof text !== 'string' || !isJoined(name)) return undefined
  return { name, publicKey: publicKey?.length === 32 ? publicKey : undefined }
}

/** "Those events are by default recommended for inclusion." */
export function needsNoPolicy({ type, state_key }: Pick<Pdu, 'type' | 'state_key'>): boolean {
  return type === 'm.room.policy' && state_key === ''
}

/** Whether the policy server has signed the event. */
export function isRecommended(rules: RoomVersionRules, pdu: Pdu, { name, publicKey }: PolicyServer, crypto: Crypto) {
  return publicKey !== undefined && verifyEventSignature(rules, pdu.json, name, policyKeyId, publicKey, crypto)
}
