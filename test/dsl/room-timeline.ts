/**
 * Tells the story of a room: real events, built, signed and authorised one after the other, on branches that fork and
 * merge.
 *
 *     const [left, right] = timeline('12').publicChat({ creator: alice, moderator: bob }).fork()
 *     left.ban(alice, bob)
 *     right.setTopic(bob, 'mine now')
 *     left.state        // where each branch stands
 *     left.merge(right, resolve).message(alice, 'both sides are here again')
 *
 * Everything is deterministic: keys come from server names, the clock ticks a second per event. An event that the
 * authorisation rules reject is kept and flagged, does not change the state and is never a prev event.
 */
import { authEventKeys } from '#protocol/events/auth-events-selection.ts'
import { buildEvent } from '#protocol/events/build-event.ts'
import { parsePdu } from '#protocol/events/event-format.ts'
import { authorisingUserOf } from '#protocol/events/fields.ts'
import type { Lookup, Pdu, StateLookup } from '#protocol/events/pdu.ts'
import { stateMapKey } from '#protocol/events/state-map.ts'
import type { StateMap, StateMapKey } from '#protocol/events/state-map.ts'
import { checkAuthEventsOf } from '#protocol/event-auth/auth-events.ts'
import type { KnownEvent } from '#protocol/event-auth/auth-events.ts'
import { checkAuthRules } from '#protocol/event-auth/check-auth-rules.ts'
import type { Verdict } from '#protocol/event-auth/verdict.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import { serverNameOf } from '#protocol/identifiers/user-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { rulesOf } from '#protocol/room-versions/rules.ts'
import type { RoomVersion, RoomVersionRules } from '#protocol/room-versions/rules.ts'
import type { SigningKey } from '#protocol/signing/crypto.ts'
import { signEvent } from '#protocol/signing/event-signatures.ts'
import { signingKeyOf } from '#protocol/signing/keys.ts'
import type { AuthGraph } from '#protocol/state-resolution/auth-graph.ts'
import { nodeCrypto } from '../../worker/node-crypto.ts'

export const crypto = nodeCrypto

/** An event of a story and what the authorisation rules said of it. */
export interface TimelineEvent extends KnownEvent {
  readonly verdict: Verdict
}

/** What a story can say differently about an event; everything has a sensible default. */
export interface Details {
  readonly prevEvents?: readonly EventId[]
  readonly authEvents?: readonly EventId[]
  /** Milliseconds; the default is a second after the event before. */
  readonly at?: number
  readonly redacts?: EventId
  /** Signs in place of the sender's server. */
  readonly signedBy?: string
}

export interface RoomOptions {
  readonly creator: UserId
  /** Joins with level 50. */
  readonly moderator?: UserId
  /** Join with level 0. */
  readonly members?: readonly UserId[]
  /** Put over the content of `m.room.create`. */
  readonly createContent?: JsonObject
  /** Put over the content of `m.room.power_levels`. */
  readonly powerLevels?: JsonObject
}

/** Resolves the states of several branches, as `merge` needs it. */
export type Resolve = (stateSets: readonly StateMap[], room: RoomTimeline) => StateMap

/** An empty room of this version. */
export function timeline(version: RoomVersion): RoomTimeline {
  const rules = rulesOf(version)
  if (rules === undefined) throw new Error(`no room version ${version}`)
  const shared: Shared = { rules, known: new Map(), order: new Map(), roomId: undefined, clock: 1_700_000_000_000 }
  return new RoomTimeline(shared, [], [], new Map())
}

const keys = new Map<string, SigningKey>()

/** The signing key of a server: always the same for the same name. */
export function keyOf(serverName: string): SigningKey {
  let key = keys.get(serverName)
  if (key === undefined) {
    key = signingKeyOf('ed25519:1', crypto.sha256(new TextEncoder().encode(serverName)))
    keys.set(serverName, key)
  }
  return key
}

/** What all branches of a room share. */
interface Shared {
  readonly rules: RoomVersionRules
  readonly known: Map<EventId, TimelineEvent>
  readonly order: Map<EventId, number>
  roomId: RoomId | undefined
  clock: number
}

/** One branch of a room. Its methods append to it and return it. */
export class RoomTimeline {
  readonly #shared: Shared
  readonly #events: TimelineEvent[]
  #heads: EventId[]
  #state: Map<StateMapKey, EventId>

  constructor(shared: Shared, events: TimelineEvent[], heads: EventId[], state: Map<StateMapKey, EventId>) {
    this.#shared = shared
    this.#events = events
    this.#heads = heads
    this.#state = state
  }

  get rules(): RoomVersionRules {
    return this.#shared.rules
  }

