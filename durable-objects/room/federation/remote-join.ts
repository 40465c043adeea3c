/**
 * Joining a room over a server that is in it.
 *
 * Spec: server-server-api/#joining-rooms. Template → our event → the room's state and auth chain, streamed and verified →
 * judged in order of authorisation → one turn in which the room comes to life. The first time a room is joined its members may
 * be left out of that (partial-state.ts); complete-join.ts fetches them afterwards. Until that turn nobody sees anything of it,
 * and when it does not come, a room that was unknown before leaves nothing behind.
 */
import { fail, type Failure, type Outcome } from '#protocol/errors.ts'
import { parsePdu } from '#protocol/events/event-format.ts'
import { roomVersionOf } from '#protocol/events/fields.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import { type StateMapKey, stateMapKey } from '#protocol/events/state-map.ts'
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
import type { Nid, StoredEvent } from '../stored-event.ts'
import { groupOfPlaces } from './explicit-state.ts'
import { FederationRequests } from './federation-requests.ts'
import { prepareMembership, remoteFailure } from './handshake.ts'
import { readJoinAnswer } from './join-answer.ts'
import { JoinSpool, type StatePlace } from './join-spool.ts'
import { storeOutliers } from './outliers.ts'
import { changeVersion } from './outside.ts'
import { missingPrevEvents, receiveOutlier, receivePdu } from './receive-pdu.ts'

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
  /** Called in the turn in which the room came to life without all of its members. */
  readonly incomplete: () => void
  /** Called in the turn in which the room came to life. */
  readonly stored: (changedMembers: readonly UserId[]) => void
}

/** Servers tried for one join. */
const maxServers = 6
/** Milliseconds until an answer has to be there, all of it. */
const longestAnswer = 600_000
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
  omitsMembers = mayLackMembers(room),
): Promise<Outcome<{ event_id: EventId }>> {
  const { roomId, user, content } = join
  const handshake = { server, roomId, user, membership: 'join', content } as const
  const prepared = await prepareMembership(deps.env, deps.identity, handshake)
  if (!prepared.ok) return prepared
  const { rules, pdu } = prepared
  const place = `${encodeURIComponent(roomId)}/${encodeURIComponent(pdu.event_id)}`
  const path = `/_matrix/federation/v2/send_join/${place}${omitsMembers ? '?omit_members=true' : ''}`
  const ended = new AbortController()
  const timer = setTimeout(() => ended.abort(), longestAnswer)
  try {
    const request = { destination: server, method: 'PUT', path, body: pdu.json, signal: ended.signal } as const
    const sent = await signedStream(deps.env, request)
    if (!sent.ok) return remoteFailure(sent)
    const wasKnown = room.reader.isKnown()
    if (!wasKnown) room.transactor.beginRoom(roomId, rules)
    const joined = await enter(room, deps, { rules, pdu, roomId, server, body: sent.response.body })
    if (!joined.ok && !wasKnown) await deps.forgetRoom()
    // A server may not be good at leaving things out: the whole answer it has given all along.
    if (!joined.ok && joined.reason === 'bad_gateway' && omitsMembers) return joinOver(room, deps, join, server, false)
    if (joined.ok) await addKnownRoom(deps.env, roomId)
    return joined
  } finally {
    clearTimeout(timer)
  }
}

/** What is known of a room from an earlier stay is worth more than to be overwritten by an incomplete state. */
function mayLackMembers({ reader }: Room): boolean {
  return !reader.isKnown() || reader.header().currentGroup === undefined || reader.partial.isOpen
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
  const isOther = rules !== reader.rules
  // A room that somebody here was in is of the version that it was.
  if (!body || (isOther && reader.header().currentGroup !== undefined)) {
    return fail('bad_gateway', `${server} does not agree about the room`)
  }
  const spool = new JoinSpool(reader.sql, rules)
  try {
    const requests = new FederationRequests(deps.env, { roomId, rules })
    const answer = await readJoinAnswer(spool, requests, body)
    if (!answer) return fail('bad_gateway', `the answer of ${server} broke off`)
    if (isOther) correctVersion(room, deps, rules)
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
    if (answer.servers) await fetchCited(room, requests, server, join)
    const told = { state: spool.state(), server, servers: answer.servers }
    return reader.partial.isOpen ? joinMore(room, deps, join, told) : comeToLife(room, deps, join, told)
  } finally {
    if (reader.isKnown()) spool.end()
  }
}

