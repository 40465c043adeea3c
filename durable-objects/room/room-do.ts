/**
 * One room: its DAG, its order, its state. `idFromName(room_id)`.
 *
 * This class is the RPC surface and nothing else: each method hands over to the file that holds the idea. Expected
 * failures are data. What has to be read, decided and written together happens in one synchronous turn, and so does the
 * first step of telling who has to hear of it.
 */
import type { Outcome } from '#protocol/errors.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { DurableObject } from 'cloudflare:workers'

import type { Env } from '../../worker/env.ts'
import { federationSender } from '../../worker/federation-client/sender.ts'
import { nodeCrypto } from '../../worker/node-crypto.ts'
import { serverIdentity } from '../../worker/server-identity.ts'
import { settingsOf } from '../../worker/settings.ts'
import { AlarmScheduler } from '../shared/alarm-scheduler.ts'
import type { Written } from './author-event.ts'
import { createRoom, type CreateRequest } from './create-room.ts'
import { forgetRoom, joinRequirements, type MembershipRequest, setMembership } from './membership.ts'
import { type Change, Notifier } from './notify.ts'
import { redactEvent, type RedactRequest } from './redact.ts'
import { MissingFetcher } from './federation/missing-fetcher.ts'
import { NewsForServers, pdusFor } from './federation/news-for-servers.ts'
import { type InboundPdus, type PduResults, receivePdus } from './federation/receive-pdus.ts'
import { openRoom, type Room } from './room.ts'
import { sendEvent, type SendRequest } from './send-event.ts'

type Sent = Outcome<{ event_id: EventId }>

export class RoomDO extends DurableObject<Env> {
  readonly #room: Room
  readonly #alarms: AlarmScheduler<'settle' | 'fetch'>
  readonly #notifier: Notifier
  readonly #servers: NewsForServers
  readonly #missing: MissingFetcher

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    this.#room = openRoom(ctx.storage, settingsOf(env).serverName, nodeCrypto)
    this.#alarms = new AlarmScheduler(ctx.storage)
    this.#notifier = new Notifier(
      this.#room,
      this.#alarms,
      async (user, news) => env.USER_SYNC.get(env.USER_SYNC.idFromName(user)).roomChanged(news),
      () => 0,
    )
    this.#servers = new NewsForServers(this.#room, (news) => federationSender(env).roomHasNews(news))
    const stored = (changedMembers: readonly UserId[]) => void this.#tell({ changedMembers })
    this.#missing = new MissingFetcher(this.#room, this.#alarms, { env, stored })
  }

  override async alarm(): Promise<void> {
    if (!this.#room.reader.isKnown()) return
    await this.#alarms.run(Date.now(), {
      // Servers first: settling notes that everybody was told.
      settle: async () => {
        await this.#servers.changed()
        await this.#notifier.settle(Date.now())
      },
      fetch: () => this.#missing.start(Date.now()),
    })
  }

  // —— Making the room and changing it ——

  /** Creates the room; `room_exists` if there is one already. */
  async create(request: CreateRequest): Promise<Outcome> {
    const identity = await serverIdentity(this.env)
    const created = createRoom(this.#room, identity, request, Date.now())
    if (!created.ok) return created
    await this.#tell(created)
    return { ok: true }
  }

  /** Sends a message or sets state, once per transaction of a device. */
  async sendEvent(request: SendRequest): Promise<Sent> {
    const identity = await serverIdentity(this.env)
    return this.#sent(sendEvent(this.#room, identity, request, Date.now()))
  }

  /** Redacts an event, once per transaction of a device. */
  async redact(request: RedactRequest): Promise<Sent> {
    const identity = await serverIdentity(this.env)
    return this.#sent(redactEvent(this.#room, identity, request, Date.now()))
  }

  /** Joins, invites, knocks, leaves, kicks, bans or unbans. What is so already stays, with its event ID. */
  async setMembership(request: MembershipRequest): Promise<Sent> {
    const identity = await serverIdentity(this.env)
    return this.#sent(setMembership(this.#room, identity, request, Date.now()))
  }

  /** Rooms of which a user must be in one in order to join; null where that is not asked of this user. */
  async joinRequirements({ user }: { user: UserId }): Promise<Outcome<{ allowedRooms: RoomId[] | null }>> {
    return joinRequirements(this.#room, user)
  }

  /** Takes a room that was left out of a user's sight. */
  async forget({ user }: { user: UserId }): Promise<Outcome> {
    return forgetRoom(this.#room, user)
  }

  async #sent(written: Outcome<Written>): Promise<Sent> {
    if (!written.ok) return written
    if (written.isNew) await this.#tell(written)
    return { ok: true, event_id: written.event_id }
  }

  #tell(change: Change): Promise<void> {
    // Told or not, the settle alarm looks after it.
    this.ctx.waitUntil(
      this.#servers.changed().catch((error: unknown) => console.error('the sender was not told', error)),
    )
    return this.#notifier.changed(change, Date.now())
  }

  // —— Federation ——

  /** Takes events of another server whose format, signatures and hashes were checked; says of each what came of it. */
  async receivePdus(inbound: InboundPdus): Promise<Outcome<{ results: PduResults }>> {
    const received = receivePdus(this.#room, inbound, (changedMembers) => void this.#tell({ changedMembers }))
    if (!received.ok) return received
    if (received.isWaiting) this.ctx.waitUntil(this.#missing.start(Date.now()))
    return { ok: true, results: received.results }
  }

  /** Our events for one server after a position: what the federation sender sends. */
  async pdusFor(wanted: {
    destination: ServerName
    after: number
    limit: number
  }): Promise<{ pdus: JsonObject[]; upTo: number }> {
    return pdusFor(this.#room, wanted)
  }

  // —— Reading it ——

  // —— Receipts, typing ——

  // —— Sync ——
}