  get roomId(): RoomId {
    if (this.#shared.roomId === undefined) throw new Error('the room has no create event yet')
    return this.#shared.roomId
  }

  /** The events of this branch, oldest first, rejected ones included. */
  get events(): readonly TimelineEvent[] {
    return this.#events
  }

  /** The event appended last. */
  get last(): TimelineEvent {
    const last = this.#events.at(-1)
    if (last === undefined) throw new Error('the room has no event yet')
    return last
  }

  get lastId(): EventId {
    return this.last.pdu.event_id
  }

  /** The branch's forward extremities. */
  get heads(): readonly EventId[] {
    return this.#heads
  }

  /** The state after the last event. */
  get state(): StateMap {
    return this.#state
  }

  /** Finds the events of all branches, but no rejected ones. */
  readonly lookup: Lookup = (id) => {
    const event = this.#shared.known.get(id)
    return event === undefined || event.rejected ? undefined : event.pdu
  }

  /** Finds the events of all branches and says whether they were rejected. */
  readonly lookupAny = (id: EventId): TimelineEvent | undefined => this.#shared.known.get(id)

  /** Looks into the current state of this branch. */
  readonly stateLookup: StateLookup = (type, stateKey) => {
    const id = this.#state.get(stateMapKey(type, stateKey))
    return id === undefined ? undefined : this.lookup(id)
  }

  /** The auth events of all branches' events, ordered as they came. */
  readonly graph: AuthGraph = {
    authEvents: (id) => this.#shared.known.get(id)?.pdu.auth_events ?? [],
    order: (id) => this.#shared.order.get(id) ?? -1,
  }

  /** The event that holds a place in the state; an error if there is none. */
  current(type: string, stateKey = ''): Pdu {
    const pdu = this.stateLookup(type, stateKey)
    if (pdu === undefined) throw new Error(`no ${type} ${stateKey} in the state`)
    return pdu
  }

  /** The create event and nothing else. */
  create(creator: UserId, content: JsonObject = {}): this {
    const { rules } = this
    const named = rules.creatorIsSender ? {} : { creator }
    return this.send('m.room.create', '', { room_version: rules.version, ...named, ...content }, creator)
  }

  /** A room anyone can join, in the order of the specification: creation, creator's join, power levels, join rules. */
  publicChat(options: RoomOptions): this {
    return this.#chat('public', options)
  }

  /** The same with an invite needed; the moderator and the members are invited. */
  privateChat(options: RoomOptions): this {
    return this.#chat('invite', options)
  }

  #chat(joinRule: string, { creator, moderator, members = [], createContent, powerLevels }: RoomOptions): this {
    const users = {
      ...(this.rules.privilegedCreators ? {} : { [creator]: 100 }),
      ...(moderator === undefined ? {} : { [moderator]: 50 }),
    }
    this.create(creator, createContent).join(creator)
    this.setPowerLevels(creator, { users, ...powerLevels }).setJoinRule(creator, joinRule)
    for (const member of moderator === undefined ? members : [moderator, ...members]) {
      if (joinRule === 'invite') this.invite(creator, member)
      this.join(member)
    }
    return this
  }

  join(user: UserId, content: JsonObject = {}): this {
    return this.membership(user, user, 'join', content)
  }

  leave(user: UserId): this {
    return this.membership(user, user, 'leave')
  }

  knock(user: UserId): this {
    return this.membership(user, user, 'knock')
  }

  invite(sender: UserId, target: UserId): this {
    return this.membership(sender, target, 'invite')
  }

  kick(sender: UserId, target: UserId): this {
    return this.membership(sender, target, 'leave')
  }

  unban(sender: UserId, target: UserId): this {
    return this.membership(sender, target, 'leave')
  }

  ban(sender: UserId, target: UserId): this {
    return this.membership(sender, target, 'ban')
  }

  membership(sender: UserId, target: UserId, membership: string, content: JsonObject = {}): this {
    return this.send('m.room.member', target, { ...content, membership }, sender)
  }

  setTopic(sender: UserId, topic: string): this {
    return this.send('m.room.topic', '', { topic }, sender)
  }

  setPowerLevels(sender: UserId, content: JsonObject): this {
    return this.send('m.room.power_levels', '', content, sender)
  }

  setJoinRule(sender: UserId, joinRule: string, content: JsonObject = {}): this {
    return this.send('m.room.join_rules', '', { ...content, join_rule: joinRule }, sender)
  }

  message(sender: UserId, body: string): this {
    return this.send('m.room.message', undefined, { msgtype: 'm.text', body }, sender)
  }

