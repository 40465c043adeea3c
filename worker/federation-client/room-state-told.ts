/**
 * The state of a room that comes with an invite or a knock: full events since Matrix v1.16, to be checked from room version
 * 12 on.
 *
 * Spec: server-server-api/#put_matrixfederationv2inviteroomideventid, #put_matrixfederationv1send_knockroomideventid. A room
 * ID of version 12 is the hash of the create event, which proves that one whoever can be asked for keys. Of others a server
 * whose keys cannot be had may be gone for good: then its event is left out, rather than the invite refused.
 */
import type { Pdu } from '#protocol/events/pdu.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import { isObject, type JsonObject } from '#protocol/json/json.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'

import { stripForeign } from '../../durable-objects/room/client-event.ts'
import { strippedForeign } from '../../durable-objects/room/stripped-state.ts'
import type { Env } from '../env.ts'
import { nodeCrypto } from '../node-crypto.ts'
import { keyRing } from './key-ring.ts'
import { verifyPdus } from './verify-pdus.ts'

/** Events that such a state may have. */
const maxEvents = 64

export interface ToldState {
  /** What clients may be shown of it. */
  readonly stripped: JsonObject[]
  /** What is wrong with the rest, if anything is. */
  readonly fault: string | undefined
}

/** Looks through the state that another server told of a room. */
export async function checkToldState(
  env: Env,
  { roomId, rules }: { readonly roomId: RoomId; readonly rules: RoomVersionRules },
  state: unknown,
): Promise<ToldState> {
  const told: readonly unknown[] = Array.isArray(state) ? state : []
  // "Which servers MAY apply to room versions 1 through 11 and SHOULD apply to all other room versions."
  if (!rules.roomIdIsCreateHash) return { stripped: strippedForeign(told), fault: undefined }
  const events = told.slice(0, maxEvents)
  const verified = await verifyPdus(rules, events, { keys: keyRing(env), crypto: nodeCrypto, now: Date.now() })
  let fault = told.length > maxEvents ? `the state has more than ${maxEvents} events` : undefined
  const kept: Pdu[] = []
  for (const result of verified) {
    const pdu = result.ok ? result.pdu : result.unverifiable
    if (!pdu) fault ??= `an event of the state is refused: ${result.ok ? '' : result.message}`
    else if (pdu.room_id !== roomId) fault ??= 'an event of the state is of another room'
    else if (result.ok || isCreate(pdu)) kept.push(pdu)
  }
  if (!kept.some(isCreate)) fault ??= 'the create event is missing'
  return { stripped: kept.map((pdu) => stripForeign(pdu.json)).filter(isObject), fault }
}

function isCreate({ type, state_key }: Pdu): boolean {
  return type === 'm.room.create' && state_key === ''
}
