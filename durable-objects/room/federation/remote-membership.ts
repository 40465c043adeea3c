/**
 * Memberships of local users that another server has to bring about: in rooms this server is not in, joins that only another
 * server may let through, and invites of its users.
 *
 * Spec: server-server-api/#joining-rooms, #knocking-rooms, #leaving-rooms-rejecting-invites, #inviting-to-a-room.
 */
import { fail, type Failure, type Outcome } from '#protocol/errors.ts'
import { buildEvent } from '#protocol/events/build-event.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { serverNameOf } from '#protocol/identifiers/user-id.ts'
import { isObject, own, type JsonObject, type JsonValue } from '#protocol/json/json.ts'

import { checkToldState } from '../../../worker/federation-client/room-state-told.ts'
import { signedFetch, signedStream } from '../../../worker/federation-client/signed-fetch.ts'
import { contentOf, type MembershipRequest } from '../membership.ts'
import type { Room } from '../room.ts'
import { withPolicySignatures } from './ask-policy-server.ts'
import { FederationRequests } from './federation-requests.ts'
import { type Handshake, prepareMembership, remoteFailure } from './handshake.ts'
import { takeApart, usualLimits } from './join-answer.ts'
import { inviterOf, noteOutsideMembership } from './outside.ts'
import { receivePdu } from './receive-pdu.ts'
import { inviteRemote } from './remote-invite.ts'
import { joinRemote, type JoinDeps } from './remote-join.ts'

type Sent = Outcome<{ event_id: EventId }>

/** Milliseconds until an answer has to be there, all of it. */
const longestAnswer = 120_000
/** Servers tried for one leave or knock. */
const maxServers = 4

/** What needs another server; undefined where the room can do it alone. */
export function remoteStepOf(
  room: Room,
  { sender, target, membership }: MembershipRequest,
): 'join' | 'knock' | 'leave' | 'invite' | undefined {
  const { reader } = room
  const isResident = reader.isKnown() && reader.isResident()
  if (membership === 'invite') return isResident && !reader.isLocal(target) ? 'invite' : undefined
  if (sender !== target) return undefined
  // Whether one more may come in, only those know who know all members.
  if (isResident && reader.partial.isOpen && membership === 'join' && reader.membership(target) !== 'join')
    return 'join'
  if (isResident) return undefined
  if (membership === 'join' || membership === 'knock') return membership
  const outside = reader.isKnown() ? reader.outsideMembership(target)?.membership : undefined
  return membership === 'leave' && (outside === 'invite' || outside === 'knock') ? 'leave' : undefined
}

export interface RemoteMembership {
  readonly roomId: RoomId
  readonly request: MembershipRequest
  /** Servers that may be in the room, best first. */
  readonly servers: readonly ServerName[]
}

/** Brings the membership about over other servers. */
export async function setRemoteMembership(
  room: Room,
  deps: JoinDeps,
  step: 'join' | 'knock' | 'leave' | 'invite',
  { roomId, request, servers }: RemoteMembership,
): Promise<Sent> {
  const { sender, target } = request
  const { membership: _, ...content } = contentOf(request)
  const inviter = inviterOf(room, target)
  // Where a join is not complete yet, the server that it went over knows all members.
  const { partial } = room.reader
  const joinedOver = room.reader.isKnown() && partial.isOpen ? partial.joins().map(({ server }) => server) : []
  const candidates = [...new Set([...(inviter ? [serverNameOf(inviter)] : []), ...joinedOver, ...servers])]
  switch (step) {
    case 'invite': {
      const draft = {
        type: 'm.room.member',
        stateKey: target,
        sender,
        content: contentOf(request),
        originServerTs: Date.now(),
      }
      return inviteRemote(room, deps, draft, target)
    }
    case 'join':
      return joinRemote(room, deps, { roomId, user: target, servers: candidates, content })
    case 'knock':
      return overOne(candidates, room, (server) =>
        knockOver(room, deps, { server, roomId, user: target, membership: 'knock', content }),
      )
    case 'leave': {
      const left = await overOne(candidates, room, (server) =>
        leaveOver(room, deps, { server, roomId, user: target, membership: 'leave', content }),
      )
      // "If the server cannot be reached, the invite is still gone for its user."
      return left.ok ? left : leaveAlone(room, deps, { roomId, request, servers })
    }
  }
}

/**
 * A join that no local member may let through: another server in the room has one who may. The room is here already, so
 * only the event is taken from the answer, and judged like any other.
 */
export async function joinByTheirWord(
  room: Room,
  deps: JoinDeps,
  { roomId, request }: Omit<RemoteMembership, 'servers'>,
): Promise<Sent> {
  const { membership: _, ...content } = contentOf(request)
  const user = request.target
  return overOne([...room.reader.serversIn()], room, async (server) => {
    const prepared = await prepareMembership(deps.env, deps.identity, {
      server,
      roomId,
      user,
      membership: 'join',
      content,
    })
    if (!prepared.ok) return prepared
    const answer = await sendJoinForEvent(deps, server, roomId, prepared.pdu)
    if (!answer.ok) return answer
    const requests = new FederationRequests(deps.env, room.reader.header())
    const [verified] = await requests.verified([answer.event ?? prepared.pdu.json])
    if (verified?.event_id !== prepared.pdu.event_id) return fail('bad_gateway', `${server} did not sign the join`)
    const [endorsed = verified] = await withPolicySignatures(room, deps.env, [verified])
    return room.transactor.turn((): Sent => {
      const received = receivePdu(room, endorsed)
      if (received.kind === 'waiting')
        return fail('bad_gateway', 'The join builds on what this server does not have yet')
      if (received.kind === 'stored') {
        if (received.outcome !== 'accepted') return fail('event_not_allowed', received.message)
        deps.passedOn()
        deps.stored(received.changedMembers)
      }
      return { ok: true, event_id: verified.event_id }
    })
  })
}

