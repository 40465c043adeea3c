/**
 * Joining a room over a server that is in it.
 *
 * Spec: server-server-api/#joining-rooms. Template → our event → the room's state and auth chain, streamed and verified →
 * judged in order of authorisation → one turn in which the room comes to life. Until that turn nobody sees anything of it,
 * and when it does not come, a room that was unknown before leaves nothing behind.
 */
import { fail, type Failure, type Outcome } from '#protocol/errors.ts'
import { parsePdu } from '#protocol/events/event-format.ts'
import { roomVersionOf } from '#protocol/events/fields.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import { stateMapKey } from '#protocol/events/state-map.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'
import { verifyEventSignature } from '#protocol/signing/event-signatures.ts'

import { addKnownRoom } from '../../../worker/accounts/known-rooms.ts'
import type { Env } from '../../../worker/env.ts'
import { signedStream } from '../../../worker/federation-client/signed-fetch.ts'
import type { ServerIdentity } from '../../../worker/server-identity.ts'
import { changeCurrentState } from '../current-state.ts'
import type { Room } from '../room.ts'
import { sameJson } from '../same-json.ts'
import { groupOfPlaces } from './explicit-state.ts'
import { FederationRequests } from './federation-requests.ts'
import { prepareMembership, remoteFailure } from './handshake.ts'
import { readJoinAnswer } from './join-answer.ts'
import { JoinSpool, type StatePlace } from './join-spool.ts'
import { receiveOutlier, receivePdu } from './receive-pdu.ts'

export interface RemoteJoin {
  readonly roomId: RoomId
  readonly user: UserId
  /** Servers to join over, best first. */
  readonly servers: readonly ServerName[]
  /** Of the membership event, without `membership`: profile, reason, what the client gave. */
  readonly content: JsonObject
}

export interface JoinDeps {
  readonly env: Env
  readonly identity: ServerIdentity
  /** Empties the object. */
  readonly forgetRoom: () => Promise<void>
  /** Called before `stored` when the server joined over passes the event on to all others. */
  readonly passedOn: () => void
  /** Called in the turn in which the room came to life. */
  readonly stored: (changedMembers: readonly UserId[]) => void
}

/** Servers tried for one join. */
const maxServers = 6
/** Events judged in one turn. */
const slice = 1_000

export async function joinRemote(
  room: Room,
  deps: JoinDeps,
  join: RemoteJoin,
): Promise<Outcome<{ event_id: EventId }>> {
  const servers = join.servers.filter((server) => server !== room.serverName).slice(0, maxServers)
  let failure: Failure = fail('no_server', 'No server is known that is in that room')
  for (const server of servers) {
    const joined = await joinOver(room, deps, join, server)
    if (joined.ok) return joined
    // A refusal is the room's word; anything else may be the server's trouble, but does not overrule a refusal.
    if (failure.reason !== 'forbidden') failure = joined
  }
  return failure
}

async function joinOver(
  room: Room,
  deps: JoinDeps,
  join: RemoteJoin,
  server: ServerName,
): Promise<Outcome<{ event_id: EventId }>> {
  const { roomId, user, content } = join
  const handshake = { server, roomId, user, membership: 'join', content } as const
  const prepared = await prepareMembership(deps.env, deps.identity, handshake)
  if (!prepared.ok) return prepared
  const { rules, pdu } = prepared
  const path = `/_matrix/federation/v2/send_join/${encodeURIComponent(roomId)}/${encodeURIComponent(pdu.event_id)}`
  const sent = await signedStream(deps.env, {
    destination: server,
    method: 'PUT',
    path,
    body: pdu.json,
    timeoutMs: 600_000,
  })
  if (!sent.ok) return remoteFailure(sent)
  const wasKnown = room.reader.isKnown()
  if (!wasKnown) room.transactor.beginRoom(roomId, rules)
  const joined = await enter(room, deps, { rules, pdu, roomId, server, body: sent.response.body })
  if (!joined.ok && !wasKnown) await deps.forgetRoom()
  if (joined.ok) await addKnownRoom(deps.env, roomId)
  return joined
}

interface Entry {
  readonly rules: RoomVersionRules
  readonly pdu: Pdu
  readonly roomId: RoomId
  readonly server: ServerName
  readonly body: ReadableStream<Uint8Array> | null
}

async function enter(
  room: Room,
  deps: JoinDeps,
  { rules, pdu, roomId, server, body }: Entry,
): Promise<Outcome<{ event_id: EventId }>> {
  const { reader } = room
  if (!body || rules !== reader.rules) return fail('bad_gateway', `${server} does not agree about the room`)
  const spool = new JoinSpool(reader.sql, rules)
  try {
    const answer = await readJoinAnswer(spool, new FederationRequests(deps.env, { roomId, rules }), body)
    if (!answer) return fail('bad_gateway', `the answer of ${server} broke off`)
    const ordered = spool.inAuthOrder(roomId)
    for (let at = 0; at < ordered.length; at += slice) {
      room.transactor.turn(() => {
        for (const event of spool.read(ordered.slice(at, at + slice))) receiveOutlier(room, event)
        return { ok: true }
      })
      // Others get a word in: a large room takes a while.
      await new Promise((resolve) => setTimeout(resolve, 0))
    }
    const join = ourJoin(deps.identity, rules, pdu, answer.event)
    return comeToLife(room, deps, join, spool.state())
  } finally {
    if (reader.isKnown()) spool.end()
  }
}

/** The join as the resident server answers it carries its signature; what else it changed is not ours any more. */
function ourJoin(
  { serverName, key, crypto }: ServerIdentity,
  rules: RoomVersionRules,
  sent: Pdu,
  answered: JsonObject | undefined,
): Pdu {
  const parsed = parsePdu(rules, answered, crypto)
  if (!parsed.ok || parsed.pdu.event_id !== sent.event_id) return sent
  const isOurs = verifyEventSignature(rules, parsed.pdu.json, serverName, key.keyId, key.publicKey, crypto)
  // The reference hash leaves out what a redaction takes away: the content must be ours as well.
  return isOurs && sameJson(parsed.pdu.content, sent.content) ? parsed.pdu : sent
}

/** One turn: the told state becomes the current one, and the join its end. */
function comeToLife(
  room: Room,
  deps: JoinDeps,
  join: Pdu,
  state: readonly StatePlace[],
): Outcome<{ event_id: EventId }> {
  const { reader, transactor } = room
  return transactor.turn((): Outcome<{ event_id: EventId }> => {
    const creates = state.filter(({ type }) => type === 'm.room.create')
    const create = creates[0] && reader.eventOf(creates[0].nid)
    // Before version 12 a room's first server can make a second one; which of them is the room is not ours to guess.
    if (!create || creates.length > 1 || (roomVersionOf(create.pdu) ?? '1') !== reader.rules.version) {
      return fail('bad_gateway', 'The state of the room has not one create event of its version')
    }
    const places = state.map(({ type, stateKey, nid }) => [stateMapKey(type, stateKey), nid] as const)
    const group = groupOfPlaces(room, new Map(places))
    const changed = changeCurrentState(room, reader.header().currentGroup, group, create)
    transactor.setHeader({ extremities: [], currentGroup: group })
    const received = receivePdu(room, join, group)
    if (received.kind !== 'stored' || received.outcome !== 'accepted') {
      const why = received.kind === 'stored' ? received.message : 'its auth events are not there'
      return fail('bad_gateway', `The room does not allow the join: ${why}`)
    }
    deps.passedOn()
    deps.stored([...new Set([...changed, ...received.changedMembers])])
    return { ok: true, event_id: join.event_id }
  })
}