/** Whoever invited into the room said that it is of another version, and was wrong: such an invite is none. */
function correctVersion(room: Room, deps: JoinDeps, rules: RoomVersionRules): void {
  room.transactor.turn(() => {
    deps.stored(changeVersion(room, rules))
    return { ok: true }
  })
}

/** Without the members, the answer may lack some that the join itself cites: whoever vouches for it, or kicked the user once. */
async function fetchCited(room: Room, requests: FederationRequests, server: ServerName, join: Pdu): Promise<void> {
  if (join.auth_events.every((id) => room.reader.nidOf(id) !== undefined)) return
  storeOutliers(room, (await requests.eventAuth(server, join.event_id)) ?? [])
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

/** What the other server said of the room. */
interface Told {
  readonly state: readonly StatePlace[]
  readonly server: ServerName
  /** In the room, where members were left out of the state. */
  readonly servers: readonly ServerName[] | undefined
}

/** One turn: the told state becomes the current one, and the join its end. */
function comeToLife(
  room: Room,
  deps: JoinDeps,
  join: Pdu,
  { state, server, servers }: Told,
): Outcome<{ event_id: EventId }> {
  const { reader, transactor } = room
  return transactor.turn((): Outcome<{ event_id: EventId }> => {
    const create = createOf(room, state)
    if (!create) return fail('bad_gateway', 'The state of the room has not one create event of its version')
    if (servers) reader.partial.begin(reader.header().pos + 1)
    const group = groupOfPlaces(room, placesOf(state))
    const changed = changeCurrentState(room, reader.header().currentGroup, group, create)
    transactor.setHeader({ extremities: [], currentGroup: group })
    const received = receivePdu(room, join, group)
    if (received.kind !== 'stored' || received.outcome !== 'accepted') {
      const why = received.kind === 'stored' ? received.message : 'its auth events are not there'
      return fail('bad_gateway', `The room does not allow the join: ${why}`)
    }
    if (servers) noteIncomplete(room, deps, join, server, servers)
    deps.passedOn()
    deps.stored([...new Set([...changed, ...received.changedMembers])])
    return { ok: true, event_id: join.event_id }
  })
}

/** One more join, or the same user's once more, while that of the first is not complete: what is here stays. */
function joinMore(
  room: Room,
  deps: JoinDeps,
  join: Pdu,
  { state, server, servers }: Told,
): Outcome<{ event_id: EventId }> {
  return room.transactor.turn((): Outcome<{ event_id: EventId }> => {
    const hasPlace = missingPrevEvents(room, join).length === 0
    if (!hasPlace && !createOf(room, state)) {
      return fail('bad_gateway', 'The state of the room has not one create event of its version')
    }
    const received = receivePdu(room, join, hasPlace ? undefined : groupOfPlaces(room, placesOf(state)))
    if (received.kind === 'waiting') return fail('bad_gateway', 'The auth events of the join are not there')
    if (received.kind === 'stored') {
      if (received.outcome !== 'accepted') return fail('forbidden', `The room does not allow it: ${received.message}`)
      if (!hasPlace && servers) noteIncomplete(room, deps, join, server, servers)
      deps.incomplete()
      deps.passedOn()
      deps.stored(received.changedMembers)
    }
    return { ok: true, event_id: join.event_id }
  })
}

function noteIncomplete(
  { reader }: Room,
  deps: JoinDeps,
  join: Pdu,
  server: ServerName,
  servers: readonly ServerName[],
): void {
  const nid = reader.nidOf(join.event_id)
  if (nid === undefined) throw new Error('the join was not stored')
  reader.partial.addJoin({ nid, server, servers: [...new Set([server, ...servers])] })
  deps.incomplete()
}

/**
 * The room's create event; undefined where there is not one of the room's version. Before version 12 a room's first server
 * can make a second one; which of them is the room is not ours to guess.
 */
export function createOf({ reader }: Room, state: readonly StatePlace[]): StoredEvent | undefined {
  const creates = state.filter(({ type }) => type === 'm.room.create')
  const create = creates[0] && reader.eventOf(creates[0].nid)
  const isRight = creates.length === 1 && create && (roomVersionOf(create.pdu) ?? '1') === reader.rules.version
  return isRight ? create : undefined
}

export function placesOf(state: readonly StatePlace[]): Map<StateMapKey, Nid> {
  return new Map(state.map(({ type, stateKey, nid }) => [stateMapKey(type, stateKey), nid]))
}
