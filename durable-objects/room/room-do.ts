/**
 * One room: its DAG, its order, its state. `idFromName(room_id)`.
 *
 * Longer than other files, since it is a room's whole contract in one place, a few lines a method.
 *
 * This class is the RPC surface and nothing else: each method hands over to the file that holds the idea. Expected
 * failures are data. What has to be read, decided and written together happens in one synchronous turn, and so does the
 * first step of telling who has to hear of it.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import { pduFromStored } from '#protocol/events/event-format.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import type { PolicyRule, PolicySubject } from '#protocol/policy-rules.ts'
import type { RoomVersion } from '#protocol/room-versions/rules.ts'
import { DurableObject } from 'cloudflare:workers'

import { remoteMemberList } from '../../worker/accounts/remote-members.ts'
import type { Env } from '../../worker/env.ts'
import { addKnownRoom } from '../../worker/accounts/known-rooms.ts'
import { silencedAmong } from '../../worker/accounts/moderation.ts'
import { federationSender } from '../../worker/federation-client/sender.ts'
import { nodeCrypto } from '../../worker/node-crypto.ts'
import { followReplacement } from '../../worker/policy-succession.ts'
import { errorResponse } from '../../worker/refusal.ts'
import { serverIdentity, type ServerIdentity } from '../../worker/server-identity.ts'
import { settingsOf } from '../../worker/settings.ts'
import { userSyncOf } from '../../worker/sync/user-sync.ts'
import { AlarmScheduler } from '../shared/alarm-scheduler.ts'
import { dumpStorage } from '../shared/dump.ts'
import { loadPortion, type Portion } from '../shared/load.ts'
import type { RoomChange } from '../user-sync/marks.ts'
import type { ListFacts } from '../user-sync/sliding/room-facts.ts'
import type { Author, Written } from './author-event.ts'
import type { ClientEvent } from './client-event.ts'
import { eraseSender } from './erasures.ts'
import { type ContextRequest, type EventContext, eventContext } from './context.ts'
import { createRoom, type CreateRequest } from './create-room.ts'
import { eventAtTime, type FoundInTime, foundInTime, type TimeRequest } from './event-at-time.ts'
import {
  type DelayedAction,
  type DelayedEvent,
  delayedOf,
  delayEvent,
  type DelayRequest,
  type FinalisedEvent,
  finalisedOf,
  nextDelayed,
  sendDueEvents,
  sendersOf,
  updateDelayed,
} from './delayed/delayed-events.ts'
import { eventById, type EventRequest } from './event-by-id.ts'
import { maySendState, type RoomFacts, roomFacts } from './facts.ts'
import { forgetRoom, joinRequirements, type MembershipRequest, setMembership } from './membership.ts'
import { type MediaPage, mediaUris } from './media-uris.ts'
import { memberChanges, type MemberChanges, type MemberChangesRequest } from './member-changes.ts'
import { joinedMembers, type JoinedMember, members, memberSlices, type MembersRequest } from './members.ts'
import { type Messages, messages, type MessagesRequest } from './messages.ts'
import { type Change, Notifier } from './notify.ts'
import { type ListedNotification, type NotificationsRequest, roomNotifications } from './notifications.ts'
import { type PushNews, pushNews, type PushNewsRequest } from './push-news.ts'
import type { Membership } from './reader.ts'
import { isAhead, type ReceiptRequest, setReceipt } from './receipts.ts'
import { redactEvent, type RedactRequest } from './redact.ts'
import { redactRelated, type RelatedRedaction } from './redact-related.ts'
import { type RelatedEvents, relatedEvents, type RelatedRequest } from './related-events.ts'
import { policyServer, takeUnendorsed } from './policy.ts'
import { listPolicyRules, policyListFacts, type PolicyListFacts, policyVerdict } from './policy-list.ts'
import { askPolicyServer, withPolicySignatures } from './federation/ask-policy-server.ts'
import { acceptMembership, type AcceptedMembership, type MembershipToAccept } from './federation/accept-membership.ts'
import {
  noteRemoteReceipts,
  noteRemoteTyping,
  type RemoteReceipts,
  type RemoteTyping,
} from './federation/remote-ephemeral.ts'
import {
  authForServer,
  backfillForServer,
  eventAtTimeForServer,
  eventForServer,
  missingForServer,
  type MissingRequest,
  stateForServer,
  stateIdsForServer,
} from './federation/serve-history.ts'
import { citedBy, joinState, streamAuthChain, streamState } from './federation/join-state.ts'
import { makeTemplate, type Template, type TemplateRequest } from './federation/templates.ts'
import { backfill, pageHasHole } from './federation/backfill.ts'
import { fetchEventAtTime } from './federation/fetch-at-time.ts'
import { type PassingEdu, receiptEdu, typingEdu } from './federation/outgoing-ephemeral.ts'
import { noteOutsideMembership, type OutsideChange } from './federation/outside.ts'
import type { JoinDeps } from './federation/remote-join.ts'
import { joinByTheirWord, remoteStepOf, setRemoteMembership } from './federation/remote-membership.ts'
import { JoinCompleter } from './federation/complete-join.ts'
import { MissingFetcher } from './federation/missing-fetcher.ts'
import { NewsForServers, pdusFor } from './federation/news-for-servers.ts'
import { RemoteMemberIndex } from './federation/remote-member-index.ts'
import { type InboundPdus, type PduResults, receivePdus } from './federation/receive-pdus.ts'
import { isServerAllowedIn } from './federation/server-access.ts'
import { restrictionOf } from './restricted-join.ts'
import { finishRemovals, hasUnfinishedRemovals } from './removals.ts'
import { Purger } from './retention/purger.ts'
import { renewRoom } from './restored.ts'
import { openRoom, type Room } from './room.ts'
import { sendEvent, type SendRequest } from './send-event.ts'
import { sentBy, type SentPage } from './sent-by.ts'
import type { Slice, SliceRequest } from './slice.ts'
import { listFacts } from './sliding/list-facts.ts'
import { slidingSlice, type SlidingSlice, type SlidingSliceRequest } from './sliding/sliding-slice.ts'
import {
  foundEvents,
  type Found,
  type FoundRequest,
  type RoomHits,
  type RoomSearch,
  searchRoom,
} from './search/search-room.ts'
import { indexOlder } from './search/search-index.ts'
import { type FoundMembers, type MemberSearch, searchMembers } from './search-members.ts'
import { type Asking, spaceRoom, type SpaceRoom } from './space-room.ts'
import { stateAtPlace, stateEvents, stateSlices } from './state.ts'
import type { GroupId, Nid } from './stored-event.ts'
import { stickyFacts } from './sticky/sticky-rows.ts'
import { type StickyPage, stickyPage, type StickyRequest } from './sticky/sticky-slice.ts'
import { listText, streamText } from './stream-text.ts'
import { syncSlice } from './sync-slice.ts'
import { threadPlace, type ThreadPlaceRequest } from './thread-place.ts'
import { type Threads, threads, type ThreadsRequest } from './thread-list.ts'
import { setTyping, type TypingRequest } from './typing.ts'

/** Times that one event is taken to the policy server: what it was made of may change meanwhile. */
const maxEndorsements = 2

