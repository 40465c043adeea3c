/**
 * What joins, leaves and knocks over us have in common: the template that a server asks for, and the check of the event it
 * makes of it before the room sees that.
 */
import { isObject, own, type JsonObject } from '#protocol/json/json.ts'
import { authorisingUserOf } from '#protocol/events/fields.ts'
import { parsePdu } from '#protocol/events/event-format.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'
import { rulesOf } from '#protocol/room-versions/rules.ts'
import { signEvent } from '#protocol/signing/event-signatures.ts'

import type { AcceptedMembership } from '../../durable-objects/room/federation/accept-membership.ts'
import type { Env } from '../env.ts'
import { keyRing } from '../federation-client/key-ring.ts'
import { verifyPdus } from '../federation-client/verify-pdus.ts'
import { refuseBanned } from '../policy-lists.ts'
import { refuse, Refusal, unwrap } from '../refusal.ts'
import { roomOf } from '../rooms.ts'
import { serverIdentity } from '../server-identity.ts'

export interface TemplateQuery {
  readonly origin: ServerName
  readonly roomId: RoomId
  readonly userId: UserId
  readonly membership: 'join' | 'leave' | 'knock'
  readonly versions?: readonly string[]
}

/** The template of a membership event. Refuses users of other servers than the asking one. */
export async function template(env: Env, { origin, roomId, userId, membership, versions }: TemplateQuery) {
  if (serverNameOf(userId) !== origin) return refuse('forbidden', 'That user is of another server')
  if (membership !== 'leave') await refuseBanned(env, { users: [userId], roomId })
  const memberOf = membership === 'join' ? await conditionsMet(env, roomId, userId) : []
  const request = { origin, user: userId, membership, memberOf, ...(versions && { versions }) }
  const made = await roomOf(env, roomId).makeTemplate(request)
  if (!made.ok && made.reason === 'incompatible_room_version') {
    // The error names the version, so that the other side can say what it lacks.
    const version = await roomOf(env, roomId).version()
    throw new Refusal(made, version.ok ? { room_version: version.version } : {})
  }
  const { room_version, event } = unwrap(made)
  return { room_version, event }
}

/** Conditions checked for one join at most: a room's list has place for two thousand, and each is a call. */
const maxConditions = 100

/**
 * Of the rooms whose members may join, one that the user is in. Refuses with M_UNABLE_TO_AUTHORISE_JOIN where the room is
 * restricted and we are in none of those rooms ourselves.
 *
 * Spec: server-server-api/#restricted-rooms
 */
export async function conditionsMet(env: Env, roomId: RoomId, user: UserId): Promise<RoomId[]> {
  const requirements = await roomOf(env, roomId).joinRequirements({ user })
  if (!requirements.ok || requirements.allowedRooms === null) return []
  let checkable = false
  for (const allowed of [...new Set(requirements.allowedRooms)].slice(0, maxConditions)) {
    const found = await roomOf(env, allowed).residentMembership({ user })
    if (found.ok && found.membership === 'join') return [allowed]
    checkable ||= found.ok
  }
  if (!checkable && requirements.allowedRooms.length > 0) return refuse('unable_to_authorise_join')
  return []
}

export interface SentMembership {
  readonly origin: ServerName
  readonly roomId: RoomId
  readonly eventId: EventId
  readonly membership: 'join' | 'leave' | 'knock'
  readonly body: JsonObject
}

/** Lets the event into the room, with our signature where it rests on one of our users' word. */
export async function accept(env: Env, sent: SentMembership): Promise<Extract<AcceptedMembership, { ok: true }>> {
  const { origin, roomId, eventId, membership, body } = sent
  const { version } = unwrap(await roomOf(env, roomId).version())
  const rules = rulesOf(version) ?? refuse('unsupported_room_version')
  const { serverName, key, crypto } = await serverIdentity(env)
  const parsed = parsePdu(rules, body, crypto)
  if (!parsed.ok) return refuse('bad_json', parsed.message)
  if (parsed.pdu.event_id !== eventId) return refuse('invalid_param', 'The event ID in the path is another')
  if (parsed.pdu.room_id !== roomId) return refuse('invalid_param', 'The room ID in the path is another')
  if (membership !== 'leave') await refuseBanned(env, { users: [parsed.pdu.sender], roomId })
  const authoriser = rules.restrictedJoins && membership === 'join' ? authorisingUserOf(parsed.pdu) : undefined
  let event = parsed.pdu.json
  if (authoriser !== undefined && serverNameOf(authoriser) === serverName) {
    // We vouch for what we have checked just now, not for what the event says.
    const met = await conditionsMet(env, roomId, parsed.pdu.sender)
    const requirements = unwrap(await roomOf(env, roomId).joinRequirements({ user: parsed.pdu.sender }))
    if (requirements.allowedRooms !== null && met.length === 0)
      return refuse('forbidden', 'The conditions of the room are not met')
    event = signEvent(rules, withoutOurs(event, serverName), serverName, key, crypto)
    if (hashOf(event) !== hashOf(parsed.pdu.json)) return refuse('bad_json', 'The content hash of the event is wrong')
  }
  const [verified] = await verifyPdus(rules, [event], { keys: keyRing(env), crypto, now: Date.now() })
  if (!verified?.ok) return refuse('forbidden', verified?.message ?? 'The event could not be verified')
  if (verified.redacted) return refuse('bad_json', 'The content hash of the event is wrong')
  const { pdu } = verified
  return unwrap(
    await roomOf(env, roomId).acceptMembership({ origin, membership, event_id: pdu.event_id, json: pdu.json }),
  )
}

/** A signature in our name that somebody else put there proves nothing. */
function withoutOurs(event: JsonObject, serverName: ServerName): JsonObject {
  const signatures = own(event, 'signatures')
  if (!isObject(signatures)) return event
  const { [serverName]: _, ...others } = signatures
  return { ...event, signatures: others }
}

function hashOf(event: JsonObject): unknown {
  const hashes = own(event, 'hashes')
  return isObject(hashes) ? own(hashes, 'sha256') : undefined
}