  /** Builds an event on top of this branch and appends it. */
  send(type: string, stateKey: string | undefined, content: JsonObject, sender: UserId, details: Details = {}): this {
    return this.append(this.draft(type, stateKey, content, sender, details))
  }

  /** Builds an event on top of this branch without appending it. */
  draft(type: string, stateKey: string | undefined, content: JsonObject, sender: UserId, details: Details = {}): Pdu {
    const { rules, roomId, known } = this.#shared
    const isCreate = type === 'm.room.create'
    const serverName = details.signedBy ?? serverNameOf(sender)
    const prevEvents = (details.prevEvents ?? (isCreate ? [] : this.#heads)).map((id) => ({
      event_id: id,
      depth: known.get(id)?.pdu.depth ?? 0,
    }))
    this.#shared.clock += 1000
    const built = buildEvent(
      {
        rules,
        roomId: roomId ?? parseRoomId(rules.roomIdIsCreateHash ? undefined : `!room:${serverName}`),
        type,
        stateKey,
        sender,
        content,
        prevEvents,
        authEvents: details.authEvents ?? this.#authEventsFor(type, stateKey, content, sender),
        originServerTs: details.at ?? this.#shared.clock,
        redacts: details.redacts,
        lookup: (id) => known.get(id)?.pdu,
      },
      serverName,
      keyOf(serverName),
      crypto,
    )
    if (!built.ok) throw new Error(`${type}: ${built.message}`)
    return this.#signedByAuthoriser(built.pdu)
  }

  /** What the authorisation rules say of an event on top of this branch. */
  judge(pdu: Pdu): Verdict {
    const byAuthEvents = checkAuthEventsOf(this.rules, pdu, this.lookupAny)
    return byAuthEvents.ok ? checkAuthRules(this.rules, pdu, this.stateLookup, crypto) : byAuthEvents
  }

  /** Takes an event into this branch: a new one, or one that another branch has; that one keeps its verdict. */
  append(pdu: Pdu): this {
    const { known, order } = this.#shared
    const event = known.get(pdu.event_id) ?? this.#judged(pdu)
    if (!known.has(pdu.event_id)) order.set(pdu.event_id, order.size)
    known.set(pdu.event_id, event)
    this.#events.push(event)
    if (event.rejected) return this
    if (pdu.type === 'm.room.create') this.#shared.roomId ??= pdu.room_id
    this.#heads = [...this.#heads.filter((id) => !pdu.prev_events.includes(id)), pdu.event_id]
    if (pdu.state_key !== undefined) this.#state.set(stateMapKey(pdu.type, pdu.state_key), pdu.event_id)
    return this
  }

  /** Two branches that go on from here without hearing of each other. */
  fork(): [RoomTimeline, RoomTimeline] {
    return [this.#copy(), this.#copy()]
  }

  /** As many branches as there are sides to the story. */
  forkInto(count: number): RoomTimeline[] {
    return Array.from({ length: count }, () => this.#copy())
  }

  /** A branch that has heard of this one and another; its next event has both their heads as prev events. */
  merge(other: RoomTimeline, resolve: Resolve): RoomTimeline {
    const merged = this.#copy()
    merged.#events.push(...other.#events.filter((event) => !this.#events.includes(event)))
    merged.#heads = [...new Set([...this.#heads, ...other.#heads])]
    merged.#state = new Map(resolve([this.#state, other.#state], merged))
    return merged
  }

  #judged(pdu: Pdu): TimelineEvent {
    const verdict = this.judge(pdu)
    return { pdu, verdict, rejected: !verdict.ok }
  }

  #copy(): RoomTimeline {
    return new RoomTimeline(this.#shared, [...this.#events], [...this.#heads], new Map(this.#state))
  }

  #authEventsFor(type: string, stateKey: string | undefined, content: JsonObject, sender: UserId): EventId[] {
    return authEventKeys(this.rules, { type, state_key: stateKey, sender, content })
      .map(([type, stateKey]) => this.#state.get(stateMapKey(type, stateKey)))
      .filter((id) => id !== undefined)
  }

  /** A restricted join also bears the signature of the server that let the user in. */
  #signedByAuthoriser(pdu: Pdu): Pdu {
    const authoriser = this.rules.restrictedJoins && pdu.type === 'm.room.member' ? authorisingUserOf(pdu) : undefined
    if (authoriser === undefined || serverNameOf(authoriser) === serverNameOf(pdu.sender)) return pdu
    const serverName = serverNameOf(authoriser)
    const signed = parsePdu(this.rules, signEvent(this.rules, pdu.json, serverName, keyOf(serverName), crypto), crypto)
    if (!signed.ok) throw new Error(signed.message)
    return signed.pdu
  }
}
