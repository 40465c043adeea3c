/**
 * Invites of our users by other servers.
 *
 * Spec: server-server-api/#inviting-to-a-room. We sign one thing only: an `m.room.member` invite of a local user, by a user of
 * the server that asks, in the room of the path (CVE-2025-68667).
 */
import { own, type JsonObject } from '#protocol/json/json.ts'
import { parsePdu } from '#protocol/events/event-format.ts'
import { membershipOf } from '#protocol/events/fields.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { parseUserId, serverNameOf } from '#protocol/identifiers/user-id.ts'
import { rulesOf, type RoomVersionRules } from '#protocol/room-versions/rules.ts'
import { signEvent } from '#protocol/signing/event-signatures.ts'
import * as v from 'valibot'

import { userExists } from '../accounts/users.ts'
import type { Env } from '../env.ts'
import { keyRing } from '../federation-client/key-ring.ts'
import { checkToldState } from '../federation-client/room-state-told.ts'
import { verifyPdus } from '../federation-client/verify-pdus.ts'
import { inviteVerdict } from '../memberships.ts'
import { limitInvites } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { refuseBanned } from '../policy-lists.ts'
import { refuse, unwrap } from '../refusal.ts'
import { roomOf } from '../rooms.ts'
import { serverIdentity } from '../server-identity.ts'
import { settingsOf } from '../settings.ts'
import { jsonObject } from './bodies.ts'

/** Spec: server-server-api/#put_matrixfederationv2inviteroomideventid */
export const sendInviteV2 = operation(
  'PUT /_matrix/federation/v2/invite/:roomId/:eventId',
  {
    id: 'sendInviteV2',
    auth: 'server',
    body: v.looseObject({
      room_version: v.string(),
      event: jsonObject,
      // Judged where the room version is known: what is malformed is refused in the specification's words.
      invite_room_state: v.optional(v.array(v.unknown()), []),
    }),
  },
  async ({ env, path, body, requester: { origin } }) => {
    const { room_version: version, event, invite_room_state: state } = body
    return { event: await takeInvite(env, { origin, ...path, version, event, state }) }
  },
)

/** The older form, for room versions 1 and 2. Spec: server-server-api/#put_matrixfederationv1inviteroomideventid */
export const sendInviteV1 = operation(
  'PUT /_matrix/federation/v1/invite/:roomId/:eventId',
  { id: 'sendInviteV1', auth: 'server', body: jsonObject },
  async ({ env, path, body, requester: { origin } }) => {
    const unsigned = own(body, 'unsigned')
    const state = typeof unsigned === 'object' && unsigned !== null && !Array.isArray(unsigned) ? stateIn(unsigned) : []
    return [200, { event: await takeInvite(env, { origin, ...path, version: '1', event: body, state }) }]
  },
)

function stateIn(unsigned: object): unknown {
  return 'invite_room_state' in unsigned && Array.isArray(unsigned.invite_room_state) ? unsigned.invite_room_state : []
}

interface Invite {
  readonly origin: ServerName
  readonly roomId: RoomId
  readonly eventId: EventId
  readonly version: string
  readonly event: JsonObject
  readonly state: unknown
}

/** The invite with our signature, once it is noted for the user. */
async function takeInvite(env: Env, invite: Invite): Promise<JsonObject> {
  const { origin, roomId, eventId, version, event, state } = invite
  const rules = rulesOf(version) ?? refuse('incompatible_room_version')
  const { serverName, key, crypto } = await serverIdentity(env)
  const parsed = parsePdu(rules, event, crypto)
  if (!parsed.ok) return refuse('bad_json', parsed.message)
  const [verified] = await verifyPdus(rules, [event], { keys: keyRing(env), crypto, now: Date.now() })
  if (!verified?.ok) return refuse('forbidden', verified?.message ?? 'The invite could not be verified')
  if (verified.redacted) return refuse('bad_json', 'The content hash of the invite is wrong')
  const { pdu } = verified
  if (pdu.event_id !== eventId) return refuse('invalid_param', 'The event ID in the path is another')
  if (pdu.room_id !== roomId) return refuse('invalid_param', 'The room ID in the path is another')
  const target = faultless(pdu, origin, serverName)
  limitInvites(origin, target, settingsOf(env))
  if (!(await userExists(env, target))) return refuse('not_found', 'There is no such user on this server')
  await refuseBanned(env, { users: [pdu.sender, target], roomId })
  const verdict = await inviteVerdict(env, pdu.sender, target)
  if (verdict === 'block') return refuse('invite_blocked')
  const told = await checkToldState(env, { roomId, rules }, state)
  if (told.fault !== undefined) return refuse('invalid_param', `invite_room_state: ${told.fault}`)
  const signed = signEvent(rules, pdu.json, serverName, key, crypto)
  // Ignored: the other server hears nothing of it, and neither does the user.
  return verdict === 'ignore' ? signed : note(env, rules, pdu, signed, told.stripped)
}

function faultless(pdu: Pdu, origin: ServerName, serverName: ServerName) {
  if (pdu.type !== 'm.room.member' || membershipOf(pdu) !== 'invite')
    return refuse('invalid_param', 'That is no invite')
  if (serverNameOf(pdu.sender) !== origin) return refuse('forbidden', 'The invite is by a user of another server')
  const target = parseUserId(pdu.state_key)
  if (!target || serverNameOf(target) !== serverName)
    return refuse('invalid_param', 'The invited is no user of this server')
  return target
}

async function note(
  env: Env,
  rules: RoomVersionRules,
  pdu: Pdu,
  signed: JsonObject,
  stripped: readonly JsonObject[],
): Promise<JsonObject> {
  const change = {
    roomId: pdu.room_id,
    version: rules.version,
    event_id: pdu.event_id,
    json: signed,
    membership: 'invite' as const,
    stripped,
  }
  unwrap(await roomOf(env, pdu.room_id).noteOutside({ ...change, origin: serverNameOf(pdu.sender) }))
  return signed
}