async function overOne(
  servers: readonly ServerName[],
  room: Room,
  attempt: (server: ServerName) => Promise<Sent>,
): Promise<Sent> {
  let failure: Failure = fail('no_server', 'No server is known that is in that room')
  for (const server of servers.filter((name) => name !== room.serverName).slice(0, maxServers)) {
    const done = await attempt(server)
    if (done.ok) return done
    if (failure.reason !== 'forbidden') failure = done
  }
  return failure
}

async function knockOver(room: Room, deps: JoinDeps, handshake: Handshake): Promise<Sent> {
  const prepared = await prepareMembership(deps.env, deps.identity, handshake)
  if (!prepared.ok) return prepared
  const { rules, pdu } = prepared
  if (!rules.knocking) return fail('forbidden', 'Nobody can knock on a room of that version')
  const answer = await send(deps, handshake.server, 'v1/send_knock', handshake.roomId, pdu)
  if (!answer.ok) return answer
  const change = {
    roomId: handshake.roomId,
    version: rules.version,
    event_id: pdu.event_id,
    json: pdu.json,
    membership: 'knock',
  } as const
  // "Entries which are improperly signed or formatted SHOULD be removed."
  const { stripped } = await checkToldState(deps.env, { ...handshake, rules }, own(answer.json, 'knock_room_state'))
  const noted = noteOutsideMembership(room, { ...change, stripped }, deps.stored)
  return noted.ok ? { ok: true, event_id: pdu.event_id } : noted
}

async function leaveOver(room: Room, deps: JoinDeps, handshake: Handshake): Promise<Sent> {
  const prepared = await prepareMembership(deps.env, deps.identity, handshake)
  if (!prepared.ok) return prepared
  const { rules, pdu } = prepared
  const answer = await send(deps, handshake.server, 'v2/send_leave', handshake.roomId, pdu)
  if (!answer.ok) return answer
  const change = {
    roomId: handshake.roomId,
    version: rules.version,
    event_id: pdu.event_id,
    json: pdu.json,
    membership: 'leave',
    stripped: [],
  } as const
  const noted = noteOutsideMembership(room, change, deps.stored)
  return noted.ok ? { ok: true, event_id: pdu.event_id } : noted
}

/** Nobody else knows of this leave, but the user is rid of the invite. */
function leaveAlone(room: Room, { identity, stored }: JoinDeps, { roomId, request }: RemoteMembership): Sent {
  const { reader } = room
  const outside = reader.outsideMembership(request.target)
  if (!outside) return fail('not_in_room')
  const invite = reader.eventOf(outside.eventNid)
  const draft = {
    rules: reader.rules,
    roomId,
    type: 'm.room.member',
    stateKey: request.target,
    sender: request.target,
    content: contentOf(request),
    prevEvents: [invite],
    authEvents: [],
    originServerTs: Date.now(),
  }
  const built = buildEvent(draft, identity.serverName, identity.key, identity.crypto)
  if (!built.ok) return fail('bad_json', built.message)
  const { event_id, json } = built.pdu
  const change = { roomId, version: reader.rules.version, event_id, json, membership: 'leave', stripped: [] } as const
  const noted = noteOutsideMembership(room, change, stored)
  return noted.ok ? { ok: true, event_id } : noted
}

/** The join with their signature. The state that comes along, of however many events, is passed over as it comes. */
async function sendJoinForEvent(
  { env }: JoinDeps,
  destination: ServerName,
  roomId: RoomId,
  { event_id, json }: Sendable,
): Promise<Outcome<{ event: JsonObject | undefined }>> {
  const path = `${pathOf('v2/send_join', roomId, event_id)}?omit_members=true`
  const ended = new AbortController()
  const timer = setTimeout(() => ended.abort(), longestAnswer)
  try {
    const sent = await signedStream(env, { destination, method: 'PUT', path, body: json, signal: ended.signal })
    if (!sent.ok) return remoteFailure(sent)
    let event: JsonObject | undefined
    const take = (_name: string, value: JsonValue) => {
      if (isObject(value)) event = value
    }
    const { body } = sent.response
    const wanted = { lists: [], values: ['event'] }
    const isWhole = body !== null && (await takeApart(body, wanted, usualLimits, take, () => undefined))
    return isWhole ? { ok: true, event } : fail('bad_gateway', `the answer of ${destination} broke off`)
  } finally {
    clearTimeout(timer)
  }
}

interface Sendable {
  readonly event_id: EventId
  readonly json: JsonObject
}

const pathOf = (endpoint: string, roomId: RoomId, eventId: EventId) =>
  `/_matrix/federation/${endpoint}/${encodeURIComponent(roomId)}/${encodeURIComponent(eventId)}`

async function send(
  { env }: JoinDeps,
  destination: ServerName,
  endpoint: string,
  roomId: RoomId,
  { event_id, json }: Sendable,
): Promise<Outcome<{ json: JsonObject }>> {
  const path = pathOf(endpoint, roomId, event_id)
  const answer = await signedFetch(env, { destination, method: 'PUT', path, body: json })
  return answer.ok ? { ok: true, json: answer.json } : remoteFailure(answer)
}
