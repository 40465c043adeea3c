/**
 * The first half of joining, leaving or knocking over another server: its template, and the event we make of it.
 *
 * Spec: server-server-api/#joining-rooms. The template is not believed further than it must be (CVE-2026-24471): taken from
 * it are the room version, where the event goes in the DAG, and who vouches for a restricted join. Everything else is ours,
 * and nothing but what we built is signed.
 */
import { fail, type Failure, type Outcome } from '#protocol/errors.ts'
import { buildEvent } from '#protocol/events/build-event.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import { parseEventId, type EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { parseUserId, type UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, own, type JsonObject, type JsonValue } from '#protocol/json/json.ts'
import { roomVersions, rulesOf, unstableRoomVersions, type RoomVersionRules } from '#protocol/room-versions/rules.ts'

import type { Env } from '../../../worker/env.ts'
import { signedFetch, type FederationFailure } from '../../../worker/federation-client/signed-fetch.ts'
import type { ServerIdentity } from '../../../worker/server-identity.ts'

export interface Handshake {
  readonly server: ServerName
  readonly roomId: RoomId
  readonly user: UserId
  readonly membership: 'join' | 'leave' | 'knock'
  /** Of the membership event, without `membership`. */
  readonly content: JsonObject
}

export type Prepared = Outcome<{ rules: RoomVersionRules; pdu: Pdu }>

/** Asks for the template and builds the event. */
export async function prepareMembership(env: Env, identity: ServerIdentity, handshake: Handshake): Promise<Prepared> {
  const { server, roomId, user, membership } = handshake
  const versions = [...roomVersions, ...unstableRoomVersions].map((version) => `ver=${version}`).join('&')
  const place = `${encodeURIComponent(roomId)}/${encodeURIComponent(user)}`
  const path = `/_matrix/federation/v1/make_${membership}/${place}${membership === 'leave' ? '' : `?${versions}`}`
  const answer = await signedFetch(env, { destination: server, method: 'GET', path, timeoutMs: 20_000 })
  if (!answer.ok) return remoteFailure(answer)
  const version = own(answer.json, 'room_version') ?? '1'
  const rules = rulesOf(version)
  if (!rules) return incompatible('This server does not support the version of that room', version)
  const template = own(answer.json, 'event')
  if (!isObject(template)) return fail('bad_gateway', `${server} sent no template`)
  return buildFromTemplate(identity, handshake, rules, template)
}

/** Our event, at the template's place in the DAG. */
export function buildFromTemplate(
  { serverName, key, crypto }: ServerIdentity,
  { server, roomId, user, membership, content }: Handshake,
  rules: RoomVersionRules,
  template: JsonObject,
): Prepared {
  const theirs = own(template, 'content')
  const authoriser = isObject(theirs) ? parseUserId(own(theirs, 'join_authorised_via_users_server')) : undefined
  const depth = own(template, 'depth')
  const prevDepth = typeof depth === 'number' && Number.isSafeInteger(depth) && depth > 0 ? depth - 1 : 0
  const vouched = membership === 'join' && rules.restrictedJoins && authoriser !== undefined
  const built = buildEvent(
    {
      rules,
      roomId,
      type: 'm.room.member',
      stateKey: user,
      sender: user,
      content: { ...content, membership, ...(vouched ? { join_authorised_via_users_server: authoriser } : {}) },
      prevEvents: idsIn(own(template, 'prev_events')).map((event_id) => ({ event_id, depth: prevDepth })),
      authEvents: idsIn(own(template, 'auth_events')),
      originServerTs: Date.now(),
    },
    serverName,
    key,
    crypto,
  )
  return built.ok
    ? { ok: true, rules, pdu: built.pdu }
    : fail('bad_gateway', `the template of ${server} is no good: ${built.message}`)
}

/** What the client is told when another server refused or could not be reached. */
export function remoteFailure(failure: FederationFailure): Failure {
  if (failure.kind !== 'http') return fail('bad_gateway', `The other server could not be reached: ${failure.message}`)
  if (failure.status === 403) return fail('forbidden', failure.message)
  if (failure.errcode === 'M_UNABLE_TO_AUTHORISE_JOIN') return fail('unable_to_authorise_join', failure.message)
  if (failure.errcode === 'M_INCOMPATIBLE_ROOM_VERSION') return incompatible(failure.message, failure.roomVersion)
  if (failure.status === 404) return fail('unknown_room', failure.message)
  return fail('bad_gateway', failure.message)
}

/** "The client attempted to join a room that has a version the server does not support." */
function incompatible(message: string, version: unknown): Failure {
  const failure = fail('incompatible_room_version', message)
  return typeof version === 'string' ? { ...failure, roomVersion: version } : failure
}

/** Event IDs, alone or with their hashes as room versions 1 and 2 have them. */
function idsIn(value: JsonValue | undefined): EventId[] {
  return (Array.isArray(value) ? value : []).flatMap((entry: JsonValue) => {
    const id = Array.isArray(entry) ? entry[0] : entry
    return parseEventId(id) ?? []
  })
}