/** How long a request waits for a join to be completed, and how long a page of history does; milliseconds. */
const patience = 50_000
const historyPatience = 10_000

/** How long what other servers send waits for a join that is under way, in ms. */
const entryPatience = 20_000

/** Pages of history fetched from other servers for one of ours. */
const maxBackfills = 3

/** Events that are put into the search index in one turn. */
const indexedAtOnce = 2000

type StateRequest =
  | {
      readonly stateBefore: GroupId
      readonly omitMembers: boolean
      readonly joiner: ServerName
      readonly head: JsonObject
    }
  | { readonly origin: ServerName; readonly eventId: EventId }
  | { readonly origin: ServerName; readonly authOf: EventId }
  | { readonly stateFor: UserId }
  | { readonly membersFor: MembersRequest }

/** How a room that this server is not in can be reached. */
interface Via {
  readonly roomId: RoomId
  readonly servers: readonly ServerName[]
}
type Sent = Outcome<{ event_id: EventId }>

export class RoomDO extends DurableObject<Env> {
  readonly #room: Room
  readonly #alarms: AlarmScheduler<'settle' | 'fetch' | 'index' | 'delayed' | 'complete' | 'expire' | 'remove'>
  readonly #notifier: Notifier
  readonly #servers: NewsForServers
  readonly #members: RemoteMemberIndex
  readonly #missing: MissingFetcher
  readonly #completer: JoinCompleter
  readonly #purger: Purger
  #remoteWork: Promise<unknown> = Promise.resolve()
  /** The one that was looked at. */
  #tombstone: Nid | undefined
  #remoteTurns = 0
  readonly #stored = (changedMembers: readonly UserId[]) => void this.#tell({ changedMembers })
  #typingTimer: ReturnType<typeof setTimeout> | undefined

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    const settings = settingsOf(env)
    const { serverName } = settings
    this.#room = openRoom(ctx.storage, serverName, nodeCrypto, env.RESTORED, settings)
    this.#alarms = new AlarmScheduler(ctx.storage)
    this.#notifier = new Notifier(
      this.#room,
      this.#alarms,
      async (user, news) => userSyncOf(env, user).roomChanged({ ...news, facts: this.#facts(user) }),
      () => this.#room.memory.typing.version,
    )
    this.#members = new RemoteMemberIndex(this.#room, remoteMemberList(env))
    this.#servers = new NewsForServers(this.#room, (news) => federationSender(env).roomHasNews(news))
    this.#missing = new MissingFetcher(this.#room, this.#alarms, { env, stored: this.#stored })
    this.#completer = new JoinCompleter(this.#room, this.#alarms, {
      env,
      completed: (changed, newcomers, from) => this.#completed(changed, [...newcomers], from),
    })
    this.#purger = new Purger(this.#room, this.#alarms)
    this.#purger.changed(Date.now())
  }

  override async alarm(): Promise<void> {
    if (!this.#room.reader.isKnown()) return
    await this.#alarms.run(Date.now(), {
      // Servers first: settling notes that everybody was told.
      settle: async () => {
        await this.#servers.changed()
        await this.#members.changed()
        await this.#notifier.settle(Date.now(), this.#servers.told)
      },
      fetch: () => this.#missing.alarm(Date.now()),
      index: async () => this.#indexOlder(),
      delayed: async () => this.#sendDue(),
      // Others do not wait for it: other servers take their time.
      complete: async () => void this.#completer.goOn(Date.now()),
      expire: () => this.#purger.alarm(Date.now()),
      remove: async () => void (finishRemovals(this.#room) && this.#removeRest()),
    })
  }

  // —— Making the room and changing it ——

  /** Creates the room; `room_exists` if there is one already. */
  async create(request: CreateRequest): Promise<Outcome> {
    const identity = await serverIdentity(this.env)
    const created = createRoom(this.#room, identity, request, Date.now())
    if (!created.ok) return created
    await addKnownRoom(this.env, this.#room.reader.header().roomId)
    await this.#tell(created)
    return { ok: true }
  }

  /** Sends a message or sets state, once per transaction of a device. */
  async sendEvent(request: SendRequest): Promise<Sent> {
    const isOfOther = request.type === 'm.room.member' && request.stateKey !== request.sender
    if (isOfOther && !(await this.#isWhole())) return fail('still_joining')
    return this.#authored((author) => sendEvent(this.#room, author, request, Date.now()))
  }

  /** Redacts an event, once per transaction of a device. */
  async redact(request: RedactRequest): Promise<Sent> {
    return this.#authored((author) => redactEvent(this.#room, author, request, Date.now()))
  }

  /** Redacts what relates to an event, as far as its redacter may. */
  async redactRelated(request: RelatedRedaction): Promise<void> {
    const identity = await serverIdentity(this.env)
    for (const written of redactRelated(this.#room, identity, request, Date.now())) await this.#tell(written)
  }

  /**
   * Joins, invites, knocks, leaves, kicks, bans or unbans. What is so already stays, with its event ID. In rooms that this
   * server is not in, and for invites of others' users, it goes to other servers: `via.servers` first.
   */
  async setMembership(request: MembershipRequest & { via?: Via }): Promise<Sent> {
    const { via, ...change } = request
    // Whether we may do something to somebody else, or let somebody in, rests on members whom we may not know yet.
    const isAlone = change.sender === change.target && change.membership !== 'knock'
    if (!isAlone && !(await this.#isWhole())) return fail('still_joining')
    const identity = await serverIdentity(this.env)
    const step = remoteStepOf(this.#room, change)
    const deps = this.#joinDeps(identity)
    if (step && !via) return fail('unknown_room')
    if (step === 'invite' && via) {
      return setRemoteMembership(this.#room, deps, step, { ...via, request: change })
    }
    if (step && via) {
      return this.#remoteTurn(async () => {
        // Whoever came before may have brought the room here.
        const still = remoteStepOf(this.#room, change)
        return still
          ? setRemoteMembership(this.#room, deps, still, { ...via, request: change })
          : this.#authored((author) => setMembership(this.#room, author, change, Date.now()))
      })
    }
    const sent = await this.#authored((author) => setMembership(this.#room, author, change, Date.now()))
    // The caller has looked for the conditions of a restricted room and nobody here can vouch for them.
    const needsTheirWord =
      !sent.ok &&
      change.memberOf !== undefined &&
      restrictionOf(this.#room) !== undefined &&
      change.membership === 'join'
    if (!needsTheirWord || !via) return sent
    const joined = await joinByTheirWord(this.#room, deps, { roomId: via.roomId, request: change })
    // Where nobody else lets them in either, what the room's own rules said stands.
    return joined.ok ? joined : sent
  }

  /** A local user's membership that another server told of: an invite. */
  async noteOutside(change: OutsideChange): Promise<Outcome> {
    return noteOutsideMembership(this.#room, change, this.#stored)
  }

  /** A local user had their account erased: who comes later gets their events redacted. */
  async eraseSender(sender: UserId): Promise<void> {
    if (this.#room.reader.isKnown()) eraseSender(this.#room, sender)
  }

  /** One at a time: two users who join at once would else fetch the room twice. */
  async #remoteTurn<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#remoteWork
    this.#remoteTurns++
    const done = before
      .catch(() => undefined)
      .then(work)
      .finally(() => this.#remoteTurns--)
    this.#remoteWork = done
    return done
  }

  /**
   * Other servers hear of a join before it is carried out here, and send what a newcomer has to know; nothing would make them
   * send that again. So it waits, if it comes while somebody enters the room.
   */
  async #entered(): Promise<void> {
    const { reader } = this.#room
    if (this.#remoteTurns === 0 || (reader.isKnown() && reader.isResident())) return
    const isOver = this.#remoteWork.catch(() => undefined)
    await Promise.race([isOver, new Promise((resolve) => setTimeout(resolve, entryPatience))])
  }

  /** Notes an event to be sent later. */
  async delayEvent(request: DelayRequest): Promise<Outcome<{ delay_id: string }>> {
    const delayed = delayEvent(this.#room, request, Date.now())
    if (delayed.ok) this.#aimAtDelayed()
    return delayed
  }

  /** Sends, restarts or cancels an event that waits. */
  async updateDelayed({ delayId, action }: { delayId: string; action: DelayedAction }): Promise<Outcome> {
    const identity = await serverIdentity(this.env)
    const sent: Written[] = []
    const silenced = await silencedAmong(this.env, action === 'send' ? sendersOf(this.#room, { delayId }) : [])
    const noteSent = (written: Written) => void sent.push(written)
    const turn = { room: this.#room, identity, now: Date.now(), silenced, sent: noteSent }
    const updated = updateDelayed(turn, delayId, action)
    if (this.#room.reader.isKnown()) this.#aimAtDelayed()
    for (const each of sent) await this.#tell(each)
    return updated
  }

  /** A user's events that wait, and what became of others lately. */
  async delayedEvents({ user }: { user: UserId }): Promise<{ waiting: DelayedEvent[]; finalised: FinalisedEvent[] }> {
    return { waiting: delayedOf(this.#room, user), finalised: finalisedOf(this.#room, user) }
  }

  async #sendDue(): Promise<void> {
    const identity = await serverIdentity(this.env)
    const sent: Written[] = []
    // What comes due while it is asked who may send is for the next time.
    const now = Date.now()
    const silenced = await silencedAmong(this.env, sendersOf(this.#room, { dueAt: now }))
    sendDueEvents({ room: this.#room, identity, now, silenced, sent: (written) => void sent.push(written) })
    this.#aimAtDelayed()
    for (const each of sent) await this.#tell(each)
  }

  #aimAtDelayed(): void {
    const next = nextDelayed(this.#room)
    if (next === undefined) this.#alarms.cancel('delayed')
    else this.#alarms.reset('delayed', next)
  }

  #joinDeps(identity: ServerIdentity): JoinDeps {
    return {
      env: this.env,
      identity,
      stored: this.#stored,
      forgetRoom: () => this.#forgetRoom(),
      passedOn: () => this.#servers.noteKnown(),
      incomplete: () => this.#completer.begin(Date.now()),
    }
  }

  /** Whether all members are known here; waits for that as long as clients do. */
  #isWhole(): Promise<boolean> {
    return this.#completer.whenWhole(patience)
  }

  /** All members are known now: whoever had to do without them hears of it, in the same turn. */
  #completed(changedMembers: readonly UserId[], newcomers: ServerName[], from: number): void {
    this.#members.begin()
    void this.#tell({ changedMembers })
    this.ctx.waitUntil(
      this.#servers.catchUp(newcomers, from).catch((error: unknown) => console.error('the sender was not told', error)),
    )
    this.#missing.start(Date.now()).catch((error: unknown) => console.error('missing events were not fetched', error))
    if (newcomers.length === 0) return
    const { reader } = this.#room
    for (const user of reader.localJoined()) {
      const told = userSyncOf(this.env, user).roomHasNewServers({ roomId: reader.header().roomId })
      this.ctx.waitUntil(told.catch((error: unknown) => console.error('a user was not told', error)))
    }
  }

  /** The server's rules of retention are others than before: the purge may have to come sooner. */
  async timeRetention(): Promise<void> {
    this.#purger.changed(Date.now())
  }

  async #forgetRoom(): Promise<void> {
    await this.ctx.storage.deleteAlarm()
    await this.ctx.storage.deleteAll()
    this.#room.reader.forget()
    this.#room.groups.forget()
    this.#alarms.forget()
  }

  /** Rooms of which a user must be in one in order to join; null where that is not asked of this user. */
  async joinRequirements({ user }: { user: UserId }): Promise<Outcome<{ allowedRooms: RoomId[] | null }>> {
    return joinRequirements(this.#room, user)
  }

  /** Takes a room that was left out of a user's sight. */
  async forget({ user }: { user: UserId }): Promise<Outcome> {
    const forgotten = forgetRoom(this.#room, user)
    // Lists of sliding sync show it no more.
    if (forgotten.ok) await this.#notifier.changed({ only: user, changedMembers: [user], isSilent: true }, Date.now())
    return forgotten
  }

  /** Writes an event of our users; in a room with a policy server once that has signed it. */
  async #authored(write: (author: Author) => Outcome<Written>): Promise<Sent> {
    const identity = await serverIdentity(this.env)
    let author: Author = identity
    for (let round = 0; ; round++) {
      const written = write(author)
      const unendorsed = takeUnendorsed(this.#room)
      if (written.ok || !unendorsed || round === maxEndorsements) return this.#sent(written)
      const asked = await askPolicyServer(this.#room, this.env, unendorsed.pdu, unendorsed.policy)
      if (!asked.ok) return asked
      author = { ...identity, endorsed: asked.pdu }
    }
  }

  async #sent(written: Outcome<Written>): Promise<Sent> {
    if (!written.ok) return written
    if (written.isNew) await this.#tell(written)
    return { ok: true, event_id: written.event_id }
  }

  /** A kick or ban redacts what is much by and by. */
  #removeRest(): void {
    if (hasUnfinishedRemovals(this.#room)) this.#alarms.reset('remove', Date.now() + 100)
  }

  /** Where the room has been replaced and is followed as a policy list, the server follows the new one. */
  #noteReplaced(): void {
    const { reader } = this.#room
    const tombstone = reader.isKnown() ? reader.currentEntry('m.room.tombstone', '')?.nid : undefined
    if (tombstone === this.#tombstone) return
    this.#tombstone = tombstone
    if (tombstone === undefined) return
    const followed = followReplacement(this.env, reader.header().roomId)
    this.ctx.waitUntil(followed.catch((error: unknown) => console.error('a list was not followed', error)))
  }

  #tell(change: Change): Promise<void> {
    this.#purger.changed(Date.now())
    this.#removeRest()
    this.#noteReplaced()
    this.ctx.waitUntil(
      this.#members.changed().catch((error: unknown) => console.error('the list of members was not written', error)),
    )
    // Told or not, the settle alarm looks after it.
    this.ctx.waitUntil(
      this.#servers.changed().catch((error: unknown) => console.error('the sender was not told', error)),
    )
    return this.#notifier.changed(change, Date.now())
  }

  // —— Federation ——

  /** Takes events of another server whose format, signatures and hashes were checked; says of each what came of it. */
  async receivePdus(inbound: InboundPdus): Promise<Outcome<{ results: PduResults }>> {
    await this.#entered()
    const events = await this.#endorsed(inbound.events)
    const received = receivePdus(this.#room, { ...inbound, events }, this.#stored)
    if (!received.ok) return received
    if (this.#room.reader.localJoined().size === 0) this.ctx.waitUntil(this.#servers.farewell(inbound.origin))
    if (received.waiting === 'new') this.ctx.waitUntil(this.#missing.start(Date.now()))
    if (received.waiting === 'old') this.#missing.startSoon(Date.now())
    return { ok: true, results: received.results }
  }

  /** The room's version, certain once this server was in the room; `unknown_room` unless it has to do with it. */
  async version(asked: { forEvents?: true } = {}): Promise<Outcome<{ version: RoomVersion; isCertain: boolean }>> {
    if (asked.forEvents) await this.#entered()
    const { reader } = this.#room
    if (!reader.isKnown()) return fail('unknown_room')
    return { ok: true, version: reader.rules.version, isCertain: reader.header().currentGroup !== undefined }
  }

  /** A user's membership, of any server; `unknown_room` unless this server is in the room and so knows. */
  async residentMembership({ user }: { user: UserId }): Promise<Outcome<{ membership: Membership | undefined }>> {
    const { reader } = this.#room
    if (!reader.isKnown() || reader.localJoined().size === 0) return fail('unknown_room')
    return { ok: true, membership: reader.membership(user) }
  }

  /** A local user's membership as far as it is known here, be it from outside only. */
  async membershipOf({ user }: { user: UserId }): Promise<Membership | undefined> {
    const { reader } = this.#room
    return reader.isKnown() ? reader.membership(user) : undefined
  }

  /** Who invited by a third-party identifier, and with what, under a token; and who the target is by now. */
  async thirdPartyInvite({
    token,
    target,
    origin,
  }: {
    token: string
    target: UserId
    /** The server that asks, where it is another one. */
    origin?: ServerName
  }): Promise<Outcome<{ sender: UserId; content: JsonObject; membership: Membership | undefined }>> {
    const { reader } = this.#room
    if (!reader.isKnown() || !reader.isResident() || reader.localJoined().size === 0) return fail('unknown_room')
    if (origin && !isServerAllowedIn(this.#room, origin))
      return fail('forbidden', 'The room does not allow that server')
    const invite = reader.current('m.room.third_party_invite', token)
    if (!invite) return fail('forbidden', 'No pending invite has that token')
    return { ok: true, sender: invite.sender, content: invite.pdu.content, membership: reader.membership(target) }
  }

  /** Servers with a joined member. */
  async joinedServers(): Promise<ServerName[]> {
    const { reader } = this.#room
    return reader.isKnown() ? [...reader.serversIn()] : []
  }

  /** Who is joined: users of this server, and other servers by name. */
  async audience(): Promise<{ users: UserId[]; servers: ServerName[] }> {
    const { reader } = this.#room
    if (!reader.isKnown()) return { users: [], servers: [] }
    const servers = [...reader.serversIn()].filter((server) => server !== reader.serverName)
    return { users: [...reader.localJoined()], servers }
  }

  /** Joined users of this server, if that one is joined too. */
  async localUsersWith({ user }: { user: UserId }): Promise<UserId[]> {
    const { reader } = this.#room
    return reader.isKnown() && reader.membership(user) === 'join' ? [...reader.localJoined()] : []
  }

  /** Who came and went since a reader heard of the room. */
  async memberChanges(request: MemberChangesRequest): Promise<MemberChanges> {
    return memberChanges(this.#room, request)
  }

  /**
   * A reader's filter leaves the room out: they become tellable as by reading it, and hear at most who came and went. Null
   * for a room that knows nothing of itself any more.
   */
  async passOver(
    request: MemberChangesRequest & { wantsMembers: boolean },
  ): Promise<(Pick<Slice, 'pos' | 'typing' | 'stickyFacts'> & { memberChanges: MemberChanges | null }) | null> {
    const { reader, memory } = this.#room
    if (!reader.isKnown()) return null
    this.#notifier.read(request.reader)
    const changes = request.wantsMembers ? memberChanges(this.#room, request) : null
    const version = { pos: reader.header().pos, typing: memory.typing.version, ...stickyFacts(this.#room, Date.now()) }
    return { ...version, memberChanges: changes }
  }

  /** Those of the users who are joined. */
  async joinedAmong(users: readonly UserId[]): Promise<UserId[]> {
    const { reader } = this.#room
    return reader.isKnown() ? users.filter((user) => reader.membership(user) === 'join') : []
  }

  /** A template for a user of another server who joins, leaves or knocks over us. */
  async makeTemplate(request: TemplateRequest): Promise<Template> {
    return makeTemplate(this.#room, await serverIdentity(this.env), request, Date.now())
  }

  /** The event that was made of a template, verified. */
  async acceptMembership(request: MembershipToAccept): Promise<AcceptedMembership> {
    const [event = request] = await this.#endorsed([request])
    return acceptMembership(this.#room, { ...request, json: event.json }, this.#stored)
  }

  /** Events of others, with the signature of the room's policy server where they lack it and it gives one. */
  async #endorsed<T extends { readonly event_id: EventId; readonly json: JsonObject }>(
    events: readonly T[],
  ): Promise<readonly Pick<T, 'event_id' | 'json'>[]> {
    const { reader } = this.#room
    if (!reader.isKnown() || !reader.isResident() || !policyServer(this.#room)) return events
    const pdus = events.map(({ event_id, json }) => pduFromStored(reader.rules, json, event_id))
    return withPolicySignatures(this.#room, this.env, pdus)
  }

  /**
   * Streams what would be too large for one message: the state a server that joins is told, the state at an event, and to
   * clients the state and the members of a room.
   */
  override async fetch(request: Request): Promise<Response> {
    const asked = await request.json<StateRequest>()
    if ('stateBefore' in asked) {
      const { stateBefore, omitMembers, joiner, head } = asked
      const cited = citedBy(head)
      const state = joinState(this.#room, stateBefore, { omitMembers, joiner, cited })
      const answer = {
        ...head,
        members_omitted: omitMembers,
        ...(omitMembers ? { servers_in_room: state.servers } : {}),
      }
      return new Response(streamState(this.#room, answer, 'state', state))
    }
    if ('stateFor' in asked || 'membersFor' in asked) {
      if (!(await this.#isWhole())) return errorResponse(fail('still_joining'))
      const isState = 'stateFor' in asked
      const list = isState
        ? stateSlices(this.#room, { reader: asked.stateFor }, Date.now())
        : memberSlices(this.#room, asked.membersFor, Date.now())
      if (!list.ok) return errorResponse(list.reason === 'unknown_room' ? fail('not_in_room') : list)
      return new Response(streamText(listText(isState ? '' : '{"chunk":', list.slices, isState ? '' : '}')))
    }
    if ('authOf' in asked) {
      const chain = authForServer(this.#room, asked.origin, asked.authOf)
      return chain.ok ? new Response(streamAuthChain(this.#room, chain.authChain)) : errorResponse(chain)
    }
    if (!(await this.#isWhole())) return errorResponse(fail('still_joining'))
    const found = stateForServer(this.#room, asked.origin, asked.eventId)
    if (!found.ok) return errorResponse(found)
    return new Response(streamState(this.#room, {}, 'pdus', found))
  }

  /** What another server in the room may have of it; serve-history.ts has the forms. */
  async eventForServer({ origin, eventId }: { origin: ServerName; eventId: EventId }) {
    return eventForServer(this.#room, origin, eventId)
  }

  async eventAtTimeForServer({ origin, ...asked }: { origin: ServerName; ts: number; dir: 'b' | 'f' }) {
    return eventAtTimeForServer(this.#room, origin, asked)
  }

  async backfillForServer({ origin, ...asked }: { origin: ServerName; from: EventId[]; limit: number }) {
    return backfillForServer(this.#room, origin, asked)
  }

  async missingForServer({ origin, ...asked }: { origin: ServerName } & MissingRequest) {
    return missingForServer(this.#room, origin, asked)
  }

  async stateIdsForServer({ origin, eventId }: { origin: ServerName; eventId: EventId }) {
    if (!(await this.#isWhole())) return fail('still_joining')
    return stateIdsForServer(this.#room, origin, eventId)
  }

  /** Our events for one server after a position: what the federation sender sends. */
  async pdusFor(wanted: {
    destination: ServerName
    after: number
    limit: number
  }): Promise<{ pdus: JsonObject[]; upTo: number; more: boolean }> {
    return pdusFor(this.#room, wanted)
  }

  /** A user of another server types, or stopped. */
  async remoteTyping(request: RemoteTyping): Promise<void> {
    if (noteRemoteTyping(this.#room, request, Date.now())) this.#watchTyping(true)
  }

  /** How far users of another server have read. */
  async remoteReceipts(request: RemoteReceipts): Promise<void> {
    if (noteRemoteReceipts(this.#room, request)) await this.#tell({ isSilent: true })
  }

  // —— Reading it ——

  /** An event that the reader may see. */
  async event(request: EventRequest): Promise<Outcome<{ event: ClientEvent }>> {
    return eventById(this.#room, request, Date.now())
  }

  /** Whether a marker of the reader's moves to an event that they may see from where it stands. */
  async isMarkerMove(request: EventRequest & { from: EventId | undefined }): Promise<Outcome<{ moves: boolean }>> {
    const { from, ...asked } = request
    const found = await this.event(asked)
    if (!found.ok) return found
    return { ok: true, moves: from === undefined || isAhead(this.#room, asked.eventId, from) }
  }

  /** The events around one. */
  async context(request: ContextRequest): Promise<Outcome<EventContext>> {
    return eventContext(this.#room, request, Date.now())
  }

  /** The event nearest to a moment, from other servers where it may be missing here. */
  async eventAtTime(request: TimeRequest): Promise<Outcome<FoundInTime>> {
    const near = eventAtTime(this.#room, request)
    if (!near.ok || !near.hasHole) return near.ok ? foundInTime(near) : near
    await fetchEventAtTime(this.#room, this.env, request, near.found)
    const now = eventAtTime(this.#room, request)
    return now.ok ? foundInTime(now) : now
  }

  /** A page of history. Where some of it is missing here, other servers in the room are asked first. */
  async messages(request: MessagesRequest): Promise<Outcome<Messages>> {
    for (let round = 0; round < maxBackfills; round++) {
      const page = messages(this.#room, request, Date.now())
      if (!page.ok || !pageHasHole(this.#room, request, page)) return page
      // What was before us needs the state of then; that of a large room comes with the rest.
      if (!(await this.#completer.whenWhole(historyPatience))) return page
      const { pos } = this.#room.reader.header()
      if (!(await backfill(this.#room, this.env, request))) return page
      this.#purger.changed(Date.now(), { older: true })
      this.#removeRest()
      // Something that is sticky was found.
      if (this.#room.reader.header().pos !== pos) this.#stored([])
    }
    return messages(this.#room, request, Date.now())
  }

  /** A page of the events that relate to one. */
  async relatedEvents(request: RelatedRequest): Promise<Outcome<RelatedEvents>> {
    return relatedEvents(this.#room, request, Date.now())
  }

  /** A page of the room's threads. */
  async threads(request: ThreadsRequest): Promise<Outcome<Threads>> {
    return threads(this.#room, request, Date.now())
  }

  /** The state now, or as it was when the reader left. */
  async stateEvents(request: { reader: UserId }): Promise<Outcome<{ events: ClientEvent[] }>> {
    if (!(await this.#isWhole())) return fail('still_joining')
    return stateEvents(this.#room, request, Date.now())
  }

  /** One place of that state. */
  async stateEvent(request: {
    reader: UserId
    type: string
    stateKey: string
  }): Promise<Outcome<{ event: ClientEvent }>> {
    const { reader } = this.#room
    const mayBeMissing =
      request.type === 'm.room.member' && reader.isKnown() && !reader.current(request.type, request.stateKey)
    if (mayBeMissing && !(await this.#isWhole())) return fail('still_joining')
    return stateAtPlace(this.#room, request, Date.now())
  }

  /** The member events, now or at a token. */
  async members(request: MembersRequest): Promise<Outcome<{ events: ClientEvent[] }>> {
    if (!(await this.#isWhole())) return fail('still_joining')
    return members(this.#room, request, Date.now())
  }

  /** Who is joined, for those who are. */
  async joinedMembers(request: { reader: UserId }): Promise<Outcome<{ joined: Record<string, JoinedMember> }>> {
    if (!(await this.#isWhole())) return fail('still_joining')
    return joinedMembers(this.#room, request)
  }

  /** What the room is called and who may come in, for the server's own use. */
  async facts(): Promise<Outcome<RoomFacts>> {
    return roomFacts(this.#room)
  }

  /** Members whom somebody finds who looks for people. */
  async searchMembers(search: MemberSearch): Promise<FoundMembers> {
    return searchMembers(this.#room, search)
  }

  /** What a search finds here. Events from before there was an index are put into it first, most of them behind the answer. */
  async search(search: RoomSearch): Promise<RoomHits> {
    if (!this.#room.reader.isKnown()) return { hits: [], count: 0 }
    this.#indexOlder()
    return searchRoom(this.#room, search)
  }

  /** The events that a search found. */
  async foundEvents(request: FoundRequest): Promise<Found[]> {
    return foundEvents(this.#room, request, Date.now())
  }

  #indexOlder(): void {
    if (indexOlder(this.#room, indexedAtOnce)) this.#alarms.reset('index', Date.now() + 100)
  }

  /** The room as a summary or a space shows it. */
  async spaceRoom(asking: Asking): Promise<Outcome<SpaceRoom>> {
    return spaceRoom(this.#room, asking)
  }

  /** Whether a user is joined and has the power for state events of a type. */
  async maySendState(asked: { user: UserId; type: string }): Promise<Outcome<{ allowed: boolean }>> {
    return maySendState(this.#room, asked)
  }

  // —— As a policy list ——

  /** The rule of this list that bans one of these; null where none does. */
  async policyVerdict({ subjects }: { subjects: readonly PolicySubject[] }): Promise<PolicyRule | null> {
    return policyVerdict(this.#room, subjects)
  }

  async policyListFacts(): Promise<PolicyListFacts> {
    return policyListFacts(this.#room)
  }

  /** A page of the rules. */
  async policyRules(page: { from: number; limit: number }): Promise<{ rules: PolicyRule[]; total: number }> {
    return listPolicyRules(this.#room, page)
  }

  // —— Receipts, typing ——

  /** Moves a receipt of a member forward. */
  async receipt(request: ReceiptRequest): Promise<Outcome> {
    const set = setReceipt(this.#room, request, Date.now())
    if (!set.ok) return set
    const { user, type } = request
    if (set.moved)
      await this.#tell(
        type === 'm.read.private' ? { sender: user, only: user, isSilent: true } : { sender: user, isSilent: true },
      )
    if (set.moved) this.#pass(receiptEdu(this.#room, request, Date.now()))
    return { ok: true }
  }

  /** A member types, or stopped. */
  async typing(request: TypingRequest): Promise<Outcome> {
    const set = setTyping(this.#room, request, Date.now())
    if (!set.ok) return set
    this.#watchTyping(set.changed)
    if (set.changed) this.#pass(typingEdu(this.#room, request.user, request.typing))
    return { ok: true }
  }

  /** Sends something to the other servers that may be lost. */
  #pass(passing: PassingEdu | undefined): void {
    if (!passing || passing.destinations.length === 0) return
    const sent = federationSender(this.env).sendPassingEdu(passing)
    this.ctx.waitUntil(sent.catch((error: unknown) => console.error('the sender was not told', error)))
  }

  /** Tells of the list of those who type if it changed, and looks again when the next one's time is over. */
  #watchTyping(hasChanged: boolean): void {
    const { typing } = this.#room.memory
    if (hasChanged) this.ctx.waitUntil(this.#tell({ isSilent: true }))
    clearTimeout(this.#typingTimer)
    const next = typing.nextExpiry()
    if (next === undefined) return
    const wait = Math.max(0, next - Date.now())
    this.#typingTimer = setTimeout(() => this.#watchTyping(typing.expire(Date.now())), wait)
  }

  // —— Notifications ——

  /** What rings for a user with pushers. In the same turn they become tellable of the next event. */
  async pushNews(request: PushNewsRequest): Promise<PushNews | null> {
    const news = pushNews(this.#room, request)
    if (news) this.#notifier.askedForPushes(request.reader)
    return news ?? null
  }

  /** A user has no pushers any more. */
  async stopPushes({ user }: { user: UserId }): Promise<void> {
    if (this.#room.reader.isKnown()) this.#notifier.stopPushes(user)
  }

  /** The room's part of a user's list of notifications. */
  async notifications(request: NotificationsRequest): Promise<ListedNotification[]> {
    return roomNotifications(this.#room, request, Date.now())
  }

  /** Media that the room's events name, for admins; none where the room is not here. */
  async mediaUris({ after }: { after: number }): Promise<MediaPage> {
    return this.#room.reader.isKnown() ? mediaUris(this.#room, after) : { uris: [] }
  }

  // —— Sync ——

  #facts(user: UserId): ListFacts | undefined {
    return listFacts(this.#room, user, Date.now())
  }

  /** Where a thread stands, for one who subscribes to it. */
  async threadPlace(request: ThreadPlaceRequest): Promise<Outcome<{ pos: number; causedAt: number | null }>> {
    return threadPlace(this.#room, request)
  }

  /** What a reader has to hear over sliding sync. In the same turn they become tellable again. */
  async slidingSlice(request: SlidingSliceRequest): Promise<Outcome<SlidingSlice>> {
    const now = Date.now()
    const slice = slidingSlice(this.#room, request, now)
    if (!slice.ok) return slice
    this.#notifier.read(request.reader)
    return { ...slice, change: { ...slice.change, facts: this.#facts(request.reader) } }
  }

  /** What is sticky, for sliding sync. */
  async stickyEvents(request: StickyRequest): Promise<StickyPage> {
    return stickyPage(this.#room, request, Date.now())
  }

  /** What the room would tell a user now; in the same turn they become tellable again. Null where it knows nothing. */
  async newsFor({ user }: { user: UserId }): Promise<RoomChange | null> {
    const { reader, memory } = this.#room
    if (!reader.isKnown()) return null
    this.#notifier.read(user)
    const { roomId, pos } = reader.header()
    const membership = reader.membership(user) ?? 'leave'
    return { roomId, pos, typing: memory.typing.version, membership, facts: this.#facts(user) }
  }

  /** What a reader of `/sync` has to hear. In the same turn they become tellable again. */
  async syncSlice(request: SliceRequest): Promise<Outcome<Slice>> {
    const slice = syncSlice(this.#room, request, Date.now())
    if (slice.ok) this.#notifier.read(request.reader)
    return slice
  }

  // —— Backup, export ——

  /** What a user has sent here; nothing where the room is not here. */
  async sentBy({ user, after }: { user: UserId; after: number }): Promise<SentPage> {
    return this.#room.reader.isKnown() ? sentBy(this.#room, user, after) : { events: [] }
  }

  /** All that is stored here, for a backup. */
  async dump(name: string): Promise<Response> {
    return dumpStorage(this.ctx.storage, 'ROOM', name)
  }

  /** Takes a portion of a backup; false where it is none. After the last comes `end`. */
  async load(portion: Portion): Promise<boolean> {
    const isLoaded = await loadPortion(this.ctx.storage, portion, () => renewRoom(this.ctx.storage, Date.now()))
    if (isLoaded && portion.last) await this.ctx.storage.setAlarm(Date.now())
    return isLoaded
  }

  /** Forgets what is in memory: the next call finds an object that has just woken. Always fails. */
  async end(): Promise<void> {
    this.ctx.abort('loaded from a backup')
  }
}
